//! `data/results.ktap`: whether each case kept its data and came to what is predicted, as KTAP 1, which the kernel's own
//! test tools and CI systems read (Documentation/dev-tools/ktap.rst).

use std::fmt::Write as _;

use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::view::{CaseRow, View};

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    files.write("data", "results", "ktap", text(view))
}

fn text(view: &View) -> String {
    let rows: Vec<&CaseRow> = view.rows().collect();
    let skipped: Vec<_> = view
        .runs
        .iter()
        .flat_map(|run| run.file.skipped.iter().map(move |skipped| (run, skipped)))
        .collect();
    let mut text = format!("KTAP version 1\n1..{}\n", rows.len() + skipped.len());
    let prefix = |label: &str| match view.runs.len() {
        1 => String::new(),
        _ => format!("{} ", plain(label)),
    };
    for (number, row) in (1..).zip(&rows) {
        let name = prefix(&view.runs[row.run].label) + &plain(&row.label);
        let (held, why) = judged(row);
        let result = if held { "ok" } else { "not ok" };
        for line in why {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{result} {number} {name}");
    }
    for (number, (run, skipped)) in (rows.len() + 1..).zip(skipped) {
        let name = prefix(&run.label) + &plain(&skipped.scenario);
        let _ = writeln!(text, "ok {number} {name} # SKIP {}", plain(&skipped.reason));
    }
    text
}

/// Whether a case kept its data and came to what is predicted, and what there is to say of it.
fn judged(row: &CaseRow) -> (bool, Vec<String>) {
    let mut why = Vec::new();
    let wrong = row.result.integrity.violations;
    if wrong > 0 {
        why.push(format!("{wrong} words of data were not as they must be"));
    }
    if row.unexpected()
        && let Some((part, whole)) = row.as_expected()
    {
        why.push(format!(
            "{part} of {whole} operations came to what is predicted"
        ));
    }
    let not_allowed = row.result.race.as_ref().map_or(0, |race| race.not_allowed);
    if not_allowed > 0 {
        why.push(format!(
            "{not_allowed} counted pages came to what the kernel's rule does not allow"
        ));
    }
    let held = why.is_empty();
    let lost = row.result.lost.len();
    if lost > 0 {
        why.push(format!("{lost} repetitions were lost"));
    }
    if row.as_expected().is_none() {
        why.push("nothing is predicted, or no oracle could tell".into());
    }
    (held, why)
}

/// A text on one line in which nothing is taken for a directive.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() || c == '#' { ' ' } else { c };
    text.chars().map(shown).collect()
}
