//! Folded stacks, and the flame graphs that inferno draws of them.

use std::fmt::Write;

use inferno::differential;
use inferno::flamegraph::{self, Options, color};

use super::document::{Node, Path};
use crate::report::error::ReportError;

/// One line for each stack, in the order of execution: functions from the outermost, separated by
/// semicolons, and how many instructions (or samples) were its innermost one's own there.
pub fn folded(path: &Path) -> String {
    let mut lines = String::new();
    for root in &path.tree {
        fold(root, "", &mut lines);
    }
    lines
}

/// How long the folded stacks of a path are at most, in bytes, but for their counts: each stack has all names above it once
/// more.
pub fn folded_bytes(path: &Path) -> u64 {
    fn below(node: &Node, above: u64) -> u64 {
        let stack = above + node.function.len() as u64 + 1;
        let own = stack * (node.children.len() as u64 + 1);
        let children = node.children.iter().map(|child| below(child, stack));
        children.fold(own, u64::saturating_add)
    }
    path.tree
        .iter()
        .fold(0, |sum, root| sum.saturating_add(below(root, 0)))
}

fn fold(node: &Node, above: &str, lines: &mut String) {
    // What would end a name, or a line, is none in a name.
    let name = |c: char| if c.is_control() || c == ';' { '_' } else { c };
    let name: String = node.function.chars().map(name).collect();
    let stack = if above.is_empty() {
        name
    } else {
        format!("{above};{name}")
    };
    // What is between its callees is its own.
    let mut since = node.at;
    for child in &node.children {
        line(&stack, child.at.saturating_sub(since), lines);
        fold(child, &stack, lines);
        since = child.at + child.total;
    }
    line(&stack, (node.at + node.total).saturating_sub(since), lines);
}

fn line(stack: &str, count: u64, lines: &mut String) {
    if count > 0 {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{stack} {count}");
    }
}

/// What a flame graph is of.
pub struct Title<'a> {
    /// Its headline.
    pub title: &'a str,
    /// A line below it.
    pub subtitle: &'a str,
    /// What its widths count.
    pub unit: &'a str,
    /// Whether stacks follow each other as they did in time; else like ones are put together.
    pub in_order: bool,
}

fn options<'a>(title: &Title<'_>) -> Options<'a> {
    let mut options = Options::default();
    options.title = title.title.to_owned();
    options.subtitle = Some(title.subtitle.to_owned());
    options.count_name = title.unit.to_owned();
    options.colors = color::Palette::Basic(color::BasicPalette::Mem);
    options.bgcolors = Some(color::BackgroundColor::Flat(color::Color {
        r: 255,
        g: 255,
        b: 255,
    }));
    options.hash = true;
    options.min_width = 0.05;
    options.flame_chart = title.in_order;
    options
}

/// A flame graph as SVG.
///
/// # Errors
/// If nothing is in it.
pub fn flame_graph(folded: &str, title: &Title<'_>) -> Result<String, ReportError> {
    if title.in_order {
        // What comes last is drawn first.
        let backwards: Vec<&str> = folded.lines().rev().collect();
        draw(&mut options(title), &backwards.join("\n"))
    } else {
        draw(&mut options(title), folded)
    }
}

/// The stacks of a difference: those of both, with the counts of both.
///
/// # Errors
/// If one of them is not folded stacks.
pub fn differential(base: &str, new: &str) -> Result<String, ReportError> {
    let mut lines = Vec::new();
    differential::from_readers(
        differential::Options::default(),
        base.as_bytes(),
        new.as_bytes(),
        &mut lines,
    )
    .map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&lines).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    // Their order is that of a hash table.
    lines.sort_unstable();
    Ok(lines.join("\n") + "\n")
}

/// A differential flame graph: as wide as the new one, red where there is more, blue where there is
/// less.
///
/// # Errors
/// As [`differential()`].
pub fn differential_graph(base: &str, new: &str, title: &Title<'_>) -> Result<String, ReportError> {
    draw(&mut options(title), &differential(base, new)?)
}

fn draw(options: &mut Options<'_>, stacks: &str) -> Result<String, ReportError> {
    let mut svg = Vec::new();
    flamegraph::from_lines(options, stacks.lines(), &mut svg).map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&svg).into_owned())
}

fn failed(error: &dyn std::fmt::Display) -> ReportError {
    ReportError::Plot {
        plot: "flame graph".into(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::profile::document::{Counts, Entered};

    pub(crate) fn node(function: &str, at: u64, own: u64, children: Vec<Node>) -> Node {
        Node {
            function: function.into(),
            entered: Entered::Call,
            at,
            own,
            total: own + children.iter().map(|child| child.total).sum::<u64>(),
            phase: String::new(),
            children,
        }
    }

    fn path(tree: Vec<Node>) -> Path {
        Path {
            outcome: None,
            faults: vec![0],
            counts: Counts::default(),
            page_table_writes: Vec::new(),
            phases: Vec::new(),
            functions: Vec::new(),
            tree,
        }
    }

    #[test]
    fn stacks_follow_each_other_as_they_did_in_time() {
        let tree = node(
            "entry",
            0,
            7,
            vec![node("first", 2, 3, vec![]), node("second", 6, 4, vec![])],
        );
        assert_eq!(
            folded(&path(vec![tree])),
            "entry 2\nentry;first 3\nentry 1\nentry;second 4\nentry 4\n"
        );
    }

    #[test]
    fn a_difference_has_the_counts_of_both() {
        let lines = differential("a 5\na;b 3\n", "a 5\na;c 4\n").unwrap();
        assert_eq!(lines, "a 5 5\na;b 3 0\na;c 0 4\n");
    }

    #[test]
    fn a_flame_graph_names_every_function() {
        let title = Title {
            title: "t",
            subtitle: "s",
            unit: "instructions",
            in_order: true,
        };
        let svg = flame_graph("entry 2\nentry;first 3\n", &title).unwrap();
        assert!(svg.contains("first (3 instructions"), "{svg}");
    }
}
