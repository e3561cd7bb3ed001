//! Tails of the binomial distribution, which say how far order statistics can be trusted.

/// `P[X ≤ k]` for `X` the number of successes among `n` trials of probability `p`.
pub(crate) fn at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { 1.0 } else { 0.0 };
    }
    if (k as f64) < n as f64 * p {
        falling_sum(k, n, p)
    } else {
        // The same tail, counted in failures: X ≥ k + 1 is n - X ≤ n - k - 1.
        (1.0 - falling_sum(n - k - 1, n, 1.0 - p)).max(0.0)
    }
}

/// `P[X ≤ k]` by adding the terms from `k` down, which shrink from the start as `k` is below the mean.
fn falling_sum(k: u64, n: u64, p: f64) -> f64 {
    let mut term = log_probability(k, n, p).exp();
    let mut sum = 0.0;
    for i in (0..=k).rev() {
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
        term *= i as f64 / (n - i + 1) as f64 * ((1.0 - p) / p);
    }
    sum.min(1.0)
}

fn log_probability(k: u64, n: u64, p: f64) -> f64 {
    let choices = log_factorial(n) - log_factorial(k) - log_factorial(n - k);
    choices + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()
}

/// `ln n!`, by Stirling's series where that is exact to the last digits.
fn log_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let correction = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + correction
}

#[cfg(test)]
mod tests {
    use super::at_most;

    #[test]
    fn agrees_with_counting() {
        for (n, p) in [(1_u64, 0.5_f64), (7, 0.1), (40, 0.9), (100, 0.33)] {
            let mut choices = 1.0_f64;
            let mut sum = 0.0;
            for k in 0..=n {
                sum += choices * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32);
                choices *= (n - k) as f64 / (k + 1) as f64;
                assert!((at_most(k, n, p) - sum).abs() < 1e-12, "n {n}, p {p}, k {k}: {} {sum}", at_most(k, n, p));
            }
        }
    }

    #[test]
    fn holds_for_many_trials() {
        // A million fair coins: half of the mass, and half of the middle term, lies at or below the middle.
        let middle = (std::f64::consts::PI * 500_000.0).sqrt().recip();
        assert!((at_most(500_000, 1_000_000, 0.5) - (0.5 + middle / 2.0)).abs() < 1e-8);
        assert!(at_most(490_000, 1_000_000, 0.5) < 1e-80);
        assert_eq!(at_most(3, 10, 0.0), 1.0);
        assert_eq!(at_most(3, 10, 1.0), 0.0);
    }
}
