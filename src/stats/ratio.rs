//! The ratio of two medians, with an interval by resampling repetitions.

use crate::stats::interval::median;

/// Resamples of one bootstrap: the ends of a 95 % interval then rest on 50 resamples each.
const RESAMPLES: usize = 2_000;
/// Fewest repetitions on either side from which an interval is made.
const FEWEST: usize = 6;

/// A ratio of medians.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Median of the one over the median of the other.
    pub value: f64,
    /// Ends of the 95 % interval; `None` with fewer than 6 repetitions on either side.
    pub interval: Option<(f64, f64)>,
}

/// `median(over) / median(under)`, with the 95 % percentile interval of a bootstrap that resamples the repetitions of
/// either side by themselves (Efron and Tibshirani, An Introduction to the Bootstrap, 13.3). The same seed gives the
/// same interval. `None` without values or for a median of zero below the line.
pub fn ratio_of_medians(over: &[f64], under: &[f64], seed: u64) -> Option<Ratio> {
    let value = quotient(over, under)?;
    if over.len() < FEWEST || under.len() < FEWEST {
        return Some(Ratio {
            value,
            interval: None,
        });
    }
    let mut random = SplitMix64::new(seed);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| quotient(&random.resample(over), &random.resample(under)))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = ratios.len() / 40;
    let interval = ratios
        .get(tail)
        .copied()
        .zip(ratios.iter().rev().nth(tail).copied());
    Some(Ratio { value, interval })
}

fn quotient(over: &[f64], under: &[f64]) -> Option<f64> {
    let (over, under) = (median(over)?, median(under)?);
    (under != 0.0).then(|| over / under)
}

/// The generator of Steele, Lea and Flood (Fast Splittable Pseudorandom Number Generators, 2014): small, and good
/// enough to resample with.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from 0 up to but not including `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }

    /// As many values as were given, each drawn from all of them.
    pub fn resample(&mut self, values: &[f64]) -> Vec<f64> {
        let n = values.len();
        (0..n).map(|_| values[self.below(n)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The reference implementation's first outputs for seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_interval_holds_the_ratio_and_repeats() {
        let reuse = [700.0, 710.0, 705.0, 720.0, 698.0, 702.0, 711.0, 707.0];
        let copy = reuse.map(|v| v * 2.5);
        let found = ratio_of_medians(&copy, &reuse, 1).unwrap();
        let (low, high) = found.interval.unwrap();
        assert!((found.value - 2.5).abs() < 1e-12);
        assert!(
            low < 2.5 && 2.5 < high && low > 2.4 && high < 2.6,
            "{low} to {high}"
        );
        assert_eq!(ratio_of_medians(&copy, &reuse, 1), Some(found));
    }

    #[test]
    fn identical_repetitions_leave_no_doubt() {
        let found = ratio_of_medians(&[3.0; 6], &[2.0; 6], 9).unwrap();
        assert_eq!(found.interval, Some((1.5, 1.5)));
    }

    #[test]
    fn too_few_repetitions_give_a_ratio_without_an_interval() {
        let found = ratio_of_medians(&[4.0; 5], &[2.0; 9], 1).unwrap();
        assert_eq!((found.value, found.interval), (2.0, None));
    }

    #[test]
    fn nothing_to_divide_is_no_ratio() {
        assert_eq!(ratio_of_medians(&[], &[1.0], 1), None);
        assert_eq!(ratio_of_medians(&[1.0], &[0.0], 1), None);
    }
}
