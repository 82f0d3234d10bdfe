//! Where the figures come from: enough to measure again, and to find this run among others.

use crate::report::ReportError;
use crate::report::document::{Block, Fact, Facts, Section};
use crate::report::view::{Run, View};

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let blocks = view.runs.iter().map(|run| {
        let caption = if view.runs.len() > 1 {
            run.label.clone()
        } else {
            String::new()
        };
        Block::Facts(Facts {
            caption,
            prominent: false,
            items: facts(run),
        })
    });
    Ok(vec![Section {
        id: "provenance".into(),
        title: "Provenance".into(),
        blocks: blocks.collect(),
    }])
}

fn facts(run: &Run) -> Vec<Fact> {
    let file = run.file;
    let config = &file.config;
    let cpus: Vec<String> = config.cpus.iter().map(u32::to_string).collect();
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        let each: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if each.is_empty() {
            "none recorded".into()
        } else {
            each.join(", ")
        }
    };
    vec![
        Fact::new("Run", file.id.clone()),
        Fact::new("Measured", format!("{} to {}", file.started, file.finished)),
        Fact::new("Command", file.tool.command.join(" ")),
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
        Fact::new("Kernel options", pairs(&file.host.kernel.config)),
        Fact::new("Settings", pairs(&file.host.settings)),
    ]
}
