//! What tells the results of a run file apart.

use super::rule::Rule;
use super::schema::Measured;

/// A scenario with everything in which two results of it may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaseId {
    /// Scenario id.
    pub scenario: String,
    /// The reuse rule that the kernel was switched to; absent where it was left alone.
    pub strategy: Option<Rule>,
    /// Whether the kernel looked again before it installed a copy; absent where that was not asked.
    pub recheck: Option<bool>,
    /// Folio size.
    pub folio: String,
    /// Threads.
    pub threads: u32,
    /// Clock ticks between the threads' deadlines.
    pub skew: i64,
    /// Whether threads shared CPUs.
    pub oversubscribed: bool,
    /// Pages of the area.
    pub pages: u32,
}

impl CaseId {
    /// The case of a result.
    pub fn of(measured: &Measured) -> CaseId {
        CaseId {
            scenario: measured.scenario.clone(),
            strategy: measured.strategy,
            recheck: measured.held.as_ref().map(|held| held.recheck),
            folio: measured.folio.clone(),
            threads: measured.threads,
            skew: measured.skew,
            oversubscribed: measured.oversubscribed,
            pages: measured.pages,
        }
    }

    /// The same with such a skew.
    pub fn with_skew(self, skew: i64) -> CaseId {
        CaseId { skew, ..self }
    }
}
