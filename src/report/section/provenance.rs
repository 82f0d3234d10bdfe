//! Where the figures come from: enough to measure again, and to find this run among others.

use std::collections::BTreeMap;

use crate::report::document::{Block, Cell, Column, Fact, Facts, Section, Table};
use crate::report::error::ReportError;
use crate::report::packages::of_kernel;
use crate::report::view::{Run, View};
use crate::sys::files::NULL;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let blocks = view.runs.iter().flat_map(|run| {
        let caption = if view.runs.len() > 1 {
            run.label.clone()
        } else {
            String::new()
        };
        let facts = Block::Facts(Facts {
            caption,
            prominent: false,
            items: facts(view, run),
        });
        let host = &run.file.host;
        let tables = [
            table(
                view,
                run,
                "Kernel options that bear on CoW faults",
                &host.kernel.config,
            ),
            table(
                view,
                run,
                "Settings that bear on CoW faults",
                &host.settings,
            ),
        ];
        std::iter::once(facts).chain(tables.into_iter().flatten())
    });
    Ok(vec![Section::new("provenance", "Provenance", blocks)])
}

fn facts(view: &View, run: &Run) -> Vec<Fact> {
    let file = run.file;
    let config = &file.config;
    let cpus: Vec<String> = config.cpus.iter().map(u32::to_string).collect();
    let packages = of_kernel(&file.host.kernel, &view.packages);
    let packages = packages
        .into_iter()
        .map(|one| Fact::new("Package of the kernel", one));
    let mut facts = vec![
        Fact::new("Run", file.id.clone()),
        Fact::new("Measured", format!("{} to {}", file.started, file.finished)),
        Fact::new("Command", file.tool.command.join(" ")),
        Fact::new(
            "Compiler of the kernel",
            match file.host.kernel.compiler.as_str() {
                "" => "not recorded",
                compiler => compiler,
            },
        ),
        Fact::new(
            "cowpath",
            format!("{}, commit {}", file.tool.version, file.tool.commit),
        ),
        Fact::new(
            "Asked for",
            format!(
                "{}; {} pages, {} trials in each of {} repetitions; CPUs {}; seed {}{}",
                match config.scenarios.is_empty() {
                    true => "all scenarios".into(),
                    false => config.scenarios.join(" "),
                },
                config.pages,
                config.trials,
                config.reps,
                cpus.join(","),
                config.seed,
                if config.quick { "; quick" } else { "" }
            ),
        ),
        Fact::new("Kernel command line", file.host.kernel.cmdline.clone()),
    ];
    facts.extend(packages);
    facts
}

/// Names and values, which a summary leaves out; `None` where none were recorded.
fn table(view: &View, run: &Run, what: &str, map: &BTreeMap<String, String>) -> Option<Block> {
    // Older run files hold settings that were never set, as the kernel prints them.
    let mut rows = map
        .iter()
        .filter(|(_, value)| *value != NULL)
        .map(|(name, value)| [name, value].map(Cell::new).into())
        .peekable();
    let caption = match view.runs.len() {
        1 => what.into(),
        _ => format!("{what}: {}", run.label),
    };
    rows.peek().is_some().then(|| {
        Block::Table(Table::of_sentences(
            caption,
            ["name", "value"].map(|l| Column::words(l).full_only()),
            rows,
        ))
    })
}
