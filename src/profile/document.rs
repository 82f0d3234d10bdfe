//! `profile.json`: what a profile holds, whether its paths were stepped or sampled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::folio::FolioSize;
use crate::record::latency::Latency;
use crate::record::outcome::Outcome;
use crate::record::schema::Setup;

/// The schema that this program writes.
pub const SCHEMA: &str = "cowpath.profile/2";
/// The format before it, which is read too: one key had another name.
pub const EARLIER: &str = "cowpath.profile/1";

/// The JSON Schema of `profile.json`, as text.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(ProfileDocument);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// One scenario on one kernel or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileDocument {
    /// `cowpath.profile/2`.
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// When it was begun, RFC 3339 in UTC.
    pub started: String,
    /// The scenario's id.
    pub scenario: String,
    /// The size of the folios under test.
    pub folio: FolioSize,
    /// One for each kernel, in the order asked for.
    pub profiles: Vec<Profile>,
    /// How each kernel after the first differs from it.
    pub differences: Vec<PathDifference>,
}

/// One kernel's.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The kernel.
    pub kernel: ProfiledKernel,
    /// Where the paths are from.
    pub evidence: PathSource,
    /// The most frequent first.
    pub paths: Vec<Path>,
}

impl Profile {
    /// The path that most faults took.
    pub fn usual(&self) -> Option<&Path> {
        self.paths.first()
    }
}

/// The kernel that was looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfiledKernel {
    /// As `uname -r` says it, or a guest's image.
    pub release: String,
    /// The image's file name; empty for the kernel that is running.
    pub image: String,
    /// A name that tells it from the others that it was compared with.
    pub label: String,
}

/// Where paths are from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum PathSource {
    /// Every instruction of single faults, in a guest whose clock counts instructions.
    Stepped(Stepped),
    /// Stacks at random moments of very many faults.
    Sampled(Sampled),
}

/// How single faults were stepped through.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stepped {
    /// Faults stepped through, one after the other.
    pub faults: u64,
    /// Stores of the same trial before them.
    pub skipped: u64,
    /// QEMU's version.
    pub qemu: String,
    /// The CPU model.
    pub cpu: String,
    /// What the timed loop counted in the same boot, a fault's store and the reading of the clock
    /// included, in instructions.
    pub timed: BTreeMap<Outcome, Latency>,
    /// How the page state was brought about and proven.
    pub setup: Setup,
    /// Instructions that were executed and that the decoder does not know: function and bytes.
    pub undecoded: Vec<String>,
}

/// How stacks were sampled.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// `cycles` or `cpu-clock`.
    pub event: String,
    /// Samples taken.
    pub samples: u64,
    /// Of them, those that hit user space.
    pub user: u64,
    /// Samples that the kernel had no room for.
    pub lost: u64,
    /// Nanoseconds, or cycles, from one sample to the next.
    pub period: u64,
    /// Stores made meanwhile.
    pub stores: u64,
    /// What to mind when reading.
    pub notes: Vec<String>,
}

/// One way through the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// What the stores that went this way came to.
    pub outcome: Option<Outcome>,
    /// Which of the faults went this way, from 0.
    pub faults: Vec<u64>,
    /// All of it; cache lines are those of the first fault that went this way.
    pub counts: Counts,
    /// Writes to the tables on the way to the page stored to, in order.
    pub page_table_writes: Vec<PageTableWrite>,
    /// What each phase takes.
    pub phases: Vec<Phase>,
    /// What each function does, the most instructions first.
    pub functions: Vec<Function>,
    /// The call tree in the order of execution.
    pub tree: Vec<Node>,
}

/// What is counted of a path or a part of it. Of a sampled one, `instructions` are samples and the rest
/// is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Instructions, each repetition of a string instruction counted, as the guest's clock does.
    pub instructions: u64,
    /// Of them, repetitions of string instructions.
    pub repetitions: u64,
    /// Instructions that lock their operand.
    pub atomics: u64,
    /// Conditional branches.
    pub branches: u64,
    /// Of them, those taken.
    pub taken: u64,
    /// Bytes moved or stored by string instructions.
    pub string_bytes: u64,
    /// Cache lines.
    pub lines: Lines,
}

impl Counts {
    /// Adds another part's; cache lines, which may be the same ones, are left alone.
    pub fn add(&mut self, other: &Counts) {
        self.instructions += other.instructions;
        self.repetitions += other.repetitions;
        self.atomics += other.atomics;
        self.branches += other.branches;
        self.taken += other.taken;
        self.string_bytes += other.string_bytes;
    }
}

/// Different lines of 64 bytes that instructions touch; what the CPU's own page walks touch is not among
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// Of code.
    pub code: u64,
    /// Read at user addresses.
    pub user_read: u64,
    /// Written at user addresses.
    pub user_written: u64,
    /// Read at kernel addresses.
    pub kernel_read: u64,
    /// Written at kernel addresses.
    pub kernel_written: u64,
}

/// A write to an entry of the page table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageTableWrite {
    /// The instruction's number in the path, from 0.
    pub at: u64,
    /// PGD, P4D, PUD, PMD or PTE.
    pub level: String,
    /// The function that writes.
    pub function: String,
}

/// A phase of the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub counts: Counts,
}

/// A function, all its visits together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// How often it was entered.
    pub calls: u64,
    /// Instructions of its own and of all that it calls.
    pub total: u64,
    /// What it does itself.
    pub own: Counts,
}

/// How a function was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Entered {
    /// By the exception, or as the outermost frame of a sampled stack.
    Fault,
    /// By a call.
    Call,
    /// By a jump, or by running into it: a tail call, or a part that assembly gives a name of its own.
    Jump,
}

/// One visit of a function, with those that it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its symbol.
    pub function: String,
    /// How it was entered.
    pub entered: Entered,
    /// The number of its first instruction in the path, from 0.
    pub at: u64,
    /// Instructions of its own, or samples.
    pub own: u64,
    /// The same with all below.
    pub total: u64,
    /// The phase that it belongs to; empty where none can be told.
    pub phase: String,
    /// What it led to, in order.
    pub children: Vec<Node>,
}

/// How the usual path of one kernel differs from that of another.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathDifference {
    /// The label of the kernel compared with.
    pub base: String,
    /// The label of the other.
    pub new: String,
    /// All of both paths.
    pub whole: FigurePair,
    /// Phases that either has.
    pub phases: Vec<Changed>,
    /// Functions whose figures differ, the largest difference first.
    pub functions: Vec<Changed>,
    /// Where the paths part for the first time; nothing where the same functions follow each other.
    #[serde(alias = "parting")]
    pub divergence: Option<Divergence>,
}

/// The same figures of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FigurePair {
    /// The base's, if it has any.
    pub base: Option<Counts>,
    /// The other's, if it has any.
    pub new: Option<Counts>,
}

impl FigurePair {
    /// Instructions of both; 0 where there are none.
    pub fn instructions(&self) -> [u64; 2] {
        [&self.base, &self.new].map(|side| side.as_ref().map_or(0, |counts| counts.instructions))
    }
}

/// A part of the path and its own figures in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// A function or a phase.
    pub name: String,
    /// Its figures.
    pub own: FigurePair,
}

/// Where two paths part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    /// The functions, outermost first, that both are in then.
    pub within: Vec<String>,
    /// Functions entered alike before.
    pub alike: u64,
    /// What the base does next: the function that it enters, or nothing if it returns.
    pub base: Option<String>,
    /// The number of the base's instruction there.
    pub base_at: u64,
    /// What the other does next.
    pub new: Option<String>,
    /// The number of the other's instruction there.
    pub new_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_the_format_before_says_where_its_paths_part() {
        let text = include_str!("../../tests/corpus/profile.json");
        assert!(text.contains(EARLIER) && text.contains("\"parting\""));
        let document: ProfileDocument = serde_json::from_str(text).unwrap();
        assert!(document.differences[0].divergence.is_some());
    }

    #[test]
    fn the_schema_that_is_published_is_this_program_s() {
        let published = include_str!("../../profile.schema.json");
        assert!(
            published == json_schema(),
            "mend with: cowpath schema profile > profile.schema.json"
        );
    }
}
