//! A profile as a document: for each kernel its usual path, and how each differs from the first.

use super::changes;
use super::document::{Entered, Node, Path, PathDifference, PathSource, Profile, ProfileDocument};
use super::text;
use super::words::divergence;
use crate::report::document::{
    Block, Document, Drawing, Fact, Facts, Section, Table, Tree, TreeNode,
};
use crate::report::format::{count, share};

/// How deep a call tree is shown at first.
const OPEN_LEVELS: usize = 12;

/// Flame graphs.
#[derive(Default)]
pub struct Drawings {
    /// Of each kernel.
    pub kernels: Vec<Vec<Drawing>>,
    /// Of each difference, where both kernels have stacks.
    pub differences: Vec<Option<Drawing>>,
}

/// The document that the page is made of.
pub fn page(profile: &ProfileDocument, drawings: &Drawings) -> Document {
    let kernels = profile.profiles.iter().zip(&drawings.kernels).zip(1..);
    let kernels = kernels.map(|((one, drawn), number)| kernel(one, number, drawn));
    let differences = profile.differences.iter();
    let differences = differences.zip(&drawings.differences).zip(1..);
    let differences =
        differences.map(|((one, drawn), number)| difference(one, number, drawn.as_ref()));
    Document {
        title: format!("{}: the path of a fault", profile.scenario),
        lead: vec![format!(
            "cowpath {}, {}, {} pages",
            profile.version, profile.started, profile.folio
        )],
        sections: kernels.chain(differences).collect(),
        footer: vec![
            "Instructions are a count of work, not of time: no cache, no TLB, no contention is in them."
                .into(),
        ],
    }
}

fn kernel(profile: &Profile, number: usize, drawings: &[Drawing]) -> Section {
    let stepped = matches!(profile.evidence, PathSource::Stepped(_));
    let mut blocks = Vec::new();
    if !stepped {
        blocks.push(Block::notice(
            "these are stacks at moments, not a path: shares of time, not counts.",
        ));
    }
    blocks.push(Block::List {
        items: text::headlines(profile),
    });
    if let Some(usual) = profile.usual() {
        if stepped {
            blocks.extend(figures(usual));
        }
        let unit = text::unit(&profile.evidence);
        if !usual.phases.is_empty() {
            blocks.push(Block::Table(text::phases(usual, unit)));
        }
        blocks.extend(drawings.iter().cloned().map(Block::Drawing));
        let least = usual.counts.instructions / 100;
        let roots = usual.tree.iter().map(|root| node(root, 0, least));
        blocks.push(Block::Heading {
            text: "Call tree".into(),
        });
        blocks.push(Block::Tree(Tree {
            roots: roots.collect(),
        }));
        blocks.push(Block::Table(functions(usual, unit, stepped)));
    }
    if profile.paths.len() > 1 {
        blocks.push(Block::Heading {
            text: "Rarer paths".into(),
        });
    }
    blocks.extend(profile.paths.iter().skip(1).map(|path| {
        Block::text(format!(
            "{} instructions: {}.",
            count(path.counts.instructions),
            text::parts(profile, path)
        ))
    }));
    Section::new(format!("k{number}"), profile.kernel.label.clone(), blocks)
}

/// What the usual path does, in figures.
fn figures(path: &Path) -> [Block; 2] {
    let counts = &path.counts;
    let lines = &counts.lines;
    let tile =
        |name: &str, value: u64, detail: String| Fact::new(name, count(value)).detail(detail);
    let items = vec![
        tile(
            "instructions",
            counts.instructions,
            format!(
                "{} are repetitions of string instructions, {} bytes",
                count(counts.repetitions),
                count(counts.string_bytes)
            ),
        ),
        tile(
            "atomics",
            counts.atomics,
            "instructions that lock their operand".into(),
        ),
        tile(
            "conditional branches",
            counts.branches,
            format!("{} taken", count(counts.taken)),
        ),
        tile("lines of code", lines.code, "of 64 bytes".into()),
        tile(
            "lines read",
            lines.kernel_read + lines.user_read,
            format!("{} at user addresses", count(lines.user_read)),
        ),
        tile(
            "lines written",
            lines.kernel_written + lines.user_written,
            format!("{} at user addresses", count(lines.user_written)),
        ),
    ];
    [
        Block::Facts(Facts {
            caption: "The usual path".into(),
            prominent: true,
            items,
        }),
        Block::text(format!(
            "Page-table entries written: {}. Lines are those that instructions touch; the CPU's own page walks are not among \
             them.",
            text::entries_written(path)
        )),
    ]
}

fn node(from: &Node, depth: usize, least: u64) -> TreeNode {
    let mut details = format!("at {}", count(from.at));
    if !from.children.is_empty() {
        details = format!("own {}, {details}", count(from.own));
    }
    if !from.phase.is_empty() {
        details += &format!(", {}", from.phase);
    }
    let children = from.children.iter();
    TreeNode {
        name: from.function.clone(),
        entered: match from.entered {
            Entered::Jump => "jump",
            Entered::Fault | Entered::Call => "",
        },
        figure: count(from.total),
        details,
        open: from.total >= least && depth < OPEN_LEVELS,
        children: children
            .map(|child| node(child, depth + 1, least))
            .collect(),
    }
}

fn functions(path: &Path, unit: &str, stepped: bool) -> Table {
    let own = format!("own {unit}");
    let stepped_only: &[&str] = match stepped {
        true => &[
            "atomics",
            "branches",
            "lines read",
            "lines written",
            "string bytes",
        ],
        false => &[],
    };
    let mut table = Table::of_figures(
        "Functions, all their visits together",
        ["function"],
        ["visits", &own, "share", "with callees"]
            .into_iter()
            .chain(stepped_only.iter().copied()),
    );
    for function in &path.functions {
        let own = &function.own;
        let lines = &own.lines;
        let mut cells = vec![
            function.name.clone(),
            count(function.calls),
            count(own.instructions),
            share(own.instructions, path.counts.instructions),
            count(function.total),
        ];
        if stepped {
            cells.extend(
                [
                    own.atomics,
                    own.branches,
                    lines.kernel_read + lines.user_read,
                    lines.kernel_written + lines.user_written,
                    own.string_bytes,
                ]
                .map(count),
            );
        }
        table.add(cells);
    }
    table
}

fn difference(between: &PathDifference, number: usize, drawing: Option<&Drawing>) -> Section {
    let [base, new] = between.whole.instructions();
    let parted = match &between.divergence {
        Some(at) => divergence(at, &between.base, &between.new),
        None => "both enter the same functions in the same order".into(),
    };
    let mut blocks = vec![Block::text(format!(
        "{} to {} instructions: {parted}.",
        count(base),
        count(new)
    ))];
    blocks.extend(drawing.cloned().map(Block::Drawing));
    blocks.extend(changes::tables(between).map(Block::Table));
    Section::new(
        format!("d{number}"),
        format!("From {} to {}", between.base, between.new),
        blocks,
    )
}
