//! The catalogue: page states, their actors, the kernel path they take and the outcome each strategy predicts.

pub mod catalogue;
pub mod outcome;

mod contention;
mod control;
mod copy;
pub mod extra_ref;
pub mod play;
mod race;
mod reuse;
mod touch;

use schemars::JsonSchema;
use serde::Serialize;

use outcome::Outcome;
use play::{Actor, Play};

/// One step on the way to the page state that a scenario stores to. Steps apply to every page of the area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The parent stores a pattern.
    Fill,
    /// The parent reads.
    Read,
    /// The parent forks a child; the child reads, so that its PTEs are present and young.
    Fork,
    /// The child stores.
    ChildStores,
    /// The child exits and is reaped.
    ChildExits,
    /// The parent drops its mapping by `madvise(MADV_DONTNEED)`; the child has the page alone.
    ParentDrops,
    /// The parent forks a child, which touches nothing: its PTEs are present and old.
    ForkUntouched,
    /// The parent puts the page into a pipe by vmsplice and leaves it there.
    Vmsplice,
    /// The parent's PTE is made read-only while the page stays its own: userfaultfd's asynchronous
    /// write-protection, else soft-dirty tracking.
    WriteProtect,
}

impl Step {
    /// The step in words.
    pub fn label(self) -> &'static str {
        match self {
            Step::Fill => "store",
            Step::Read => "read",
            Step::Fork => "fork (the child reads)",
            Step::ForkUntouched => "fork (the child touches nothing)",
            Step::ChildStores => "child stores",
            Step::ChildExits => "child exits",
            Step::ParentDrops => "parent drops its mapping",
            Step::Vmsplice => "vmsplice into a pipe",
            Step::WriteProtect => "write-protect in place",
        }
    }

    /// What the step needs of the machine beyond memory; empty for most.
    pub fn needs(self) -> &'static str {
        match self {
            Step::WriteProtect => "uffd-wp async (Linux 6.7) or soft-dirty (CONFIG_MEM_SOFT_DIRTY)",
            _ => "",
        }
    }
}

/// How every page must be mapped when the timed stores begin; proven before anything is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// Nothing is mapped.
    None,
    /// The zero page.
    ZeroPage,
    /// An anonymous order-0 folio on the LRU, mapped this often.
    Anon(u32),
}

impl Mapping {
    /// The mapping in words.
    pub fn label(self) -> String {
        match self {
            Mapping::None => "nothing mapped".into(),
            Mapping::ZeroPage => "the zero page".into(),
            Mapping::Anon(times) => format!("an anonymous 4 KiB page on the LRU, mapcount {times}"),
        }
    }

    /// As much of the mapping as /proc/PID/pagemap shows to anyone.
    pub fn label_by_pagemap(self) -> &'static str {
        match self {
            Mapping::None => "nothing present or swapped out",
            Mapping::ZeroPage => "present, not mapped just once",
            Mapping::Anon(1) => "present, anonymous, mapped once",
            Mapping::Anon(_) => "present, anonymous, mapped more than once",
        }
    }
}

/// What each strategy allows: outcomes, or results of a raced page. One is a certain prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Prediction<T: 'static = Outcome> {
    /// Up to 5.8.
    pub mapcount: &'static [T],
    /// 5.9 to 5.18.
    pub refcount: &'static [T],
    /// From 5.19.
    pub exclusive: &'static [T],
}

impl<T: 'static> Prediction<T> {
    /// The same under every strategy.
    pub const fn always(outcomes: &'static [T]) -> Self {
        Prediction {
            mapcount: outcomes,
            refcount: outcomes,
            exclusive: outcomes,
        }
    }
}

/// One situation: a page state, who stores to it, and what the kernel is expected to do.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Scenario {
    /// `group/situation`.
    pub id: &'static str,
    /// The situation in a sentence.
    pub summary: &'static str,
    /// What the kernel runs through, in a sentence.
    pub path: &'static str,
    /// How the page state comes about.
    pub steps: &'static [Step],
    /// Who does what while it is timed.
    pub play: Play,
    /// The page state that must be proven before they begin.
    pub mapping: Mapping,
    /// What they are expected to come to.
    pub expected: Prediction,
}

impl Scenario {
    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// The process whose threads act on the pages.
    pub fn actor(&self) -> Actor {
        match self.play {
            Play::Stores(actor) => actor,
            Play::Race(race) => race.within,
        }
    }

    /// The race, if it is one.
    pub fn race(&self) -> Option<&play::Race> {
        match &self.play {
            Play::Stores(_) => None,
            Play::Race(race) => Some(race),
        }
    }

    /// Whether a living child shares the area when the timing begins.
    pub fn has_child(&self) -> bool {
        (self.has(Step::Fork) || self.has(Step::ForkUntouched)) && !self.has(Step::ChildExits)
    }

    /// Whether the set-up contains `step`.
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// What the set-up needs of the machine; empty when any Linux will do.
    pub fn needs(&self) -> Vec<&'static str> {
        let race = self.race().map(|race| match race.threads_needed() {
            1 => "",
            _ => "two CPUs",
        });
        let steps = self.steps.iter().map(|step| step.needs());
        let needs = steps.chain(race);
        needs.filter(|need| !need.is_empty()).collect()
    }
}
