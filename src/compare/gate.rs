//! Whether a change is to be stopped: slower for sure, by more than is allowed, and not because the machine was.

use serde::Serialize;

use super::side::{CONTROL, Side};
use crate::compare::options::{Options, Verdict};
use crate::compare::row::{Row, compared};
use crate::record::case::CaseId;
use crate::stats::effect::Doubt;

/// The gate's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// The slow-down that is allowed, as a share.
    pub allowed: f64,
    /// Rows whose whole interval lies beyond it.
    pub regressions: Vec<String>,
    /// Rows that do too, where the control scenario moved the same way: the machine was slower, not only the kernel.
    pub withheld: Vec<String>,
    /// Whether there was a control scenario on both sides.
    pub controlled: bool,
}

impl Gate {
    /// Whether the change may pass.
    pub fn passed(&self) -> bool {
        self.regressions.is_empty()
    }
}

/// Judges rows by the slow-down `allowed`.
pub(super) fn gate(rows: &[Row], base: &Side, new: &Side, allowed: f64, options: &Options) -> Gate {
    let control = |row: &Row| {
        let of = |case: &&CaseId| case.scenario == CONTROL.0 && case.strategy == row.case.strategy;
        let case = base.cases.iter().map(|(case, _)| case).find(of)?;
        Some((base.seen(case)?, new.seen(case)?))
    };
    let mut gate = Gate {
        allowed,
        regressions: Vec::new(),
        withheld: Vec::new(),
        controlled: rows.iter().any(|row| control(row).is_some()),
    };
    for row in rows {
        let beyond = row.effect.interval.filter(|ends| ends.low > 1.0 + allowed);
        let Some(interval) = beyond else {
            continue;
        };
        if row.verdict != Verdict::Slower || row.case.scenario == CONTROL.0 {
            continue;
        }
        // What two runs may lie apart is no excuse for the control: it is what the control is to show.
        let moved = control(row).is_some_and(|seen| {
            let doubt = Doubt {
                between_runs: 0.0,
                ..options.doubt(seen.0.unit)
            };
            let (sides, seed) = ((base, new), options.seed);
            let effect = compared(sides, seen, CONTROL.1, row.quantile, doubt, seed, |_| true);
            effect.is_some_and(|effect| effect.above())
        });
        let percent = |ratio: f64| 100.0 * (ratio - 1.0);
        let line = format!(
            "{}: {:+.1} % {:+.1}",
            row.label(),
            percent(row.effect.ratio),
            interval.map(percent)
        );
        match moved {
            true => gate.withheld.push(line),
            false => gate.regressions.push(line),
        }
    }
    gate
}
