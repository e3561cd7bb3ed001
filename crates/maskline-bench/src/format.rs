//! Numbers as people read them: three significant digits, `n/a` for what is not known.

use crate::percentile::Estimate;

/// What is printed for a figure that too few samples support.
pub const NOT_AVAILABLE: &str = "n/a";

/// Three significant digits without an exponent: `0.00123`, `12.3`, `1550`. Digits before the point that are not significant are
/// zeros. `n/a` where the number is not finite.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return NOT_AVAILABLE.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounding may carry into the next power of ten: let the formatter find the exponent.
    let scientific = format!("{value:.2e}");
    let exponent = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    if exponent >= 2 {
        let unit = 10_f64.powi(exponent - 2);
        return format!("{:.0}", (value / unit).round() * unit);
    }
    format!("{value:.*}", (2 - exponent).min(12).unsigned_abs() as usize)
}

/// A figure with its interval, `12.3 [12.1, 12.6]`.
pub fn estimate(estimate: &Estimate) -> String {
    format!("{} [{}, {}]", significant(estimate.value), significant(estimate.low), significant(estimate.high))
}

/// [`estimate`] or `n/a`.
pub fn optional(figure: Option<&Estimate>) -> String {
    figure.map_or_else(|| NOT_AVAILABLE.to_owned(), estimate)
}

/// A share as a percentage of three significant digits.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", significant(share * 100.0)) } else { NOT_AVAILABLE.to_owned() }
}

/// Bytes in binary units.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (0..UNITS.len()).rev().find(|power| bytes >> (10 * power) > 0).unwrap_or(0);
    format!("{} {}", significant(bytes as f64 / (1_u64 << (10 * power)) as f64), UNITS[power])
}

#[cfg(test)]
mod tests {
    use super::{bytes, estimate, percent, significant};
    use crate::percentile::Estimate;

    #[test]
    fn three_digits() {
        let cases = [
            (0.0, "0"),
            (1549.4, "1550"),
            (999.6, "1000"),
            (99.96, "100"),
            (12.345, "12.3"),
            (1.0, "1.00"),
            (0.001_234, "0.00123"),
            (0.099_96, "0.100"),
            (-3.456, "-3.46"),
            (1e15, "1000000000000000"),
            (f64::NAN, "n/a"),
            (f64::INFINITY, "n/a"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text, "{value}");
        }
        assert_eq!(significant(1e-300), "0.000000000000");
    }

    #[test]
    fn with_units() {
        assert_eq!(estimate(&Estimate { value: 12.34, low: 12.1, high: 12.6 }), "12.3 [12.1, 12.6]");
        assert_eq!([percent(0.5), percent(0.1234), percent(f64::NAN)], ["50.0 %", "12.3 %", "n/a"]);
        assert_eq!([bytes(0), bytes(1023), bytes(1 << 20), bytes(3 << 29)], ["0 B", "1020 B", "1.00 MiB", "1.50 GiB"]);
    }
}
