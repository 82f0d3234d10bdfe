//! What an expectation rests on, as a run file has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the expectation of a result rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedBasis {
    /// The kind of evidence.
    pub kind: BasisKind,
    /// The source, the kernels, or the reason.
    pub what: String,
}

/// A kind of evidence.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BasisKind {
    /// A source that was read.
    Source,
    /// Kernels that were seen to do it.
    Observed,
    /// It follows from something else that is expected.
    Reasoned,
}

impl BasisKind {
    /// What agreement with such an expectation is called.
    pub fn agreement(self) -> &'static str {
        match self {
            Self::Source => "as derived from source",
            Self::Observed => "as seen before",
            Self::Reasoned => "as reasoned",
        }
    }
}
