//! What a race comes to: where the page is, and what each storing thread did with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a page is after a race.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FrameChange {
    /// On the frame that it was on: stored to in place.
    Same,
    /// On a new frame: a copy was kept.
    Changed,
    /// Not there: it was dropped.
    Gone,
}

/// What a storing thread came to at a page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ThreadOutcome {
    /// Its copy was kept, and it discarded none.
    Winner,
    /// It discarded a copy (late).
    BackedOff,
    /// It discarded a zeroed page (none), and no copy.
    NoneDiscard,
    /// It faulted and allocated nothing: it reused the page, or found the PTE changed already.
    NoCopy,
    /// It did not fault.
    NoFault,
}

impl ThreadOutcome {
    /// The part in words.
    pub fn label(self) -> &'static str {
        match self {
            ThreadOutcome::Winner => "winner",
            ThreadOutcome::BackedOff => "backed off",
            ThreadOutcome::NoneDiscard => "none discard",
            ThreadOutcome::NoCopy => "no copy",
            ThreadOutcome::NoFault => "no fault",
        }
    }
}
