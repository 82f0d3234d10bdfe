//! The catalogue: page states, their actors, the kernel path they take and the outcome each strategy predicts.

pub mod catalogue;
pub mod outcome;

mod control;
mod copy;
pub mod extra_ref;
mod reuse;
mod touch;

use schemars::JsonSchema;
use serde::Serialize;

use outcome::Outcome;

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
            Step::ChildStores => "child stores",
            Step::ChildExits => "child exits",
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

/// Who makes the timed stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The process that mapped and filled the area.
    Parent,
    /// The process that it forked.
    Child,
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

/// The outcomes that each strategy allows. One outcome is a certain prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Prediction {
    /// Up to 5.8.
    pub mapcount: &'static [Outcome],
    /// 5.9 to 5.18.
    pub refcount: &'static [Outcome],
    /// From 5.19.
    pub exclusive: &'static [Outcome],
}

impl Prediction {
    /// The same under every strategy.
    pub const fn always(outcomes: &'static [Outcome]) -> Self {
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
    /// Who makes the timed stores.
    pub actor: Actor,
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

    /// Whether the set-up contains `step`.
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// What the set-up needs of the machine; empty when any Linux will do.
    pub fn needs(&self) -> Vec<&'static str> {
        let needs = self.steps.iter().map(|step| step.needs());
        needs.filter(|need| !need.is_empty()).collect()
    }
}
