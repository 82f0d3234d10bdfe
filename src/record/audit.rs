//! What works on a machine and what would spoil a measurement: one [`Check`] for each thing that was looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a check's state matters to a measurement of CoW faults.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; figures stand.
    Info,
    /// A figure is missing or noisier than it need be.
    Warning,
    /// Nothing can be measured.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What was looked at, such as `pfn-visibility`.
    pub check: String,
    /// What was found.
    pub state: String,
    /// Why it matters here.
    pub why: String,
    /// The command that mends it; empty when nothing need be done or nothing can.
    pub advice: String,
    /// How much it matters.
    pub severity: Severity,
}

impl Check {
    /// All five parts.
    pub fn new(
        check: &str,
        severity: Severity,
        state: impl Into<String>,
        why: &str,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            check: check.to_owned(),
            state: state.into(),
            why: why.to_owned(),
            advice: advice.into(),
            severity,
        }
    }
}
