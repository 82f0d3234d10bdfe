//! What a staged race leaves in the run file: verdict, parts, stations, and the data as everybody saw it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::basis::ExpectedBasis;
use super::sweep::{Interleaving, Sweep};
use crate::record::moves::{FaultOutcome, HoldPoint, Lock, Party, RaceVerdict};
use crate::record::predicted::Predicted;
use crate::record::progress::Progress;

/// One race, played step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StagedResult {
    /// Id of the staged race, such as `window/store`.
    pub scenario: String,
    /// What became of the data.
    pub verdict: RaceVerdict,
    /// What the verdict rests on, in a sentence.
    pub reason: String,
    /// What is expected of the kernel, and of a sweep the harm that some interleaving does; absent where nothing certain can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
    /// What that rests on; absent where nothing is expected, and in files of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<ExpectedBasis>,
    /// Where thread 1 was held; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldAt>,
    /// What each party's part came to.
    pub parts: Vec<Acted>,
    /// The page table entry and who maps the page, after each step.
    pub stations: Vec<Station>,
    /// The page's data in the end, through everything that leads to it.
    pub seen: Vec<Observation>,
    /// Every interleaving, where the race was swept: all else is said of the worst of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

impl StagedResult {
    /// What it came to as one interleaving of a sweep: the one with the moves at these places.
    pub fn interleaving(&self, places: &[Progress]) -> Interleaving {
        let waited = self.parts.iter().find_map(|part| part.waited.as_ref());
        Interleaving {
            places: places.to_vec(),
            verdict: self.verdict,
            reason: self.reason.clone(),
            one: self.part(Party::One).and_then(|part| part.came),
            rival: self.rival(),
            waited: waited.map(|wait| wait.lock),
        }
    }

    /// A race without a result.
    pub fn lost(scenario: &str, reason: String) -> Self {
        StagedResult {
            scenario: scenario.into(),
            verdict: RaceVerdict::Lost,
            reason,
            predicted: None,
            basis: None,
            held: None,
            parts: Vec::new(),
            stations: Vec::new(),
            seen: Vec::new(),
            sweep: None,
        }
    }

    /// Tells what pins came to as this version does, by the entries before and after them.
    pub fn tell_pins(&mut self) {
        for at in 1..self.stations.len() {
            let (before, after) = self.stations.split_at_mut(at);
            let (
                Some(Station {
                    pte: Some(before), ..
                }),
                Some(station),
            ) = (before.last(), after.first_mut())
            else {
                continue;
            };
            let (Some(FaultOutcome::Pinned), Some(pte)) = (station.came, &station.pte) else {
                continue;
            };
            let came = before.pinned(pte, 0);
            station.came = Some(came);
            let mut parts = self.parts.iter_mut();
            if let Some(part) = parts.find(|part| Some(part.party) == station.party) {
                part.came = Some(came);
            }
        }
    }

    /// The part of one party, if it acted.
    pub fn part(&self, party: Party) -> Option<&Acted> {
        self.parts.iter().find(|part| part.party == party)
    }

    /// What the first rival that stores or pins came to.
    pub fn rival(&self) -> Option<FaultOutcome> {
        let rivals = self.parts.iter().filter(|part| part.party != Party::One);
        rivals
            .filter_map(|part| part.came)
            .find(|&came| came != FaultOutcome::Done)
    }

    /// Whether it came to what is expected, in words, such as `as derived`.
    pub fn agreement(&self) -> &'static str {
        match (&self.predicted, self.surprises().is_empty()) {
            (None, _) => "nothing was predicted",
            (Some(_), false) => "NOT as predicted",
            (Some(_), true) => match &self.basis {
                None => "as predicted",
                Some(basis) => basis.kind.brief(),
            },
        }
    }

    /// In what it differs from the prediction, in words; nothing if in nothing, or nothing is predicted.
    pub fn surprises(&self) -> Vec<String> {
        let Some(predicted) = self.predicted else {
            return Vec::new();
        };
        if let Some(sweep) = &self.sweep {
            return sweep.surprises(&predicted);
        }
        let mut found = Vec::new();
        let mut differ = |what: &str, expected: &str, seen: &str| {
            if expected != seen {
                found.push(format!("{what}: {expected} predicted, {seen} seen"));
            }
        };
        differ("verdict", predicted.verdict.label(), self.verdict.label());
        let none = "nothing";
        let one = self.part(Party::One).and_then(|part| part.came);
        differ(
            "thread 1",
            predicted.one.label(),
            one.map_or(none, FaultOutcome::label),
        );
        if let Some(rival) = predicted.rival {
            let came = self.rival();
            differ(
                "rival",
                rival.label(),
                came.map_or(none, FaultOutcome::label),
            );
        }
        if let Some(lock) = predicted.lock {
            let waited = self.parts.iter().find_map(|part| part.waited.as_ref());
            differ(
                "the rival waits for",
                lock.label(),
                waited.map_or(none, |wait| wait.lock.label()),
            );
        }
        found
    }
}

/// Where thread 1 was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldAt {
    /// The hold point.
    pub point: HoldPoint,
    /// The kernel function that it was about to enter, or had just left.
    pub function: String,
    /// The function that called it, with the offset behind the call.
    pub caller: String,
}

/// What a party's part came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acted {
    /// Who.
    pub party: Party,
    /// On which of the guest's CPUs.
    pub cpu: u32,
    /// What it did, in words.
    pub did: Vec<String>,
    /// What its store or pin came to; `done` for anything else, absent if it never came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<FaultOutcome>,
    /// Page faults that its store or pin took.
    pub faults: u64,
    /// For what it had to wait while thread 1 was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<Wait>,
}

/// For what a party had to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The lock.
    pub lock: Lock,
    /// Asleep, or spinning on its CPU.
    pub asleep: bool,
    /// The functions on its kernel stack, innermost first.
    pub stack: Vec<String>,
}

/// The page between two steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// Who has just moved; absent at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// What has just happened, in words.
    pub after: String,
    /// What the move came to, for a store or a pin that did not have to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<FaultOutcome>,
    /// Whether thread 1 was held at this moment.
    pub held: bool,
    /// A's page table entry; absent where no page table leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pte: Option<Pte>,
    /// How many page tables map the page that A's entry names; absent where that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapcount: Option<u64>,
}

/// A page table entry, as the CPU reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pte {
    /// The entry, in hexadecimal.
    pub raw: String,
    /// The page frame number; 0 if none is present.
    pub pfn: u64,
    /// A page is there.
    pub present: bool,
    /// It may be stored to.
    pub writable: bool,
    /// It was stored to.
    pub dirty: bool,
    /// It was used.
    pub accessed: bool,
    /// Userfaultfd has write-protected it.
    pub uffd_wp: bool,
}

impl Pte {
    /// Takes an x86-64 entry apart, with Linux's use of the software bits.
    pub fn of(raw: u64) -> Self {
        let bit = |at: u32| raw >> at & 1 == 1;
        let present = bit(0);
        Pte {
            raw: format!("{raw:#x}"),
            pfn: if present {
                raw >> 12 & ((1 << 40) - 1)
            } else {
                0
            },
            present,
            writable: present && bit(1),
            dirty: present && bit(6),
            accessed: present && bit(5),
            uffd_wp: present && bit(10),
        }
    }

    /// What a pin for reading came to that left the entry as `after`, made while nobody else moved. Up to 5.8 a fault that the kernel
    /// makes for another task is counted at that task: the entry tells of it too.
    pub fn pinned(&self, after: &Pte, faults: u64) -> FaultOutcome {
        let stored = !self.writable && after.writable;
        match self.pfn == after.pfn {
            false => FaultOutcome::UnshareCopy,
            true if faults > 0 || stored => FaultOutcome::UnshareReuse,
            true => FaultOutcome::Pinned,
        }
    }

    /// Flags and frame in short: `rw-` for writable, and `D`, `A`, `U` for Dirty, Accessed, uffd-wp.
    pub fn brief(&self) -> String {
        if !self.present {
            return if self.raw == "0x0" {
                "none".into()
            } else {
                "not present".into()
            };
        }
        let mut flags = String::from(if self.writable { "rw" } else { "ro" });
        for (set, letter) in [(self.accessed, 'A'), (self.dirty, 'D'), (self.uffd_wp, 'U')] {
            if set {
                flags.push(letter);
            }
        }
        format!("{flags} pfn {:#x}", self.pfn)
    }
}

/// Through what the page's data is seen.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// A's mapping.
    Mapping,
    /// B's mapping.
    Sharer,
    /// The pin that thread 2 has taken.
    Pin,
    /// The pipe that B has filled.
    Pipe,
}

impl Witness {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Witness::Mapping => "A's mapping",
            Witness::Sharer => "B's mapping",
            Witness::Pin => "the pin",
            Witness::Pipe => "the pipe",
        }
    }
}

/// What one word of the page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WordContent {
    /// What the page was filled with.
    Old,
    /// What the party stored.
    Stored,
    /// Zero: the page was dropped.
    Zero,
    /// Neither.
    Other,
}

impl WordContent {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            WordContent::Old => "old",
            WordContent::Stored => "stored",
            WordContent::Zero => "zero",
            WordContent::Other => "other",
        }
    }
}

/// The page's data through one witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Through what.
    pub through: Witness,
    /// The word that thread 1 stores.
    pub one: WordContent,
    /// The word that thread 2 stores.
    pub two: WordContent,
    /// The word that B stores.
    pub sharer: WordContent,
    /// A word that nobody stores.
    pub rest: WordContent,
}

impl Observation {
    /// The word of one party.
    pub fn word(&self, party: Party) -> WordContent {
        match party {
            Party::One => self.one,
            Party::Two => self.two,
            Party::Sharer => self.sharer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_apart_as_linux_uses_it() {
        let pte = Pte::of(0x8000_0000_1234_5c67);
        assert_eq!(pte.pfn, 0x12345);
        assert!(pte.present && pte.writable && pte.dirty && pte.accessed && pte.uffd_wp);
        assert_eq!(pte.brief(), "rwADU pfn 0x12345");
        assert_eq!(Pte::of(0).brief(), "none");
        assert_eq!(Pte::of(0x1000_0000).brief(), "not present");
    }
}
