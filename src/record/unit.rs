//! In what latencies are measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Unit of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Executed instructions, in a guest whose clock counts them.
    Instructions,
}

impl Unit {
    /// The unit as tables and axes write it.
    pub fn label(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Instructions => "instructions",
        }
    }
}
