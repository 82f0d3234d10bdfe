//! `data/latencies.csv`, `data/repetitions.csv` and, where there are any, `data/differences.csv`: the figures for spreadsheets and scripts, as RFC 4180 has it.

use crate::record::case::CaseId;
use crate::record::outcome::Outcome;
use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::format::csv_field;
use crate::report::view::{CaseRow, View};

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    files.write("data", "latencies", "csv", latencies(view))?;
    files.write("data", "repetitions", "csv", repetitions(view))?;
    match differences(view) {
        Some(text) => files.write("data", "differences", "csv", text),
        None => Ok(()),
    }
}

fn latencies(view: &View) -> String {
    let mut text = format!("{},count,min,p50,p90,p99,p999,max,mean\r\n", columns(view));
    for series in view.series() {
        let l = series.latency;
        let mut fields = case(view, &series.row, series.outcome.key(), l.unit.label());
        fields.extend([l.count, l.min, l.p50, l.p90, l.p99, l.p999, l.max].map(|n| n.to_string()));
        fields.push(l.mean.to_string());
        line(&mut text, &fields);
    }
    text
}

fn repetitions(view: &View) -> String {
    let mut text = format!(
        "{},repetition,count,p50,p90,p99,mean,disturbed\r\n",
        columns(view)
    );
    for series in view.series() {
        for repetition in &series.row.result.repetitions {
            let Some(l) = repetition.by_outcome.get(&series.outcome) else {
                continue;
            };
            let disturbed = repetition
                .interference
                .as_ref()
                .map_or(String::new(), |interference| {
                    interference.disturbed.join("; ")
                });
            let unit = series.latency.unit.label();
            let mut fields = case(view, &series.row, series.outcome.key(), unit);
            fields.push(repetition.index.to_string());
            fields.extend([l.count, l.p50, l.p90, l.p99].map(|n| n.to_string()));
            fields.extend([l.mean.to_string(), disturbed]);
            line(&mut text, &fields);
        }
    }
    text
}

/// What areas add to an operation, per 2 MiB: a line for each repetition.
fn differences(view: &View) -> Option<String> {
    let mut text = format!("{},repetition,difference\r\n", columns(view));
    let mut any = false;
    for row in view.rows() {
        for repetition in &row.result.repetitions {
            let Some(difference) = repetition.difference else {
                continue;
            };
            let operation = Outcome::Operation.key();
            let mut fields = case(view, row, operation, row.result.unit().label());
            fields.extend([repetition.index.to_string(), difference.to_string()]);
            line(&mut text, &fields);
            any = true;
        }
    }
    any.then_some(text)
}

/// The names of what [`case`] gives.
fn columns(view: &View) -> String {
    let row = view.rows().next();
    let parameters = row.map(|row| CaseId::of(row.result).parameters());
    let names = parameters.iter().flatten().map(|(name, _)| *name);
    let names: Vec<&str> = ["run", "kernel", "virtualization"]
        .into_iter()
        .chain(names)
        .chain(["outcome", "unit"])
        .collect();
    names.join(",")
}

fn case(view: &View, row: &CaseRow, outcome: &str, unit: &str) -> Vec<String> {
    let host = &row.file.host;
    let mut fields = vec![
        view.runs[row.run].label.clone(),
        host.kernel.release.clone(),
        host.virtualization.to_string(),
    ];
    fields.extend(CaseId::of(row.result).parameters().map(|(_, value)| value));
    fields.extend([outcome.into(), unit.into()]);
    fields
}

fn line(text: &mut String, fields: &[String]) {
    let quoted: Vec<String> = fields.iter().map(|field| csv_field(field)).collect();
    text.push_str(&quoted.join(","));
    text.push_str("\r\n");
}
