//! The words of staged races: where a fault is held, who does what meanwhile, and what came of it.

pub mod catalogue;
pub(super) mod source;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::moves::{HoldPoint, Party};
use crate::record::predicted::Predicted;
use crate::scenario::expectation::Expectation;

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
    /// What is expected of it: of several, the first that holds for the kernel.
    pub expected: &'static [Expectation<Predicted>],
}

impl Staged {
    /// Whether somebody does this at some time.
    pub fn has(&self, action: Action) -> bool {
        let mut steps = self.before.iter().chain(self.steps);
        steps.any(|step| step.action == action)
    }
}

#[cfg(test)]
mod tests {
    use super::catalogue::choose;
    use super::*;
    use crate::record::moves::{FaultOutcome, Lock, RaceVerdict};
    use crate::record::rule::SmallRule;
    use crate::record::staged::{Acted, StagedResult};
    use crate::scenario::expectation::{KernelTraits, expected};

    #[test]
    fn each_action_has_one_place() {
        for (at, action) in Action::ALL.iter().enumerate() {
            assert_eq!(
                Action::ALL.iter().position(|other| other == action),
                Some(at)
            );
        }
    }

    #[test]
    fn an_unknown_rule_predicts_only_what_all_rules_do() {
        let unknown = |id: &str| predicted(id, SmallRule::Unknown);
        assert_eq!(unknown("window/store"), None);
        assert_eq!(
            unknown("window/mprotect").map(|predicted| predicted.lock),
            Some(Some(Lock::Vma))
        );
    }

    fn predicted(id: &str, rule: SmallRule) -> Option<Predicted> {
        let staged = choose(&[id.into()]).unwrap()[0];
        let kernel = KernelTraits::own(rule, Some((6, 12)));
        expected(staged.expected, &kernel).map(|one| one.outcomes)
    }

    #[test]
    fn what_was_not_predicted_is_named() {
        let mut result = StagedResult::lost("window/store", String::new());
        result.predicted = predicted("window/store", SmallRule::Exclusive);
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
