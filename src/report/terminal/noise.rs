//! How far runs of the same thing lie apart, as a table.

use crate::record::noise_profile::NoiseProfile;
use crate::report::document::Table;
use crate::report::format;
use crate::report::terminal::table;

/// A row for each figure.
pub fn text(profile: &NoiseProfile) -> String {
    let title = format!("How far {} runs of the same lie apart", profile.runs.len());
    let mut shown = Table::of_figures(
        title.as_str(),
        ["scenario", "outcome", "figure"],
        ["value", "unit", "between runs", "repetitions"],
    );
    for row in &profile.rows {
        shown.add([
            row.case.clone(),
            row.outcome.label().to_string(),
            row.figure.clone(),
            format::count(row.value.round() as u64),
            row.unit.label().to_string(),
            // The standard deviation of the logarithm as a factor.
            format!("{:.2} %", 100.0 * row.spread.variance.sqrt().exp_m1()),
            format!("{:.0}", row.repetitions),
        ]);
    }
    let note = "between runs: the standard deviation of a run's figure; fewer repetitions a run make it larger";
    format!("{title}\n\n{}\n\n{note}", table::text(&shown))
}
