//! What a staged race is predicted to come to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::moves::{FaultOutcome, Lock, RaceVerdict};

/// What a strategy predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// What becomes of the data.
    pub verdict: RaceVerdict,
    /// What thread 1's store comes to.
    pub one: FaultOutcome,
    /// What the first rival that stores or pins comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<FaultOutcome>,
    /// On which lock a rival waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}
