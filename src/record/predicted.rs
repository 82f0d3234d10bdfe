//! What a staged race is predicted to come to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::moves::{FaultOutcome, Lock, RaceVerdict};

/// What is expected.
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

impl Predicted {
    /// Thread 1 comes to `one` and everything is coherent.
    pub const fn coherent(one: FaultOutcome) -> Self {
        Predicted {
            verdict: RaceVerdict::Coherent,
            one,
            rival: None,
            lock: None,
        }
    }

    /// The same with another verdict.
    pub const fn but(self, verdict: RaceVerdict) -> Self {
        Predicted { verdict, ..self }
    }

    /// The same, and the rival comes to this.
    pub const fn rival(self, came: FaultOutcome) -> Self {
        Predicted {
            rival: Some(came),
            ..self
        }
    }

    /// The same, and a rival waits for a lock.
    pub const fn waits(self, lock: Lock) -> Self {
        Predicted {
            verdict: RaceVerdict::Blocked,
            lock: Some(lock),
            ..self
        }
    }
}
