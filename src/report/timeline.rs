//! A staged race as text: what happened on each CPU, what A's page table held, and what everybody saw.

use std::fmt::Write;

use super::sweep::{text as sweep_text, verdicts};
use crate::record::moves::{FaultOutcome, Party};
use crate::record::predicted::Predicted;
use crate::record::staged::{Acted, Observation, StagedResult};
use crate::scenario::staged::Staged;
use crate::scenario::staged::catalogue::STAGED;

/// Characters of one CPU's lane.
const LANE: usize = 30;

/// The race's sentence in the catalogue; empty for one that this version does not know.
pub fn summary(id: &str) -> &'static str {
    let found = STAGED.iter().find(|staged| staged.id == id);
    found.map_or("", |staged| staged.summary)
}

/// Verdict and whether it is as predicted, in a few words; of a sweep every verdict and how often.
pub fn verdict(result: &StagedResult) -> String {
    let lock = result.parts.iter().find_map(|part| part.waited.as_ref());
    let said = match (&result.sweep, lock) {
        (Some(sweep), _) => verdicts(sweep),
        (None, Some(wait)) => format!("{} on {}", result.verdict.label(), wait.lock.label()),
        (None, None) => result.verdict.label().into(),
    };
    format!("{said} ({})", result.agreement())
}

/// What each party came to: `thread 1: backoff, thread 2: copy`.
pub fn parts(result: &StagedResult) -> String {
    let told = |part: &Acted| {
        let came = part.came.map_or("never came back", FaultOutcome::label);
        (part.came != Some(FaultOutcome::Done)).then(|| format!("{}: {came}", part.party.label()))
    };
    let told: Vec<String> = result.parts.iter().filter_map(told).collect();
    told.join(", ")
}

/// What a witness saw: `A's mapping: thread 1 stored, thread 2 old, B old, rest old`.
pub fn seen(seen: &Observation) -> String {
    let word = |party: Party| format!("{} {}", party.label(), seen.word(party).label());
    let words: Vec<String> = Party::ALL.into_iter().map(word).collect();
    format!(
        "{}: {}, rest {}",
        seen.through.label(),
        words.join(", "),
        seen.rest.label()
    )
}

/// One line of a timeline: what happens in which lane, and the page table behind it.
pub struct LaneRow {
    /// Whose lane; `None` where nobody moves.
    pub party: Option<Party>,
    /// What happens.
    pub what: String,
    /// A's page table entry, and how often the page is mapped.
    pub page: String,
    /// Whether thread 1 is held.
    pub held: bool,
}

/// The rows of a timeline.
pub fn rows(result: &StagedResult) -> Vec<LaneRow> {
    let rows = result.stations.iter().map(|station| {
        let what = station.party.map_or(station.after.as_str(), |party| {
            let after = station.after.strip_prefix(party.label());
            after.map_or(station.after.as_str(), str::trim_start)
        });
        let page = station.pte.as_ref().map_or(String::new(), |pte| {
            let mapped = station
                .mapcount
                .map_or(String::new(), |n| format!(", mapped {n}x"));
            format!("{}{mapped}", pte.brief())
        });
        LaneRow {
            party: station.party,
            what: station
                .came
                .map_or(what.into(), |came| format!("{what}: {}", came.label())),
            page,
            held: station.held,
        }
    });
    rows.collect()
}

/// The whole race.
pub fn text(result: &StagedResult) -> String {
    let mut out = format!("{}: {}\n", result.scenario, verdict(result));
    let mut line = |text: String| {
        let _ = writeln!(out, "  {text}");
    };
    line(summary(&result.scenario).into());
    if result.sweep.is_some() {
        line(format!(
            "the worst of the sweep that follows: {}",
            result.verdict.label()
        ));
    }
    line(format!("verdict: {}", result.reason));
    let parts = parts(result);
    if !parts.is_empty() {
        line(parts);
    }
    for surprise in result.surprises() {
        line(format!("! {surprise}"));
    }
    if let Some(held) = &result.held {
        line(format!(
            "held {}: {} of {}",
            held.point.label(),
            held.function,
            held.caller
        ));
    }
    for part in &result.parts {
        if let Some(wait) = &part.waited {
            line(format!(
                "{} waits for {} ({}): {}",
                part.party.label(),
                wait.lock.label(),
                if wait.asleep { "asleep" } else { "spinning" },
                wait.stack.join(" < ")
            ));
        }
    }
    lanes(result).into_iter().for_each(&mut line);
    for one in &result.seen {
        line(seen(one));
    }
    if let Some(sweep) = &result.sweep {
        out += &sweep_text(sweep);
    }
    out
}

/// What happened, a lane for each party.
fn lanes(result: &StagedResult) -> Vec<String> {
    let line = |[one, two, sharer]: [String; 3], page: &str| {
        let line = format!("{one:LANE$}{two:LANE$}{sharer:LANE$}{page}");
        line.trim_end().to_owned()
    };
    let mut lines = Vec::new();
    if !result.stations.is_empty() {
        let heads = Party::ALL.map(|party| format!("CPU {} {}", party.cpu(), party.label()));
        lines.push(line(heads, "A's page"));
    }
    for row in rows(result) {
        let mut lanes: [Vec<String>; 3] = Default::default();
        let lane = row.party.map_or(0, |party| party as usize);
        lanes[lane] = wrap(&row.what, LANE - 2);
        if row.held && lane != 0 {
            lanes[0] = vec!["|".into()];
        }
        let height = lanes.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let cells = [0, 1, 2].map(|lane| lanes[lane].get(at).cloned().unwrap_or_default());
            lines.push(line(cells, if at == 0 { &row.page } else { "" }));
        }
    }
    lines
}

/// The races and what is expected of them.
pub fn catalogue(races: &[&Staged]) -> String {
    let mut out = String::new();
    for race in races {
        let _ = writeln!(out, "{}\n  {}", race.id, race.summary);
        let _ = writeln!(out, "  thread 1 is held {}", race.hold.label());
        for (at, one) in race.expected.iter().enumerate() {
            let condition = one.condition_after(at);
            let _ = writeln!(out, "  {condition}{}", predicted(&one.outcomes));
            let _ = writeln!(out, "      {}", one.basis.label());
        }
    }
    out
}

/// What was predicted, in words.
pub fn predicted(predicted: &Predicted) -> String {
    let lock = predicted
        .lock
        .map_or(String::new(), |lock| format!(" on {}", lock.label()));
    let rival = predicted
        .rival
        .map_or(String::new(), |rival| format!(", rival: {}", rival.label()));
    format!(
        "{}{lock}; thread 1: {}{rival}",
        predicted.verdict.label(),
        predicted.one.label()
    )
}

/// Breaks text at spaces into lines of at most `width` characters, where words allow it.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn each_race_says_what_each_strategy_predicts() {
        let races: Vec<&Staged> = STAGED.iter().collect();
        let text = catalogue(&races);
        for race in STAGED {
            assert!(text.contains(race.id));
        }
        assert!(text.contains("from 5.19 on: stale pin; thread 1: copy, rival: unshare reuse"));
        assert!(text.contains("blocked on the VMA lock"));
    }
}
