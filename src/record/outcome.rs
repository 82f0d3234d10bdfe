//! What became of one store: the words every other part uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one store (or one unshare request) was resolved.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Write fault resolved on the same page: the PFN is unchanged.
    Reuse,
    /// Write fault on a mapped page resolved on a new page: the PFN changed.
    Copy,
    /// Write fault where nothing was mapped: a new zeroed page, nothing to copy.
    Fill,
    /// The store found a writable PTE; the kernel was not entered.
    NoFault,
    /// Write fault on a swapped-out page: it was brought in and mapped writable.
    SwapIn,
    /// A pin for reading gave a new page: by `FAULT_FLAG_UNSHARE`, or, before that flag, by a write fault. No store was involved.
    UnshareCopy,
    /// A pin for reading faulted and kept the page: `FAULT_FLAG_UNSHARE` only marked it exclusive, or, before that flag, a write
    /// fault reused it. No store was involved.
    #[serde(rename = "unshare_mark")]
    UnshareReuse,
    /// Not a store: one operation on the whole area, its time scaled to 2 MiB of memory.
    Operation,
    /// The oracle was missing, so reuse and copy could not be told apart.
    Unknown,
}

impl Outcome {
    /// Every outcome, in the order in which tables show them.
    pub const ALL: [Outcome; 9] = [
        Outcome::Reuse,
        Outcome::Copy,
        Outcome::Fill,
        Outcome::SwapIn,
        Outcome::NoFault,
        Outcome::UnshareCopy,
        Outcome::UnshareReuse,
        Outcome::Operation,
        Outcome::Unknown,
    ];

    /// The name used in run files and file names, such as `no_fault`.
    pub fn key(self) -> &'static str {
        match self {
            Outcome::Reuse => "reuse",
            Outcome::Copy => "copy",
            Outcome::Fill => "fill",
            Outcome::SwapIn => "swap_in",
            Outcome::NoFault => "no_fault",
            Outcome::UnshareCopy => "unshare_copy",
            Outcome::UnshareReuse => "unshare_mark",
            Outcome::Operation => "operation",
            Outcome::Unknown => "unknown",
        }
    }

    /// The name used in text for people, such as `no fault`.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::SwapIn => "swap in",
            Outcome::NoFault => "no fault",
            Outcome::UnshareCopy => "unshare copy",
            Outcome::UnshareReuse => "unshare reuse",
            other => other.key(),
        }
    }
}

/// How many stores ended in which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Stores resolved on the same page.
    pub reuse: u64,
    /// Stores resolved on a new page in place of a mapped one.
    pub copy: u64,
    /// Stores that mapped a new zeroed page where nothing was mapped.
    pub fill: u64,
    /// Stores that brought a swapped-out page in.
    #[serde(default)]
    pub swap_in: u64,
    /// Stores that did not fault.
    pub no_fault: u64,
    /// Pins for reading that were given a new page.
    pub unshare_copy: u64,
    /// Pins for reading that faulted and kept the page.
    #[serde(rename = "unshare_mark")]
    pub unshare_reuse: u64,
    /// Operations on the whole area.
    #[serde(default)]
    pub operation: u64,
    /// Stores that no oracle could classify.
    pub unknown: u64,
}

impl Tally {
    fn slot(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Reuse => &mut self.reuse,
            Outcome::Copy => &mut self.copy,
            Outcome::Fill => &mut self.fill,
            Outcome::SwapIn => &mut self.swap_in,
            Outcome::NoFault => &mut self.no_fault,
            Outcome::UnshareCopy => &mut self.unshare_copy,
            Outcome::UnshareReuse => &mut self.unshare_reuse,
            Outcome::Operation => &mut self.operation,
            Outcome::Unknown => &mut self.unknown,
        }
    }

    /// Adds `n` stores that ended in `outcome`.
    pub fn add(&mut self, outcome: Outcome, n: u64) {
        let slot = self.slot(outcome);
        *slot = slot.saturating_add(n);
    }

    /// The number of stores that ended in `outcome`.
    pub fn get(&self, outcome: Outcome) -> u64 {
        *{ *self }.slot(outcome)
    }

    /// All stores counted, whatever their outcome.
    pub fn total(&self) -> u64 {
        let each = Outcome::ALL.iter().map(|&o| self.get(o));
        each.fold(0, u64::saturating_add)
    }

    /// The most frequent outcome, or `None` when nothing was counted.
    pub fn dominant(&self) -> Option<Outcome> {
        let most = Outcome::ALL.into_iter().max_by_key(|&o| self.get(o))?;
        (self.get(most) > 0).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_each_outcome_in_its_own_slot() {
        let mut tally = Tally::default();
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            tally.add(outcome, n as u64 + 1);
        }
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(tally.get(outcome), n as u64 + 1, "{}", outcome.key());
        }
        assert_eq!(tally.total(), 45);
        assert_eq!(tally.dominant(), Some(Outcome::Unknown));
        assert_eq!(Tally::default().dominant(), None);
    }

    #[test]
    fn keys_are_what_serde_writes() {
        for outcome in Outcome::ALL {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(json, format!("\"{}\"", outcome.key()));
        }
    }
}
