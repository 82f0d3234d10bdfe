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

impl ExpectedBasis {
    /// In words.
    pub fn label(&self) -> String {
        let what = &self.what;
        match self.kind {
            BasisKind::Source => format!("source: {what}"),
            BasisKind::Observed => format!("observed on {what}"),
            BasisKind::Reasoned => what.clone(),
            BasisKind::Construction => format!("by construction: {what}"),
        }
    }
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
    /// True by construction: the program itself sets the outcome, or told the kernel's rule by it.
    Construction,
}

impl BasisKind {
    /// Every kind, in the order in which counts are told.
    pub const ALL: [BasisKind; 4] = [
        BasisKind::Source,
        BasisKind::Observed,
        BasisKind::Reasoned,
        BasisKind::Construction,
    ];

    /// The kind in two words, for a table.
    pub fn brief(self) -> &'static str {
        match self {
            Self::Source => "as derived",
            Self::Observed => "as seen",
            Self::Reasoned => "as reasoned",
            Self::Construction => "by construction",
        }
    }

    /// What agreement with such an expectation is called; absent where it says nothing of the kernel.
    pub fn agreement(self) -> Option<&'static str> {
        match self {
            Self::Source => Some("as derived from source"),
            Self::Observed => Some("as seen before"),
            Self::Reasoned => Some("as reasoned"),
            Self::Construction => None,
        }
    }
}
