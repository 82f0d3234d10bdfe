//! How two kernels' usual paths differ.

use std::collections::BTreeMap;

use super::document::{
    Changed, Counts, Divergence, FigurePair, Node, Path, PathDifference, Profile,
};

/// Compares the usual paths; `None` if one has none.
pub fn difference(base: &Profile, new: &Profile) -> Option<PathDifference> {
    let [before, after] = [base.usual()?, new.usual()?];
    let named = |path: &Path| -> BTreeMap<String, Counts> {
        let functions = path.functions.iter();
        functions
            .map(|function| (function.name.clone(), function.own.clone()))
            .collect()
    };
    let (mut old, mut fresh) = (named(before), named(after));
    let mut functions: Vec<Changed> = old
        .keys()
        .chain(fresh.keys())
        .cloned()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|name| Changed {
            own: FigurePair {
                base: old.remove(&name),
                new: fresh.remove(&name),
            },
            name,
        })
        .filter(|changed| changed.own.base != changed.own.new)
        .collect();
    functions.sort_by_key(|changed| {
        let [base, new] = changed.own.instructions();
        (std::cmp::Reverse(base.abs_diff(new)), changed.name.clone())
    });
    let phase = |path: &Path, name: &str| {
        let mut phases = path.phases.iter();
        let phase = phases.find(|phase| phase.name == name);
        phase.map(|phase| phase.counts.clone())
    };
    let phases = super::phase::PHASES.iter().map(|name| Changed {
        name: (*name).to_owned(),
        own: FigurePair {
            base: phase(before, name),
            new: phase(after, name),
        },
    });
    Some(PathDifference {
        base: base.kernel.label.clone(),
        new: new.kernel.label.clone(),
        whole: FigurePair {
            base: Some(before.counts.clone()),
            new: Some(after.counts.clone()),
        },
        phases: phases
            .filter(|changed| changed.own.base.is_some() || changed.own.new.is_some())
            .collect(),
        functions,
        divergence: divergence(before, after),
    })
}

/// A function entered, by so many others that it lies within.
struct Call<'a> {
    depth: usize,
    node: &'a Node,
}

/// Every visit in the order of execution.
fn entries<'a>(nodes: &'a [Node], depth: usize, all: &mut Vec<Call<'a>>) {
    for node in nodes {
        all.push(Call { depth, node });
        entries(&node.children, depth + 1, all);
    }
}

/// The functions that the last of these lies within, outermost first, and itself.
fn way<'a>(entries: &[Call<'a>]) -> Vec<&'a str> {
    let mut way = Vec::new();
    let mut above = usize::MAX;
    for entry in entries.iter().rev() {
        if entry.depth < above {
            above = entry.depth;
            way.push(entry.node.function.as_str());
        }
    }
    way.reverse();
    way
}

pub(super) fn divergence(before: &Path, after: &Path) -> Option<Divergence> {
    let (mut base, mut new) = (Vec::new(), Vec::new());
    entries(&before.tree, 0, &mut base);
    entries(&after.tree, 0, &mut new);
    // Where all before is alike, what lies as deep lies within the same.
    let alike = base
        .iter()
        .zip(&new)
        .take_while(|(base, new)| {
            (base.depth, &base.node.function) == (new.depth, &new.node.function)
        })
        .count();
    if alike == base.len() && alike == new.len() {
        return None;
    }
    let at = |side: &[Call], path: &Path| {
        side.get(alike)
            .map_or(path.counts.instructions, |entry| entry.node.at)
    };
    let [one, other] = [&base, &new].map(|side| side.get(..=alike).map_or(Vec::new(), way));
    let within = one.iter().zip(&other).take_while(|(a, b)| a == b);
    let last = |way: &[&str]| way.last().map(|function| (*function).to_owned());
    Some(Divergence {
        within: within.map(|(function, _)| (*function).to_owned()).collect(),
        alike: alike as u64,
        base: last(&one),
        base_at: at(&base, before),
        new: last(&other),
        new_at: at(&new, after),
    })
}
