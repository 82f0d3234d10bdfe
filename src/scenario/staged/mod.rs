//! The words of staged races: where a fault is held, who does what meanwhile, and what came of it.

pub mod catalogue;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::moves::{FaultOutcome, HoldPoint, Lock, Party, RaceVerdict};
use crate::record::predicted::Predicted;
use crate::record::rule::SmallRule;
use crate::scenario::prediction::{Prediction, under};

/// What a party does to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Stores a word of its own.
    Store,
    /// Reads, through its own mapping.
    Read,
    /// Reads through process_vm_readv(2): a read-only pin that ends with the call.
    Pin,
    /// Takes a long-term read-only pin through the kernel's gup_test, and keeps it.
    PinLong,
    /// Write-protects the page through userfaultfd.
    UffdProtect,
    /// Lifts that protection.
    UffdUnprotect,
    /// Makes the mapping executable and writable alone again: mprotect(2).
    Mprotect,
    /// Drops the page: madvise(MADV_DONTNEED).
    DontNeed,
    /// Has the page reclaimed: madvise(MADV_PAGEOUT).
    PageOut,
    /// Forks a process that exits at once.
    Fork,
    /// Has the kernel forget that the page was read: clears the Accessed bits of its process.
    Age,
    /// Puts the page into a pipe without copying it: vmsplice(2).
    Vmsplice,
    /// Unmaps the page.
    Unmap,
    /// Exits; the address space is gone afterwards.
    Exit,
}

impl Action {
    /// Every action; its place here is its number between processes.
    pub const ALL: [Action; 14] = [
        Action::Store,
        Action::Read,
        Action::Pin,
        Action::PinLong,
        Action::UffdProtect,
        Action::UffdUnprotect,
        Action::Mprotect,
        Action::DontNeed,
        Action::PageOut,
        Action::Fork,
        Action::Age,
        Action::Vmsplice,
        Action::Unmap,
        Action::Exit,
    ];

    /// The action in words, to follow the party.
    pub fn label(self) -> &'static str {
        match self {
            Action::Store => "stores",
            Action::Read => "reads",
            Action::Pin => "reads by process_vm_readv (a pin for the time of the call)",
            Action::PinLong => "takes a long-term read-only pin (gup_test)",
            Action::UffdProtect => "write-protects the page (userfaultfd)",
            Action::UffdUnprotect => "lifts the protection (userfaultfd)",
            Action::Mprotect => "changes the protection (mprotect)",
            Action::DontNeed => "drops the page (MADV_DONTNEED)",
            Action::PageOut => "has the page reclaimed (MADV_PAGEOUT)",
            Action::Fork => "forks",
            Action::Age => "clears the Accessed bit (clear_refs)",
            Action::Vmsplice => "puts the page into a pipe (vmsplice)",
            Action::Unmap => "unmaps the page",
            Action::Exit => "exits",
        }
    }
}

/// One move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Who.
    pub party: Party,
    /// Does what.
    pub action: Action,
}

impl Move {
    /// The move in words.
    pub fn label(self) -> String {
        format!("{} {}", self.party.label(), self.action.label())
    }
}

/// The kernel that a prediction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelTraits {
    /// Major and minor version; unknown for an unusual release.
    pub version: Option<(u32, u32)>,
    /// Whether the kernel looks, under the PTL, for a page that has become exclusive (`cow_recheck=1`).
    pub recheck: bool,
}

/// What a reuse strategy predicts of one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Foretold {
    /// The first version that it holds for.
    pub since: (u32, u32),
    /// The first version that it no longer holds for.
    pub before: (u32, u32),
    /// Whether it holds with the recheck only (true), without it only (false), or either way.
    pub recheck: Option<bool>,
    /// What becomes of the data.
    pub verdict: RaceVerdict,
    /// What thread 1's store comes to.
    pub one: FaultOutcome,
    /// What the first rival that stores or pins comes to, if one does.
    pub rival: Option<FaultOutcome>,
    /// On which lock a rival waits, where one does.
    pub lock: Option<Lock>,
}

impl Foretold {
    /// Thread 1 comes to `one` and everything is coherent, on any kernel.
    pub const fn coherent(one: FaultOutcome) -> Self {
        Foretold {
            since: (0, 0),
            before: (u32::MAX, 0),
            recheck: None,
            verdict: RaceVerdict::Coherent,
            one,
            rival: None,
            lock: None,
        }
    }

    /// The same with another verdict.
    pub const fn but(self, verdict: RaceVerdict) -> Self {
        Foretold { verdict, ..self }
    }

    /// The same, and the rival comes to this.
    pub const fn rival(self, came: FaultOutcome) -> Self {
        Foretold {
            rival: Some(came),
            ..self
        }
    }

    /// The same, and a rival waits for a lock.
    pub const fn waits(self, lock: Lock) -> Self {
        Foretold {
            verdict: RaceVerdict::Blocked,
            lock: Some(lock),
            ..self
        }
    }

    /// The same from a version on.
    pub const fn since(self, since: (u32, u32)) -> Self {
        Foretold { since, ..self }
    }

    /// The same before a version.
    pub const fn before(self, before: (u32, u32)) -> Self {
        Foretold { before, ..self }
    }

    /// The same with, or without, the recheck only.
    pub const fn recheck(self, on: bool) -> Self {
        Foretold {
            recheck: Some(on),
            ..self
        }
    }

    /// Whether it holds on this ground.
    pub fn holds(&self, ground: KernelTraits) -> bool {
        let any = self.since == (0, 0) && self.before == (u32::MAX, 0);
        let version = ground.version.map_or(any, |version| {
            self.since <= version && version < self.before
        });
        version && self.recheck.is_none_or(|recheck| recheck == ground.recheck)
    }
}

/// One race to be staged.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Staged {
    /// `group/situation`.
    pub id: &'static str,
    /// The situation in a sentence.
    pub summary: &'static str,
    /// Whether it is one of the ways by which thread 1's copy can be made stale: the founding question.
    pub founding: bool,
    /// What happens before thread 1 stores.
    pub before: &'static [Move],
    /// Where thread 1 is held.
    pub hold: HoldPoint,
    /// What happens meanwhile.
    pub steps: &'static [Move],
    /// What each strategy predicts; of several the first that holds.
    pub foretold: Prediction<Foretold>,
    /// Where the prediction comes from.
    pub basis: &'static str,
}

impl Staged {
    /// Whether somebody does this at some time.
    pub fn has(&self, action: Action) -> bool {
        let mut steps = self.before.iter().chain(self.steps);
        steps.any(|step| step.action == action)
    }
}

/// What a rule predicts of a staged race on a kernel; nothing when the rule is unknown and the rules differ.
pub fn predicted(staged: &Staged, rule: SmallRule, ground: KernelTraits) -> Option<Predicted> {
    let said = under(&staged.foretold, rule);
    let &Foretold {
        verdict,
        one,
        rival,
        lock,
        ..
    } = said.iter().find(|foretold| foretold.holds(ground))?;
    Some(Predicted {
        verdict,
        one,
        rival,
        lock,
    })
}

#[cfg(test)]
mod tests {
    use super::catalogue::choose;
    use super::*;
    use crate::record::staged::{Acted, StagedResult};

    const STOCK_612: KernelTraits = KernelTraits {
        version: Some((6, 12)),
        recheck: false,
    };

    #[test]
    fn a_prediction_holds_for_its_versions_and_its_recheck_alone() {
        let ground = |version, recheck| KernelTraits { version, recheck };
        let one = Foretold::coherent(FaultOutcome::Copy)
            .since((5, 19))
            .before((6, 4));
        assert!(one.holds(ground(Some((6, 1)), true)));
        assert!(!one.holds(ground(Some((5, 18)), false)));
        assert!(!one.holds(ground(Some((6, 4)), false)));
        assert!(!one.holds(ground(None, false)));
        let any = Foretold::coherent(FaultOutcome::Copy).recheck(true);
        assert!(any.holds(ground(None, true)));
        assert!(!any.holds(ground(None, false)));
    }

    #[test]
    fn each_deed_has_one_place() {
        for (at, action) in Action::ALL.iter().enumerate() {
            assert_eq!(
                Action::ALL.iter().position(|other| other == action),
                Some(at)
            );
        }
    }

    #[test]
    fn an_unknown_rule_predicts_only_what_all_rules_do() {
        let staged = |id: &str| choose(&[id.into()]).unwrap()[0];
        let unknown = |id| predicted(staged(id), SmallRule::Unknown, STOCK_612);
        assert_eq!(unknown("window/store"), None);
        assert_eq!(
            unknown("window/mprotect").map(|predicted| predicted.lock),
            Some(Some(Lock::Vma))
        );
    }

    #[test]
    fn what_was_not_predicted_is_named() {
        let staged = choose(&["window/store".into()]).unwrap()[0];
        let mut result = StagedResult::lost(staged.id, String::new());
        result.predicted = predicted(staged, SmallRule::Exclusive, STOCK_612);
        result.verdict = RaceVerdict::Coherent;
        for (party, came) in [
            (Party::One, FaultOutcome::BackedOff),
            (Party::Two, FaultOutcome::Reuse),
        ] {
            result.parts.push(Acted {
                party,
                cpu: party.cpu(),
                did: Vec::new(),
                came: Some(came),
                faults: 1,
                waited: None,
            });
        }
        assert_eq!(result.surprises(), ["rival: copy predicted, reuse seen"]);
    }
}
