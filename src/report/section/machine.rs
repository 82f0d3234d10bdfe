//! What was measured on: the machine, its kernel, the reuse rule it follows, the clock; and what a reader must know first.

use crate::report::ReportError;
use crate::report::document::{Block, Fact, Facts, Section};
use crate::report::format;
use crate::report::view::{Run, View};
use crate::run::schema::{RunFile, Unit};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let mut blocks = Vec::new();
    for run in &view.runs {
        let of = if view.runs.len() > 1 {
            format!("{}: ", run.label)
        } else {
            String::new()
        };
        for text in notices(run.file) {
            blocks.push(Block::Notice {
                text: format!("{of}{text}"),
            });
        }
    }
    for run in &view.runs {
        blocks.push(Block::Facts(Facts {
            caption: if view.runs.len() > 1 {
                run.label.clone()
            } else {
                String::new()
            },
            prominent: false,
            items: facts(run),
        }));
    }
    Ok(vec![Section {
        id: "machine".into(),
        title: "Machine and strategy".into(),
        blocks,
    }])
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
            "Data was not as it must be in {} words: a store was lost, a copy torn or a page leaked.",
            format::count(violations)
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
    } else if file.host.virtualization == "tcg" {
        notices.push(
            "Measured in an emulator (TCG): outcomes and counts hold as on hardware, times do not compare with it."
                .into(),
        );
    }
    if file.results.is_empty() {
        notices.push("Nothing was measured; the skipped scenarios below say why.".into());
    }
    notices
}

fn facts(run: &Run) -> Vec<Fact> {
    let RunFile {
        host,
        strategy,
        clock,
        audit,
        ..
    } = run.file;
    let warnings = audit
        .iter()
        .filter(|c| c.severity >= crate::machine::audit::Severity::Warning);
    let warnings = warnings.count();
    vec![
        Fact::new("Kernel", format!("{} {}", host.kernel.release, host.arch))
            .detail(host.kernel.version.clone()),
        Fact::new("Strategy, 4 KiB pages", strategy.small.label())
            .details(strategy.evidence.iter().cloned()),
        Fact::new("Strategy, large folios", strategy.large.label()),
        Fact::new("CPU", host.cpu.clone()).detail(format!("{} online", host.cpus)),
        Fact::new("Memory", format::bytes(host.memory_bytes)),
        Fact::new("Virtualization", host.virtualization.clone()),
        Fact::new(
            "Clock",
            format!("{}, {:.3} MHz", clock.source, clock.hz / 1e6),
        )
        .detail(
            format!(
                "An empty interval reads {}; not subtracted from any figure. {}",
                format::duration(clock.overhead_ns),
                clock.note
            )
            .trim(),
        ),
        Fact::new(
            "Machine checks",
            match warnings {
                _ if audit.is_empty() => "none recorded".into(),
                0 => format!("{} checks, no warning", audit.len()),
                1 => format!("{} checks, 1 warning", audit.len()),
                n => format!("{} checks, {n} warnings", audit.len()),
            },
        ),
    ]
}
