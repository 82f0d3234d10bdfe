//! The catalogue, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::scenario::Scenario;
use crate::scenario::expectation::Expectation;
use crate::scenario::law::LawPoint;
use crate::scenario::workload::{OtherProcess, Rendezvous, Workload};

/// The catalogue as text.
pub fn text(scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        let _ = writeln!(text, "{}", scenario.id);
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "    {name:<9} {what}");
        };
        line("what", scenario.summary);
        let steps = scenario.steps.iter().map(|step| step.label());
        let steps: Vec<String> = std::iter::once("map".into()).chain(steps).collect();
        line("set-up", &steps.join(", "));
        line("proven", &scenario.mapping.label());
        for one in scenario.mapping_elsewhere {
            let (condition, mapping) = (one.condition(), one.outcomes.label());
            line(
                "",
                &format!("{condition}: {mapping} ({})", one.basis.label()),
            );
        }
        line("timed", &timed(scenario));
        line("path", scenario.path);
        expectations(&mut line, "expected", scenario.expected, |o| {
            o.label().into()
        });
        if let Some(race) = scenario.race() {
            expectations(&mut line, "allowed", race.allowed, |result| result.label());
        }
        for need in scenario.needs() {
            line("needs", need);
        }
        if let Some(LawPoint { law, at }) = scenario.point {
            let (name, per, question) = (law.name, law.per, law.question);
            line("law", &format!("{name}, {per} {at}: {question}"));
        }
        if scenario.long {
            line("run", "by name alone; without names it is left out");
        }
        text.push('\n');
    }
    text
}

/// What is timed, in words.
fn timed(scenario: &Scenario) -> String {
    let race = match &scenario.play {
        Workload::Stores(actor) => {
            return format!("the {} {}", actor.label(), scenario.timed_label());
        }
        Workload::Race(race) => race,
        Workload::Held => {
            return "nothing: thread 1 of the parent stores and is held in the copy window; the child exits; thread 2 pins the page".into();
        }
    };
    let mut text = format!(
        "in the {}: thread 1 {}",
        race.within.label(),
        race.first.label()
    );
    let _ = write!(text, ", thread 2 {}", race.rival.label());
    match race.rendezvous {
        Rendezvous::Deadline => text += ", at one moment",
        Rendezvous::Swept(ns) => {
            let _ = write!(text, " from 0 to {ns} ns later");
        }
        Rendezvous::Free => text += ", each at its own speed",
    }
    match race.other_process {
        OtherProcess::Rests => {}
        OtherProcess::Exits => text += "; a process forked for the page exits meanwhile",
        OtherProcess::Unmaps => text += "; the child unmaps the page meanwhile",
    }
    text
}

/// Each expectation with the kernels that it holds for and its basis.
fn expectations<T: Copy>(
    line: &mut impl FnMut(&str, &str),
    name: &str,
    expected: &[Expectation<&[T]>],
    label: impl Fn(&T) -> String,
) {
    for (at, one) in expected.iter().enumerate() {
        let outcomes: Vec<String> = one.outcomes.iter().map(&label).collect();
        let outcomes = outcomes.join(" or ");
        let condition = one.condition_after(at);
        let name = if at == 0 { name } else { "" };
        line(
            name,
            &format!("{condition}{outcomes} ({})", one.basis.label()),
        );
    }
}

/// The catalogue as JSON: an array of scenarios.
///
/// # Errors
/// Those of the JSON writer.
pub fn json(scenarios: &[&Scenario]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Listed<'a> {
        #[serde(flatten)]
        scenario: &'a Scenario,
        group: &'a str,
        needs: Vec<&'a str>,
    }
    let listed: Vec<Listed> = scenarios
        .iter()
        .map(|scenario| Listed {
            scenario,
            group: scenario.group(),
            needs: scenario.needs(),
        })
        .collect();
    serde_json::to_string_pretty(&listed)
}
