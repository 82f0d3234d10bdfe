//! `data/metrics.txt`: latencies as OpenMetrics summaries, for monitoring systems that follow figures over time.

use std::fmt::Write;

use crate::record::case::CaseId;
use crate::record::unit::Unit;
use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::view::{Series, View};

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    files.write("data", "metrics", "txt", text(view))
}

fn text(view: &View) -> String {
    let mut text = String::new();
    for (unit, name, help, scale) in [
        (
            Unit::Ns,
            "cowpath_store_seconds",
            "Time that one store took, reading the clock included.",
            1e-9,
        ),
        (
            Unit::Instructions,
            "cowpath_store_instructions",
            "Instructions executed for one store.",
            1.0,
        ),
    ] {
        let series: Vec<Series> = view
            .series()
            .filter(|series| series.latency.unit == unit)
            .collect();
        if series.is_empty() {
            continue;
        }
        let suffix = name.rsplit('_').next().unwrap_or_default();
        let _ = write!(
            text,
            "# TYPE {name} summary\n# UNIT {name} {suffix}\n# HELP {name} {help}\n"
        );
        for series in series {
            let labels = labels(view, &series);
            let l = series.latency;
            for (quantile, value) in [
                ("0.5", l.p50),
                ("0.9", l.p90),
                ("0.99", l.p99),
                ("0.999", l.p999),
            ] {
                let value = value as f64 * scale;
                let _ = writeln!(text, "{name}{{{labels},quantile=\"{quantile}\"}} {value:e}");
            }
            let sum = l.mean * l.count as f64 * scale;
            let _ = writeln!(text, "{name}_count{{{labels}}} {}", l.count);
            let _ = writeln!(text, "{name}_sum{{{labels}}} {sum:e}");
        }
    }
    text + "# EOF\n"
}

fn labels(view: &View, series: &Series) -> String {
    let row = &series.row;
    let mut labels = vec![
        ("run", view.runs[row.run].label.clone()),
        ("kernel", row.file.host.kernel.release.clone()),
    ];
    labels.extend(CaseId::of(row.result).parameters());
    labels.push(("outcome", series.outcome.key().into()));
    let quoted = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    quoted.collect::<Vec<_>>().join(",")
}

/// A label's value, as the format escapes it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}
