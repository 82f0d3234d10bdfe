//! A sweep in words: how many interleavings there were, what they came to, and why some were not played.

use std::fmt::Write;

use crate::record::moves::{FaultOutcome, RaceVerdict};
use crate::record::sweep::{Interleaving, Sweep};

/// How many came to what: `coherent 9, blocked 4, stale pin 6`.
pub fn verdicts(sweep: &Sweep) -> String {
    let counts = sweep.verdicts();
    let told = counts
        .iter()
        .map(|(verdict, n)| format!("{} {n}", verdict.label()));
    told.collect::<Vec<_>>().join(", ")
}

/// How many there are, were played and were not, with the reasons.
pub fn counts(sweep: &Sweep) -> String {
    let pruned = sweep.pruned();
    let total: u64 = pruned.values().sum();
    let mut text = format!(
        "{} interleavings: {} played in {} s, {total} pruned",
        sweep.interleavings,
        sweep.played.len(),
        sweep.seconds
    );
    if total > 0 {
        let why = pruned
            .iter()
            .map(|(why, n)| format!("{n}: {}", why.label()));
        let _ = write!(text, " ({})", why.collect::<Vec<_>>().join("; "));
    }
    if let Some(why) = &sweep.why_left_out {
        let _ = write!(text, ", {} LEFT OUT ({why})", sweep.left_out);
    }
    text
}

/// What one came to: the verdict, and in brackets thread 1's part and its rival's.
pub fn outcome(one: &Interleaving) -> String {
    let mut text = one.verdict.label().to_owned();
    if let Some(lock) = one.waited.filter(|_| one.verdict == RaceVerdict::Blocked) {
        let _ = write!(text, " on {}", lock.label());
    }
    let both: Vec<&str> = one
        .one
        .into_iter()
        .chain(one.rival)
        .map(FaultOutcome::label)
        .collect();
    if !both.is_empty() {
        let _ = write!(text, " ({})", both.join(", "));
    }
    text
}

/// Every interleaving that was played in a line, the earliest moves first.
pub fn text(sweep: &Sweep) -> String {
    let mut out = format!("  {}\n  how far thread 1 is when\n", counts(sweep));
    let mut rows: Vec<Vec<String>> = vec![sweep.moves.clone()];
    for one in sweep.played.iter().rev() {
        let places = one.places.iter().map(|place| place.label().to_owned());
        rows.push(places.chain([outcome(one)]).collect());
    }
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(out, "    {}", line.join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::moves::Lock;
    use crate::record::progress::Progress;
    use crate::record::sweep::{Pruned, Why};

    #[test]
    fn a_sweep_lists_its_interleavings_and_says_what_it_left_out() {
        let one = |place, verdict, waited| Interleaving {
            places: vec![place],
            verdict,
            reason: String::new(),
            one: Some(FaultOutcome::Copy),
            rival: None,
            waited,
        };
        let sweep = Sweep {
            moves: vec!["thread 2 stores".into()],
            interleavings: 7,
            played: vec![
                one(Progress::AfterStore, RaceVerdict::Coherent, None),
                one(
                    Progress::Flushed,
                    RaceVerdict::Blocked,
                    Some(Lock::PageTable),
                ),
            ],
            pruned: vec![Pruned {
                places: vec![Progress::Copied],
                why: Why::NoHoldPoint,
                count: 1,
            }],
            left_out: 4,
            why_left_out: Some("the time was up".into()),
            seconds: 3,
        };
        let text = text(&sweep);
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert_eq!(
            lines,
            [
                "7 interleavings: 2 played in 3 s, 1 pruned (1: this kernel has no such hold point), 4 LEFT OUT (the time was up)",
                "how far thread 1 is when",
                "thread 2 stores",
                "after the flush  blocked on the page-table lock (copy)",
                "done             coherent (copy)",
            ]
        );
        assert_eq!(verdicts(&sweep), "coherent 1, blocked 1");
    }
}
