//! `hgrm/*.hgrm`: each histogram as HdrHistogram's percentile distribution, which its plotter and others' tools read.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::format;
use crate::report::view::View;

/// Lines for each halving of the distance to 100 %, as HdrHistogram's own programs have it.
const TICKS_PER_HALF: u32 = 5;

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    for series in view.series() {
        let row = &series.row;
        let stem = match view.runs.len() {
            1 => format!("{}.{}", format::slug(&row.label), series.outcome.key()),
            _ => format!(
                "{}.{}.{}",
                format::slug(&view.runs[row.run].label),
                format::slug(&row.label),
                series.outcome.key()
            ),
        };
        let text = percentile_distribution(&series.histogram()?);
        files.write("hgrm", &stem, "hgrm", text)?;
    }
    Ok(())
}

/// The text that HdrHistogram's `outputPercentileDistribution` prints, values unscaled.
fn percentile_distribution(h: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut total = 0;
    for step in h.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64, step.quantile_iterated_to());
        let _ = write!(text, "{value:12.3} {quantile:2.12} {total:10}");
        if quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let (buckets, sub_buckets) = buckets(h);
    let _ = write!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n",
        h.mean(),
        h.stdev(),
        h.max() as f64,
        h.len(),
    );
    text
}

/// How many buckets, of how many linear steps each, the histogram has: the steps are a power of two that keeps
/// the significant digits, and each bucket reaches twice as far as the one before.
fn buckets(h: &Histogram<u64>) -> (u32, u64) {
    let sub_buckets = (2 * 10u64.pow(u32::from(h.sigfig()))).next_power_of_two();
    let mut reach = sub_buckets << h.low().max(1).ilog2();
    let mut buckets = 1;
    while reach <= h.high() && reach <= u64::MAX / 2 {
        reach <<= 1;
        buckets += 1;
    }
    (buckets, sub_buckets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latency::histogram;

    /// What HdrHistogram's Java program prints for the values 1 to 10 in a histogram of this shape.
    #[test]
    fn the_text_is_hdrhistograms_own() {
        let mut h = histogram();
        (1..=10).for_each(|v| h.saturating_record(v));
        let text = percentile_distribution(&h);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(lines[1], "");
        assert_eq!(
            lines[2],
            "       1.000 0.000000000000          1           1.00"
        );
        assert!(lines.contains(&"       5.000 0.500000000000          5           2.00"));
        assert!(lines.contains(&"      10.000 1.000000000000         10"));
        assert_eq!(
            lines[lines.len() - 3..],
            [
                "#[Mean    =        5.500, StdDeviation   =        2.872]",
                "#[Max     =       10.000, Total count    =           10]",
                "#[Buckets =           24, SubBuckets     =         2048]",
            ]
        );
    }
}
