//! How two kernels' usual paths differ.

use std::collections::BTreeMap;

use super::document::{Changed, Counts, Difference, Node, Pair, Parting, Path, Profile};

/// Compares the usual paths; `None` if one has none.
pub fn difference(base: &Profile, new: &Profile) -> Option<Difference> {
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
            own: Pair {
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
        own: Pair {
            base: phase(before, name),
            new: phase(after, name),
        },
    });
    Some(Difference {
        base: base.kernel.label.clone(),
        new: new.kernel.label.clone(),
        whole: Pair {
            base: Some(before.counts.clone()),
            new: Some(after.counts.clone()),
        },
        phases: phases
            .filter(|changed| changed.own.base.is_some() || changed.own.new.is_some())
            .collect(),
        functions,
        parting: parting(before, after),
    })
}

/// A function entered: the way to it from the outermost, and the number of its first instruction.
struct Entry {
    way: Vec<String>,
    at: u64,
}

fn entries(nodes: &[Node], way: &mut Vec<String>, all: &mut Vec<Entry>) {
    for node in nodes {
        way.push(node.function.clone());
        all.push(Entry {
            way: way.clone(),
            at: node.at,
        });
        entries(&node.children, way, all);
        way.pop();
    }
}

pub(super) fn parting(before: &Path, after: &Path) -> Option<Parting> {
    let sequence = |path: &Path| {
        let mut all = Vec::new();
        entries(&path.tree, &mut Vec::new(), &mut all);
        all
    };
    let (base, new) = (sequence(before), sequence(after));
    let alike = base
        .iter()
        .zip(&new)
        .take_while(|(base, new)| base.way == new.way)
        .count();
    if alike == base.len() && alike == new.len() {
        return None;
    }
    let at = |side: &[Entry], path: &Path| {
        side.get(alike)
            .map_or(path.counts.instructions, |entry| entry.at)
    };
    let way = |side: &[Entry]| side.get(alike).map(|entry| entry.way.clone());
    let (old, fresh) = (way(&base), way(&new));
    let [one, other] = [&old, &fresh].map(|way| way.clone().unwrap_or_default());
    let within = one.iter().zip(&other).take_while(|(a, b)| a == b);
    Some(Parting {
        within: within.map(|(function, _)| function.clone()).collect(),
        alike: alike as u64,
        base: old.and_then(|way| way.last().cloned()),
        base_at: at(&base, before),
        new: fresh.and_then(|way| way.last().cloned()),
        new_at: at(&new, after),
    })
}
