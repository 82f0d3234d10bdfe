//! What was measured on: the machine, its kernel, the reuse rule it follows, the clock; and what a reader must know first.

use crate::compare::drift::Drift;
use crate::record::case::violated;
use crate::record::schema::RunFile;
use crate::record::unit::Unit;
use crate::record::virtualization::Virtualization;
use crate::report::document::{Block, Fact, Facts, Section};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::section::facts::facts_table;
use crate::report::view::{self, Run, View};
use crate::stats::shape::spacing;

/// What changes how every figure is to be read, each once.
pub(super) fn warnings(view: &View) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for run in &view.runs {
        for text in notices(run.file) {
            match said.iter_mut().find(|(t, _)| *t == text) {
                Some((_, labels)) => labels.push(&run.label),
                None => said.push((text, vec![&run.label])),
            }
        }
    }
    for (text, labels) in said {
        let of = match (view.runs.len(), labels.len()) {
            (1, _) => String::new(),
            (all, n) if n == all => "All runs: ".into(),
            _ => format!("{}: ", labels.join(", ")),
        };
        blocks.push(Block::notice(format!("{of}{text}")));
    }
    blocks
}

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let mut blocks = Vec::new();
    match &view.runs[..] {
        [run] => blocks.push(Block::Facts(Facts {
            caption: String::new(),
            prominent: false,
            items: facts(view, run)?,
        })),
        runs => {
            let each: Result<Vec<_>, ReportError> = runs
                .iter()
                .map(|r| Ok((r.label.as_str(), facts(view, r)?)))
                .collect();
            blocks.push(Block::Table(facts_table(
                "What was measured on",
                &told(each?),
            )));
        }
    }
    Ok(vec![Section::new(
        "machine",
        "Machine and strategy",
        blocks,
    )])
}

/// The facts without those that the labels of several runs and the table of their fingerprints hold already.
fn told(mut runs: Vec<(&str, Vec<Fact>)>) -> Vec<(&str, Vec<Fact>)> {
    for (_, facts) in &mut runs {
        facts.retain(|f| !f.name.starts_with("Strategy") && f.name != "Virtualization");
    }
    runs
}

/// What changes how every figure of the run is to be read.
fn notices(file: &RunFile) -> Vec<String> {
    let mut notices = Vec::new();
    if !file.complete {
        notices.push(
            "This run was interrupted: what is here was measured to its end, but scenarios or repetitions are missing."
                .into(),
        );
    }
    let violations: u64 = file.results.iter().map(|r| r.integrity.violations).sum();
    if violations > 0 {
        notices.push(format!(
            "Data was not as it must be in {} words, a store was lost, a copy torn or a page leaked: {}.",
            format::count(violations),
            violated(&file.results).join("; ")
        ));
    }
    let units: Vec<Unit> = file
        .results
        .iter()
        .flat_map(|r| r.latency.values())
        .map(|l| l.unit)
        .collect();
    if units.contains(&Unit::Instructions) {
        notices.push(
            "Figures are instructions executed, not time: a count of work, without caches, TLB or contention. Compare \
             smallest values and medians; never set them beside nanoseconds."
                .into(),
        );
    } else if file.host.virtualization == Virtualization::Tcg {
        notices.push(
            "Measured in an emulator (TCG): outcomes and counts hold as on hardware, times do not compare with it."
                .into(),
        );
    }
    notices.extend(Drift::of(file).map(|drift| drift.told()));
    if file.results.is_empty() && file.staged.is_empty() {
        notices.push("Nothing was measured; the skipped scenarios below say why.".into());
    }
    notices
}

fn facts(view: &View, run: &Run) -> Result<Vec<Fact>, ReportError> {
    let RunFile {
        host,
        strategy,
        clock,
        audit,
        ..
    } = run.file;
    let unit = host.virtualization.unit();
    let warnings = audit
        .iter()
        .filter(|c| c.severity >= crate::record::audit::Severity::Warning);
    let warnings = warnings.count();
    let floor = (view
        .runs
        .iter()
        .position(|r| std::ptr::eq(r.file, run.file)))
    .and_then(|n| view::find(view, n, view::FLOOR));
    let step = match floor {
        Some(floor) => spacing(&floor.histogram()?),
        None => None,
    };
    let step = step.map(|step| {
        format!(
            "It counts in steps: the values of {} lie {} apart, and latencies lie on the same steps.",
            view::FLOOR.0,
            format::duration(step)
        )
    });
    Ok(vec![
        Fact::new("Kernel", format!("{} {}", host.kernel.release, host.arch))
            .detail(host.kernel.version.clone()),
        Fact::new("Strategy, 4 KiB pages", strategy.small.label())
            .details(strategy.evidence.iter().cloned()),
        Fact::new("Strategy, large folios", strategy.large.label()),
        Fact::new("Reading pin of a shared page", strategy.pin.label()),
        Fact::new("CPU", host.cpu.clone()).detail(format!("{} online", host.cpus)),
        Fact::new("Memory", format::bytes(host.memory_bytes)),
        Fact::new("Virtualization", host.virtualization.to_string()),
        Fact::new("Clock", format::clock(clock, unit))
            .detail(
                format!(
                    "An empty interval reads {}; not subtracted from any figure. {}",
                    format::latency(clock.overhead_ns, unit),
                    clock.note
                )
                .trim(),
            )
            .details(step),
        Fact::new(
            "Machine checks",
            match warnings {
                _ if audit.is_empty() => "none recorded".into(),
                0 => format!("{} checks, no warning", audit.len()),
                1 => format!("{} checks, 1 warning", audit.len()),
                n => format!("{} checks, {n} warnings", audit.len()),
            },
        ),
    ])
}
