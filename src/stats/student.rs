//! Student's t distribution, whose quantiles are looked up again and again.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Degrees of freedom from which t is normal to within a thousandth of a standard error, where this program looks.
const NORMAL: f64 = 1e5;

/// Quantiles that were asked for before.
#[derive(Clone, Debug, Default)]
pub struct Student {
    known: Vec<(f64, f64, f64)>,
}

impl Student {
    /// The value that t stays below with `probability`; infinity where `freedom` is no number above 0.
    pub fn quantile(&mut self, freedom: f64, probability: f64) -> f64 {
        let mut known = self.known.iter();
        let same = known.find(|(f, p, _)| *f == freedom && *p == probability);
        if let Some((_, _, found)) = same {
            return *found;
        }
        let found = match StudentsT::new(0.0, 1.0, freedom) {
            Ok(t) if freedom < NORMAL => t.inverse_cdf(probability),
            Ok(_) => Normal::standard().inverse_cdf(probability),
            Err(_) => f64::INFINITY,
        };
        self.known.push((freedom, probability, found));
        found
    }

    /// The two-sided p of `t`, which must not be negative; 1 where `freedom` is no number above 0.
    pub fn p(&self, freedom: f64, t: f64) -> f64 {
        match StudentsT::new(0.0, 1.0, freedom) {
            Ok(dist) if freedom < NORMAL => 2.0 * dist.cdf(-t),
            Ok(_) => 2.0 * Normal::standard().cdf(-t),
            Err(_) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As tabulated.
    #[test]
    fn quantiles_and_p_match_the_tables() {
        let mut student = Student::default();
        for (freedom, probability, value) in [
            (1.0, 0.975, 12.706_205),
            (2.0, 0.975, 4.302_653),
            (4.0, 0.999_5, 8.610_302),
            (8.0, 0.8, 0.888_890),
            (1e7, 0.975, 1.959_964),
        ] {
            let found = student.quantile(freedom, probability);
            assert!(
                (found / value - 1.0).abs() < 1e-5,
                "{freedom} {probability}: {found}"
            );
            let p = student.p(freedom, found);
            assert!(
                (p - 2.0 * (1.0 - probability)).abs() < 1e-6,
                "{freedom}: {p}"
            );
        }
        assert_eq!(student.quantile(f64::NAN, 0.9), f64::INFINITY);
        assert_eq!(student.p(0.0, 3.0), 1.0);
    }
}
