//! Laws: what each further one of something adds, fitted through several scenarios that differ in its number alone.

use schemars::JsonSchema;
use serde::Serialize;

/// A line through the scenarios that are its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Law {
    /// What the points have in common, as `group/what`.
    pub name: &'static str,
    /// What its slope answers, as a question.
    pub question: &'static str,
    /// What there is more of from point to point, in the singular.
    pub per: &'static str,
}

/// A scenario's place on a law's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LawPoint {
    /// The line.
    pub law: Law,
    /// How many there are of what the law counts.
    pub at: u32,
}
