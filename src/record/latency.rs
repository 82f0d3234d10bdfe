//! Latency histograms: the one shape that every part records into, and its way into and out of a run file.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::unit::Unit;

/// Smallest value that a histogram tells apart from zero, in ns or instructions.
const LOWEST: u64 = 1;
/// Largest value that a histogram holds, in ns or instructions: ten seconds.
const HIGHEST: u64 = 10_000_000_000;
/// Significant decimal digits kept of each value.
const DIGITS: u8 = 3;
/// Values that are told apart one by one for so many digits: twice ten to their power, and up to a power of two.
const STEPS: u64 = (2 * 10u64.pow(DIGITS as u32)).next_power_of_two();

/// First word of a V2 histogram, and of one that is compressed (HdrHistogram's wire format).
const V2_COOKIE: u32 = 0x1c84_9303 | 0x10;
const V2_COMPRESSED_COOKIE: u32 = 0x1c84_9304 | 0x10;
/// Bytes of a V2 histogram ahead of its counts.
const V2_HEADER: usize = 40;
/// Bytes that the densest histogram of this shape may unpack to, several times over.
const UNPACKED_MAX: u64 = 4 << 20;

/// A latency distribution. Quantiles are in `unit`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Number of stores.
    pub count: u64,
    /// Smallest value.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest value.
    pub max: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Unit of every figure here.
    pub unit: Unit,
    /// The whole distribution: HdrHistogram V2 compressed, base64.
    pub hdr: String,
    /// Of counted instructions each value and how often it came, the smallest first: the figures above are then exact, and not
    /// those of the histogram. Absent for times, for more than 4,096 distinct values, and in files of versions that kept the
    /// histogram alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<(u64, u64)>>,
}

/// Why a latency's `hdr` could not be read.
#[derive(Debug, Error)]
pub enum HistogramError {
    /// The text is not base64.
    #[error("the histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The bytes do not begin as an HdrHistogram V2 does, or end too early.
    #[error("the histogram is not in HdrHistogram's V2 form: {0}")]
    Form(String),
    /// The bytes unpack to more than any histogram of a run file does.
    #[error("the histogram unpacks to more than {UNPACKED_MAX} bytes")]
    TooLarge,
    /// The histogram does not hold what the figures beside it are about.
    #[error("the histogram holds {found} values where its latency says {stated}")]
    Count {
        /// What `count` says.
        stated: u64,
        /// What the histogram holds.
        found: u64,
    },
}

/// An empty histogram of the shape that every latency is recorded in: 1 to 10^10 (ten seconds in ns), 3 digits, of
/// fixed size, so that recording never allocates. Record with `saturating_record`.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST, HIGHEST, DIGITS).expect("the constant bounds are valid")
}

/// The run file's form of a distribution: its figures in `unit`, and the whole of it as HdrHistogram V2 in base64.
///
/// Quantiles are the highest value that the histogram counts as equal, as HdrHistogram reports them; an empty
/// histogram gives zeros and a `count` of 0.
pub fn latency_of(h: &Histogram<u64>, unit: Unit) -> Latency {
    let mut packed = Vec::new();
    V2DeflateSerializer::new()
        .serialize(h, &mut packed)
        .expect("writing a histogram to memory cannot fail");
    let at = |q: f64| {
        if h.is_empty() {
            0
        } else {
            h.value_at_quantile(q)
        }
    };
    Latency {
        count: h.len(),
        min: h.min(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: h.max(),
        mean: h.mean(),
        unit,
        hdr: STANDARD.encode(packed),
        values: None,
    }
}

/// The distribution behind a latency's figures.
///
/// # Errors
///
/// When `hdr` is not a V2 histogram in base64, or holds another number of values than `count` says.
pub fn decode(latency: &Latency) -> Result<Histogram<u64>, HistogramError> {
    let mut h = histogram();
    add(&mut h, latency)?;
    Ok(h)
}

/// Adds a latency's distribution to `sum`, which must have the shape that [`histogram()`] gives.
///
/// # Errors
///
/// As [`decode`]; `sum` then holds a part of it.
pub fn add(sum: &mut Histogram<u64>, latency: &Latency) -> Result<(), HistogramError> {
    counts(latency, |value, n| {
        // Every index of this shape has its value within bounds.
        let _ = sum.record_n(value, n);
    })
}

/// Whether a latency's distribution could be read.
///
/// # Errors
///
/// As [`decode`].
pub fn check(latency: &Latency) -> Result<(), HistogramError> {
    counts(latency, |_, _| {})
}

/// Hands on every value of a latency's distribution, the smallest first, and how often it was recorded.
///
/// Counts are read here and not by the library: a histogram of its own for each latency would cost more than all else
/// of reading a run file.
fn counts(latency: &Latency, mut take: impl FnMut(u64, u64)) -> Result<(), HistogramError> {
    let form = |what: &str| HistogramError::Form(what.into());
    let bytes = unpack(&STANDARD.decode(&latency.hdr)?)?;
    let stated = word(&bytes, 4)? as usize;
    let mut rest = bytes.get(V2_HEADER..).unwrap_or_default();
    if rest.len() != stated {
        let found = rest.len();
        return Err(form(&format!(
            "{stated} bytes of counts stated, {found} found"
        )));
    }
    let high = |n: u64| [(n >> 32) as u32, n as u32];
    let ([low, lowest], [top, highest]) = (high(LOWEST), high(HIGHEST));
    let [one, fraction] = [(1f64.to_bits() >> 32) as u32, 0];
    let needed = [
        0,
        u32::from(DIGITS),
        low,
        lowest,
        top,
        highest,
        one,
        fraction,
    ];
    for (n, needed) in needed.into_iter().enumerate() {
        if word(&bytes, 8 + 4 * n)? != needed {
            return Err(form(&format!(
                "not of {LOWEST} to {HIGHEST} with {DIGITS} digits"
            )));
        }
    }
    let (mut index, mut found) = (0u64, 0u64);
    while !rest.is_empty() {
        let n = varint(&mut rest).ok_or_else(|| form("it ends in a count"))?;
        // Zigzag: an odd number is negative, and so many values were not recorded.
        let amount = n.div_ceil(2);
        if n % 2 == 1 {
            index = index.saturating_add(amount);
            continue;
        }
        if amount > 0 {
            let value = value_at(index).ok_or_else(|| form("it holds more counts than values"))?;
            found = found
                .checked_add(amount)
                .ok_or_else(|| form("its counts have no sum"))?;
            take(value, amount);
        }
        index = index.saturating_add(1);
    }
    match found == latency.count {
        true => Ok(()),
        false => Err(HistogramError::Count {
            stated: latency.count,
            found,
        }),
    }
}

/// How many values are counted as `value` is: 1 below 2,048, from there twice as many for each further power of two.
pub fn bucket(value: u64) -> u64 {
    let beyond = (value / STEPS).checked_ilog2().map_or(0, |more| more + 1);
    1 << beyond
}

/// How far a recorded value of up to `most` may lie from the true one, by the clock, whose readings lie `clock` apart, and by the
/// histogram. A count that has a bucket of its own is exact.
pub fn resolution(clock: f64, most: u64, unit: Unit) -> f64 {
    let width = bucket(most) as f64;
    match unit {
        Unit::Ns => clock.max(width),
        Unit::Instructions => width - 1.0,
    }
}

/// The smallest value that is counted at `index`: one by one up to [`STEPS`], from there to each further power of two half
/// as many, twice as far apart as before.
fn value_at(index: u64) -> Option<u64> {
    let (half, rest) = (index / (STEPS / 2), index % (STEPS / 2));
    match half {
        0 => Some(index),
        // The last power of two is the first beyond the highest value.
        1..=32 => {
            Some((STEPS / 2 + rest) << (half - 1)).filter(|&v| v < HIGHEST.next_power_of_two())
        }
        _ => None,
    }
}

/// The next number of base-128 digits, the least first, each but the last with its top bit set; a ninth byte is taken whole.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for n in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let last = n == 8;
        let digit = if last { byte } else { byte & 0x7f };
        number |= u64::from(digit) << (7 * n);
        if last || byte < 0x80 {
            break;
        }
    }
    Some(number)
}

/// A V2 histogram without its compression.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, HistogramError> {
    match word(bytes, 0)? {
        V2_COOKIE => Ok(bytes.to_vec()),
        V2_COMPRESSED_COOKIE => {
            let mut plain = Vec::new();
            ZlibDecoder::new(bytes.get(8..).unwrap_or_default())
                .take(UNPACKED_MAX + 1)
                .read_to_end(&mut plain)
                .map_err(|e| HistogramError::Form(e.to_string()))?;
            if plain.len() as u64 > UNPACKED_MAX {
                return Err(HistogramError::TooLarge);
            }
            Ok(plain)
        }
        other => Err(HistogramError::Form(format!(
            "it begins with {other:#010x}"
        ))),
    }
}

/// The big-endian word at byte `at`.
fn word(bytes: &[u8], at: usize) -> Result<u32, HistogramError> {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or_else(|| HistogramError::Form(format!("it ends after {} bytes", bytes.len())))
}

#[cfg(test)]
pub(crate) mod tests {
    use hdrhistogram::serialization::Deserializer;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn filled(values: &[u64]) -> Histogram<u64> {
        let mut h = histogram();
        for &v in values {
            h.saturating_record(v);
        }
        h
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(0u64..20_000_000_000, 0..200)) {
            let h = filled(&values);
            let latency = latency_of(&h, Unit::Ns);
            prop_assert_eq!(latency.count, values.len() as u64);
            prop_assert!(latency.min <= latency.p50 && latency.p50 <= latency.p90);
            prop_assert!(latency.p999 <= latency.max);
            prop_assert_eq!(decode(&latency).unwrap(), h);
            let bytes = STANDARD.decode(&latency.hdr).unwrap();
            let by_library: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            prop_assert_eq!(decode(&latency).unwrap(), by_library);
        }

        #[test]
        fn foreign_bytes_are_refused_not_believed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let latency = Latency { hdr: STANDARD.encode(&bytes), ..latency_of(&filled(&[7]), Unit::Ns) };
            prop_assert!(decode(&latency).is_err());
        }

        #[test]
        fn a_damaged_histogram_never_panics(at in 0usize..60, byte in any::<u8>()) {
            let latency = latency_of(&filled(&[700, 1700, 90_000]), Unit::Ns);
            let mut bytes = unpack(&STANDARD.decode(&latency.hdr).unwrap()).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode(&Latency { hdr: STANDARD.encode(&bytes), ..latency });
        }
    }

    #[test]
    fn quantiles_are_within_the_stated_precision() {
        let latency = latency_of(&filled(&(1..=10_000).collect::<Vec<_>>()), Unit::Ns);
        assert_eq!((latency.min, latency.count), (1, 10_000));
        for (found, exact) in [
            (latency.p50, 5_000),
            (latency.p90, 9_000),
            (latency.p99, 9_900),
        ] {
            assert!(
                found >= exact && found <= exact + exact / 500,
                "{found} for {exact}"
            );
        }
    }

    #[test]
    fn an_empty_histogram_survives() {
        let latency = latency_of(&histogram(), Unit::Instructions);
        assert_eq!((latency.count, latency.p50, latency.max), (0, 0, 0));
        assert!(decode(&latency).unwrap().is_empty());
    }

    #[test]
    fn a_histogram_of_another_population_is_refused() {
        let latency = Latency {
            count: 3,
            ..latency_of(&filled(&[1, 2]), Unit::Ns)
        };
        let error = decode(&latency).unwrap_err();
        assert!(
            matches!(
                error,
                HistogramError::Count {
                    stated: 3,
                    found: 2
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_histogram_of_another_range_is_refused_before_it_is_allocated() {
        let mut wide = Histogram::<u64>::new_with_bounds(1, u64::MAX / 4, 5).unwrap();
        wide.record(7).unwrap();
        let latency = latency_of(&wide, Unit::Ns);
        let error = decode(&latency).unwrap_err().to_string();
        assert!(error.contains("not of 1 to 10000000000"), "{error}");
    }

    #[test]
    fn a_length_that_is_not_there_is_refused_before_it_is_allocated() {
        let latency = latency_of(&filled(&[1]), Unit::Ns);
        let mut bytes = unpack(&STANDARD.decode(&latency.hdr).unwrap()).unwrap();
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        let error = decode(&Latency {
            hdr: STANDARD.encode(&bytes),
            ..latency
        })
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("4294967295 bytes of counts stated"),
            "{error}"
        );
    }
}
