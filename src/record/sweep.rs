//! What a sweep leaves in the run file: every interleaving that was played with its verdict, and why the
//! others were not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::moves::{FaultOutcome, Lock, RaceVerdict};
use crate::record::predicted::Predicted;
use crate::record::progress::Progress;

/// Every interleaving of the rivals' moves with thread 1's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The rivals' moves in words, in their order.
    pub moves: Vec<String>,
    /// How many interleavings there are; each is among `played` or `pruned`, or was left out.
    pub interleavings: u64,
    /// Those that were played.
    pub played: Vec<Interleaving>,
    /// Those that are the same as one that was played, or cannot come about.
    pub pruned: Vec<Pruned>,
    /// How many were left out.
    pub left_out: u64,
    /// Why; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_left_out: Option<String>,
    /// How long it took in the guest, in seconds.
    pub seconds: u64,
}

/// One interleaving, played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interleaving {
    /// How far thread 1 was at each of the moves.
    pub places: Vec<Progress>,
    /// What became of the data.
    pub verdict: RaceVerdict,
    /// What the verdict rests on.
    pub reason: String,
    /// What thread 1's store came to; absent if it never came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one: Option<FaultOutcome>,
    /// What the first rival that stores or pins came to; absent where none did, or it had to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<FaultOutcome>,
    /// On which lock a rival had to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Lock>,
}

/// Interleavings that need not be played, all of which begin alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// How far thread 1 is at the moves that they share, of which the last tells why.
    pub places: Vec<Progress>,
    /// Why.
    pub why: Why,
    /// How many they are.
    pub count: u64,
}

/// Why interleavings need not be played.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The last of the moves has to wait until thread 1 goes on: one of those that begin so was played,
    /// and in the others the move is made no earlier.
    Blocked,
    /// After the earlier moves thread 1 does not come by there: it is done sooner, or waits for a later
    /// move. The move is made elsewhere.
    NotPassed,
    /// Thread 1 does not come by there even if nobody moves: this kernel has no such hold point.
    NoHoldPoint,
}

impl Why {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Why::Blocked => "a move has to wait there, so that it comes later",
            Why::NotPassed => "thread 1 no longer comes by there",
            Why::NoHoldPoint => "this kernel has no such hold point",
        }
    }
}

impl Sweep {
    /// How many of those that were played came to each verdict.
    pub fn verdicts(&self) -> BTreeMap<RaceVerdict, usize> {
        let mut counts = BTreeMap::new();
        for one in &self.played {
            *counts.entry(one.verdict).or_default() += 1;
        }
        counts
    }

    /// How many were pruned for each reason.
    pub fn pruned(&self) -> BTreeMap<Why, u64> {
        let mut counts = BTreeMap::new();
        for one in &self.pruned {
            *counts.entry(one.why).or_default() += one.count;
        }
        counts
    }

    /// The moves with their places: `B exits (decided), thread 2 stores (after the copy)`.
    pub fn order(&self, places: &[Progress]) -> String {
        let each = self.moves.iter().zip(places);
        let told = each.map(|(step, place)| format!("{step} ({})", place.label()));
        told.collect::<Vec<_>>().join(", ")
    }

    /// In what the verdicts differ from the harm that is predicted of some interleaving, in words.
    pub fn surprises(&self, predicted: &Predicted) -> Vec<String> {
        let harm = Some(predicted.verdict).filter(|verdict| verdict.is_harm());
        let expected = harm.map_or("no harm", RaceVerdict::label);
        let bad = |verdict: RaceVerdict| verdict.is_harm() || verdict == RaceVerdict::Lost;
        let mut found: Vec<String> = self
            .played
            .iter()
            .filter(|one| bad(one.verdict) && Some(one.verdict) != harm)
            .map(|one| {
                let (order, seen) = (self.order(&one.places), one.verdict.label());
                format!("{order}: {expected} predicted, {seen} seen")
            })
            .collect();
        if let Some(harm) = harm
            && !self.played.iter().any(|one| one.verdict == harm)
        {
            found.push(format!("{expected} predicted, seen in no interleaving"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RaceVerdict::{Blocked, Coherent, Lost, LostStore, StalePin};

    fn swept(verdicts: &[RaceVerdict]) -> Sweep {
        let one = |&verdict| Interleaving {
            places: vec![Progress::Decided],
            verdict,
            reason: String::new(),
            one: None,
            rival: None,
            waited: None,
        };
        Sweep {
            moves: vec!["thread 2 stores".into()],
            interleavings: verdicts.len() as u64,
            played: verdicts.iter().map(one).collect(),
            pruned: Vec::new(),
            left_out: 0,
            why_left_out: None,
            seconds: 1,
        }
    }

    fn surprises(predicted: RaceVerdict, seen: &[RaceVerdict]) -> Vec<String> {
        let predicted = Predicted {
            verdict: predicted,
            one: FaultOutcome::Copy,
            rival: None,
            lock: None,
        };
        swept(seen).surprises(&predicted)
    }

    #[test]
    fn harm_in_one_interleaving_that_nobody_predicted_is_named_with_the_order() {
        assert!(surprises(Coherent, &[Coherent, Blocked]).is_empty());
        assert_eq!(
            surprises(Coherent, &[Coherent, LostStore, Blocked]),
            ["thread 2 stores (decided): no harm predicted, lost store seen"]
        );
        assert_eq!(surprises(StalePin, &[StalePin, LostStore]).len(), 1);
        assert_eq!(surprises(StalePin, &[StalePin, Lost]).len(), 1);
    }

    #[test]
    fn harm_that_was_predicted_must_be_seen_somewhere() {
        assert!(surprises(StalePin, &[Coherent, StalePin]).is_empty());
        assert_eq!(
            surprises(StalePin, &[Coherent, Blocked]),
            ["stale pin predicted, seen in no interleaving"]
        );
    }

    #[test]
    fn verdicts_are_counted() {
        let counts = swept(&[Coherent, Blocked, Coherent]).verdicts();
        assert_eq!(counts, BTreeMap::from([(Coherent, 2), (Blocked, 1)]));
    }
}
