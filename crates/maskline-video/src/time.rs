//! When a frame is shown: whole ticks of a clip's own clock, never rounded.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A fraction of two numbers above 0: seconds per tick, or frames per second. Parsed from and shown as `30`, `30000/1001` or `29.97`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    above: u32,
    below: u32,
}

impl Ratio {
    /// `above / below`, in lowest terms.
    ///
    /// # Errors
    /// `InvalidArgument` if one of them is 0.
    pub fn new(above: u32, below: u32) -> Result<Self> {
        if above == 0 || below == 0 {
            return Err(Error::invalid("ratio").with_expected("numbers above 0").with_found(format!("{above}/{below}")));
        }
        let divisor = common_divisor(above, below);
        Ok(Self { above: above / divisor, below: below / divisor })
    }

    /// A whole number, which is taken as 1 where it is 0.
    pub const fn whole(number: u32) -> Self {
        Self { above: if number == 0 { 1 } else { number }, below: 1 }
    }

    /// The number above the line.
    pub fn above(self) -> u32 {
        self.above
    }

    /// The number below the line.
    pub fn below(self) -> u32 {
        self.below
    }

    /// Its value.
    pub fn value(self) -> f64 {
        f64::from(self.above) / f64::from(self.below)
    }

    /// One over it: the seconds of a frame from frames per second, and back.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { above: self.below, below: self.above }
    }
}

fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below == 1 { write!(f, "{}", self.above) } else { write!(f, "{}/{}", self.above, self.below) }
    }
}

impl FromStr for Ratio {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("rate").with_expected("a number above 0 as 30, 29.97 or 30000/1001").with_found(format!("{text:?}"));
        if let Some((above, below)) = text.split_once('/') {
            return above.parse().ok().zip(below.parse().ok()).and_then(|(above, below)| Self::new(above, below).ok()).ok_or_else(wrong);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = !whole.is_empty() && whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit());
        let below = u32::try_from(decimals.len()).ok().and_then(|digits| 10u32.checked_pow(digits));
        let above = format!("{whole}{decimals}").parse().ok();
        above.zip(below).filter(|_| are_digits).and_then(|(above, below)| Self::new(above, below).ok()).ok_or_else(wrong)
    }
}

/// When a frame is shown: `ticks × tick` seconds on the clip's own clock, which need not begin at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// How many ticks.
    pub ticks: i64,
    /// Seconds of one tick.
    pub tick: Ratio,
}

impl Time {
    /// In seconds.
    pub fn seconds(self) -> f64 {
        self.ticks as f64 * self.tick.value()
    }

    /// In nanoseconds, rounded to the nearest.
    pub(crate) fn nanoseconds(self) -> i64 {
        let (above, below) = (i128::from(self.tick.above), i128::from(self.tick.below));
        let doubled = 2 * i128::from(self.ticks) * above * 1_000_000_000 + below;
        i64::try_from(doubled.div_euclid(2 * below)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Ratio>().map(|ratio| (ratio.above, ratio.below)).ok();
        assert_eq!(read("30"), Some((30, 1)));
        assert_eq!(read("29.97"), Some((2997, 100)));
        assert_eq!(read("30000/1001"), Some((30000, 1001)));
        assert_eq!(read("50/2"), Some((25, 1)));
        for wrong in ["", "0", "-1", "1/0", "0/1", "x", ".5", "1e3", "99999999999", "1.00000000000", "1/2/3", "+3"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ticks_become_nanoseconds_and_back() {
        let tick = Ratio::new(1, 10240).expect("a ratio");
        for ticks in [-1, 0, 1, 1024, 10_239, 1 << 40] {
            let nanoseconds = Time { ticks, tick }.nanoseconds();
            assert_eq!((nanoseconds as f64 * 10240.0 / 1e9).round() as i64, ticks);
        }
        assert_eq!(Time { ticks: 1, tick: Ratio::new(1001, 30000).expect("a ratio") }.nanoseconds(), 33_366_667);
    }
}
