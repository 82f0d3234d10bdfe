//! Where a difference of instructions lies: the phases of a fault's path on both kernels, stepped by `cowpath profile`.

use super::options::{PathChange, Statistic};
use super::row::Row;
use crate::record::unit::Unit;

/// Most functions that are named.
const NAMED: usize = 8;

impl PathChange {
    /// Whether it is about what `row` compares on these kernels.
    fn explains(&self, row: &Row, kernels: &[String; 2]) -> bool {
        row.unit == Unit::Instructions
            && row.quantile == Statistic::P50
            && row.case.scenario == self.scenario
            && row.case.folio == self.folio
            && self.kernels == *kernels
    }

    /// The functions in which it differs most, and how much the rest comes to.
    pub fn by_function(&self) -> String {
        let named = self.functions.iter().take(NAMED);
        let words: Vec<String> = named.map(|(name, by)| format!("{name} {by:+}")).collect();
        let rest = self.functions.iter().skip(NAMED);
        let rest = match rest.clone().count() {
            0 => String::new(),
            count => format!(", {count} others {:+}", rest.map(|(_, by)| by).sum::<i64>()),
        };
        match words[..] {
            [] => format!("{}: the same in every function", self.scenario),
            _ => format!(
                "{} {:+}: {}{rest}",
                self.scenario,
                self.whole,
                words.join(", ")
            ),
        }
    }

    /// In words, such as `decision +3, allocation -40: -37 in all`.
    fn label(&self) -> String {
        let phases = self.phases.iter();
        let phases: Vec<String> = phases.map(|(name, by)| format!("{name} {by:+}")).collect();
        match phases[..] {
            [] => "the same in every phase".into(),
            _ => format!("{}: {:+} in all", phases.join(", "), self.whole),
        }
    }
}

/// A line for each row that a path explains.
pub(super) fn notes(rows: &[Row], paths: &[PathChange], kernels: &[String; 2]) -> Vec<String> {
    let told = rows.iter().filter_map(|row| {
        let path = paths.iter().find(|path| path.explains(row, kernels))?;
        let by = row.effect.new.value - row.effect.base.value;
        Some(format!(
            "path of {}, by phase: {} (measured: {by:+.0})",
            row.label(),
            path.label()
        ))
    });
    told.collect()
}
