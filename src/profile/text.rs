//! A profile as text: figures, phases and the call tree, for a terminal and for `path.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::changes;
use super::document::{
    Counts, Entered, Function, Node, Path, PathSource, Profile, ProfileDocument,
};
use crate::record::outcome::Outcome;
use crate::report::document::Table;
use crate::report::format::{count, share};
use crate::report::terminal::table;

/// How much of a call tree is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Levels; what is deeper counts to the function above it.
    pub depth: usize,
    /// Calls with fewer instructions, or samples, are folded into one line with their neighbours.
    pub fold: u64,
}

impl Detail {
    /// All of it.
    pub const ALL: Detail = Detail {
        depth: usize::MAX,
        fold: 0,
    };
}

/// Everything that a document holds, in the order in which one reads it.
pub fn document(document: &ProfileDocument, detail: Detail) -> String {
    let mut text = String::new();
    for profile in &document.profiles {
        text += &self::profile(document, profile, detail);
        text.push('\n');
    }
    for difference in &document.differences {
        text += &changes::difference(difference);
        text.push('\n');
    }
    text
}

/// What a profile counts.
pub fn unit(evidence: &PathSource) -> &'static str {
    match evidence {
        PathSource::Stepped(_) => "instructions",
        PathSource::Sampled(_) => "samples",
    }
}

/// What the stores of a path came to, in a word.
pub fn outcome(path: &Path) -> &'static str {
    path.outcome
        .map_or("outcomes not told apart", Outcome::label)
}

/// What is to be known of a profile before its paths are read.
pub fn headlines(profile: &Profile) -> Vec<String> {
    match &profile.evidence {
        PathSource::Stepped(stepped) => {
            let mut lines = vec![format!(
                "{} faults stepped through, each in its own time, without interrupts, after {} others; {}, CPU {}",
                stepped.faults, stepped.skipped, stepped.qemu, stepped.cpu
            )];
            for path in &profile.paths {
                lines.push(format!(
                    "{} of {} faults ({}) took {} instructions from the exception to the return",
                    path.faults.len(),
                    stepped.faults,
                    outcome(path),
                    count(path.counts.instructions),
                ));
            }
            for (outcome, latency) in &stepped.timed {
                lines.push(format!(
                    "the timed loop counted {} (p50 of {} stores, {}) in the same boot: the store, made twice, and the clock included",
                    count(latency.p50),
                    latency.count,
                    outcome.label(),
                ));
            }
            let undecoded = stepped.undecoded.iter();
            lines.extend(
                undecoded.map(|it| format!("not decoded, so its memory is not counted: {it}")),
            );
            lines
        }
        PathSource::Sampled(sampled) => {
            let mut lines = vec![format!(
                "sampled: {} stacks by {} during {} stores, {} of them in user space ({}), {} lost",
                count(sampled.samples),
                sampled.event,
                count(sampled.stores),
                count(sampled.user),
                share(sampled.user, sampled.samples),
                count(sampled.lost),
            )];
            lines.extend(sampled.notes.iter().cloned());
            lines
        }
    }
}

fn profile(document: &ProfileDocument, profile: &Profile, detail: Detail) -> String {
    let mut text = format!("{} on {}\n", document.scenario, profile.kernel.label);
    for line in headlines(profile) {
        let _ = writeln!(text, "  {line}");
    }
    for (index, path) in profile.paths.iter().enumerate() {
        let _ = match index {
            0 => writeln!(text, "\nThe usual path"),
            _ => writeln!(text, "\nPath {}: {}", index + 1, parts(profile, path)),
        };
        // A rare path is told by where it leaves the usual one.
        if index == 0 || detail == Detail::ALL {
            text += &figures(path, &profile.evidence);
            if !path.phases.is_empty() {
                let phases = phases(path, unit(&profile.evidence));
                let _ = writeln!(text, "\n{}", table::text(&phases));
            }
            text += &tree(path, detail);
        }
    }
    text
}

/// Where a rarer path leaves the usual one.
pub fn parts(profile: &Profile, path: &Path) -> String {
    let faults: Vec<String> = path.faults.iter().map(u64::to_string).collect();
    let faults = format!("fault {}", faults.join(", "));
    let Some(usual) = profile.usual() else {
        return faults;
    };
    match super::diff::divergence(usual, path) {
        Some(divergence) => format!(
            "{faults}; {}",
            super::words::divergence(&divergence, "the usual path", "this one")
        ),
        None => {
            let usual: BTreeMap<&str, u64> = usual.functions.iter().map(named).collect();
            let differ = path.functions.iter().filter(|function| {
                let (name, own) = named(function);
                usual.get(name).is_some_and(|&usual| usual != own)
            });
            let names: Vec<&str> = differ.map(|function| function.name.as_str()).collect();
            format!(
                "{faults}; the same functions, with another number of instructions in {}",
                if names.is_empty() {
                    "none".into()
                } else {
                    names.join(", ")
                }
            )
        }
    }
}

fn named(function: &Function) -> (&str, u64) {
    (&function.name, function.own.instructions)
}

fn figures(path: &Path, evidence: &PathSource) -> String {
    if matches!(evidence, PathSource::Sampled(_)) {
        return String::new();
    }
    let counts = &path.counts;
    let mut text = format!(
        "  {} instructions, of them {} repetitions of string instructions, which move or store {} bytes\n  \
         {} atomics; {} conditional branches, {} taken\n  \
         64-byte lines: {} of code; kernel memory {} read, {} written; user memory {} read, {} written\n",
        count(counts.instructions),
        count(counts.repetitions),
        count(counts.string_bytes),
        counts.atomics,
        counts.branches,
        counts.taken,
        counts.lines.code,
        counts.lines.kernel_read,
        counts.lines.kernel_written,
        counts.lines.user_read,
        counts.lines.user_written,
    );
    let _ = writeln!(
        text,
        "  page-table entries written: {}",
        entries_written(path)
    );
    text
}

/// Each write to the page table on the way to the page.
pub fn entries_written(path: &Path) -> String {
    let writes = path.page_table_writes.iter().map(|write| {
        format!(
            "{} by {} (instruction {})",
            write.level,
            write.function,
            count(write.at)
        )
    });
    match writes.collect::<Vec<_>>().as_slice() {
        [] => "none".into(),
        writes => writes.join(", "),
    }
}

/// What each phase takes.
pub fn phases(path: &Path, unit: &str) -> Table {
    let mut rows = Table::of_figures(
        "Phases, by the functions that begin them",
        ["phase"],
        [
            unit,
            "share",
            "atomics",
            "branches",
            "lines read",
            "lines written",
        ],
    );
    for phase in &path.phases {
        let Counts {
            instructions,
            atomics,
            branches,
            lines,
            ..
        } = &phase.counts;
        rows.add([
            phase.name.clone(),
            count(*instructions),
            share(*instructions, path.counts.instructions),
            atomics.to_string(),
            branches.to_string(),
            (lines.kernel_read + lines.user_read).to_string(),
            (lines.kernel_written + lines.user_written).to_string(),
        ]);
    }
    rows
}

/// The call tree: instruction number, total and own instructions, function.
fn tree(path: &Path, detail: Detail) -> String {
    let mut text = String::from("\n      at   total     own\n");
    for root in &path.tree {
        branch(root, 0, detail, &mut text);
    }
    text
}

fn branch(node: &Node, depth: usize, detail: Detail, text: &mut String) {
    let how = match node.entered {
        Entered::Jump => " (jump)",
        Entered::Fault | Entered::Call => "",
    };
    let deepest = depth + 1 >= detail.depth && !node.children.is_empty();
    let own = if deepest { node.total } else { node.own };
    let indent = "  ".repeat(depth);
    let (at, total, own) = (count(node.at), count(node.total), count(own));
    let _ = writeln!(
        text,
        "{at:>8}{total:>8}{own:>8}  {indent}{}{how}",
        node.function
    );
    if deepest {
        return;
    }
    let mut small: Vec<&Node> = Vec::new();
    for child in &node.children {
        if child.total < detail.fold {
            small.push(child);
            continue;
        }
        folded(&mut small, depth, text);
        branch(child, depth + 1, detail, text);
    }
    folded(&mut small, depth, text);
}

/// One line for calls that are not shown.
fn folded(small: &mut Vec<&Node>, depth: usize, text: &mut String) {
    let Some(first) = small.first() else { return };
    let (at, total) = (
        count(first.at),
        count(small.iter().map(|node| node.total).sum()),
    );
    let (calls, what) = match small.len() {
        1 => (String::new(), first.function.clone()),
        n => (format!("{n} calls: "), names(small)),
    };
    let indent = "  ".repeat(depth + 1);
    let _ = writeln!(text, "{at:>8}{total:>8}{:>8}  {indent}- {calls}{what}", "");
    small.clear();
}

/// The different functions among these, in order.
fn names(nodes: &[&Node]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for node in nodes {
        if !names.contains(&node.function.as_str()) {
            names.push(&node.function);
        }
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::stacks::tests::node;

    fn shown(detail: Detail) -> String {
        let tree = vec![
            node("small", 0, 3, vec![]),
            node("tiny", 0, 1, vec![]),
            node("large", 0, 10, vec![node("inner", 0, 20, vec![])]),
        ];
        let mut text = String::new();
        branch(&node("root", 0, 5, tree), 0, detail, &mut text);
        text
    }

    #[test]
    fn calls_below_the_limit_are_folded_into_a_line_with_their_neighbours() {
        let text = shown(Detail { depth: 9, fold: 4 });
        assert!(text.contains("- 2 calls: small, tiny\n"), "{text}");
        assert!(text.contains("inner"), "{text}");
    }

    #[test]
    fn what_is_too_deep_counts_to_the_function_above_it() {
        let text = shown(Detail { depth: 2, fold: 0 });
        assert!(text.contains("      30      30    large\n"), "{text}");
        assert!(!text.contains("inner"), "{text}");
    }
}
