//! From a fault's steps to its path: who calls whom, in order, and what each function does.

use std::collections::{BTreeMap, BTreeSet};

use super::decode::{Decoded, Decodings, Flow, MemoryAccess};
use super::document::{Counts, Entered, Function, Lines, Node, PageTableWrite, Path, Phase};
use super::frames::CallStack;
use super::phase::{self, PHASES};
use super::trace::{Code, InstructionStep, Trace};
use crate::guest::symbols::Symbols;

/// The first address of the kernel's half.
const KERNEL: u64 = 1 << 63;
/// Bytes of a cache line, as a power of two.
const LINE: u32 = 6;

/// What makes sense of a guest's steps.
pub struct SymbolTable<'a> {
    /// The kernel's names.
    pub symbols: &'a Symbols,
    /// Its code.
    pub code: &'a Code,
    /// What its instructions do.
    pub decodings: Decodings,
}

/// What is counted, with the cache lines one by one.
#[derive(Clone, Default)]
struct PathTally {
    counts: Counts,
    code: BTreeSet<u64>,
    read: BTreeSet<u64>,
    written: BTreeSet<u64>,
}

impl PathTally {
    fn count(
        &mut self,
        step: &InstructionStep,
        decoded: Option<&Decoded>,
        accesses: &[MemoryAccess],
        taken: bool,
    ) {
        self.counts.instructions += 1;
        self.code.insert(step.rip >> LINE);
        let Some(decoded) = decoded else { return };
        self.counts.atomics += u64::from(decoded.atomic);
        if decoded.flow == Flow::Branch {
            self.counts.branches += 1;
            self.counts.taken += u64::from(taken);
        }
        if !decoded.is_spent(step) {
            self.counts.string_bytes += decoded.string;
            self.counts.repetitions += u64::from(decoded.repeated);
        }
        for access in accesses {
            let last = access.address + access.size.max(1) - 1;
            for line in access.address >> LINE..=last >> LINE {
                if access.reads {
                    self.read.insert(line);
                }
                if access.writes {
                    self.written.insert(line);
                }
            }
        }
    }

    fn add(&mut self, other: &PathTally) {
        self.counts.add(&other.counts);
        self.code.extend(&other.code);
        self.read.extend(&other.read);
        self.written.extend(&other.written);
    }

    fn lines(&self) -> Lines {
        let count = |lines: &BTreeSet<u64>, user: bool| {
            let lines = lines.iter();
            lines
                .filter(|line| (**line << LINE < KERNEL) == user)
                .count() as u64
        };
        Lines {
            code: self.code.len() as u64,
            user_read: count(&self.read, true),
            user_written: count(&self.written, true),
            kernel_read: count(&self.read, false),
            kernel_written: count(&self.written, false),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.lines = self.lines();
        counts
    }
}

/// One visit of a function.
struct Visit {
    function: String,
    entered: Entered,
    at: u64,
    phase: usize,
    children: Vec<usize>,
    own: PathTally,
}

/// The path that a trace took.
pub fn path(trace: &Trace, symbol_table: &mut SymbolTable<'_>) -> Path {
    let steps = trace.kernel();
    let mut frames = CallStack::default();
    let mut visits: Vec<Visit> = Vec::new();
    let mut roots = Vec::new();
    let mut whole = PathTally::default();
    let mut phases = vec![PathTally::default(); PHASES.len()];
    let mut page_table_writes = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let next = steps.get(index + 1);
        let decoded = symbol_table.decodings.at(symbol_table.code, step.rip);
        let decoded = decoded.cloned();
        let function = name(symbol_table.symbols, step.rip);
        let place = frames.place(step, &function);
        if let Some(entered) = place.entered {
            let visit = open(&mut visits, place.parent, function, entered, index as u64);
            if place.parent.is_none() {
                roots.push(visit);
            }
            frames.opened(visit);
        }
        let Some(visit) = frames.current() else {
            continue;
        };
        let accesses = decoded
            .as_ref()
            .map(|decoded| decoded.accesses(step))
            .unwrap_or_default();
        let behind = step.rip + decoded.as_ref().map_or(0, |decoded| decoded.length);
        let taken = next.is_some_and(|next| next.rip != behind);
        for tally in [&mut whole, &mut phases[visits[visit].phase]] {
            tally.count(step, decoded.as_ref(), &accesses, taken);
        }
        visits[visit]
            .own
            .count(step, decoded.as_ref(), &accesses, taken);
        for access in accesses.iter().filter(|access| access.writes) {
            if let Some(level) = trace.walk.level(access.address) {
                page_table_writes.push(PageTableWrite {
                    at: index as u64,
                    level: level.to_owned(),
                    function: visits[visit].function.clone(),
                });
            }
        }
        if let (Some(decoded), Some(next)) = (&decoded, next) {
            frames.go(step, decoded, next);
        }
    }
    Path {
        outcome: None,
        faults: Vec::new(),
        counts: whole.counts(),
        page_table_writes,
        phases: PHASES
            .iter()
            .zip(&phases)
            .filter(|(_, tally)| tally.counts.instructions > 0)
            .map(|(name, tally)| Phase {
                name: (*name).to_owned(),
                counts: tally.counts(),
            })
            .collect(),
        functions: functions(&visits, &roots),
        tree: roots.iter().map(|root| node(&visits, *root)).collect(),
    }
}

/// Adds a visit of a function, which is of its caller's phase unless it has one of its own.
fn open(
    visits: &mut Vec<Visit>,
    parent: Option<usize>,
    function: String,
    entered: Entered,
    at: u64,
) -> usize {
    let visit = visits.len();
    let inherited = parent.map_or(phase::FIRST, |parent| {
        visits[parent].children.push(visit);
        visits[parent].phase
    });
    visits.push(Visit {
        phase: phase::of(&function).unwrap_or(inherited),
        function,
        entered,
        at,
        children: Vec::new(),
        own: PathTally::default(),
    });
    visit
}

/// The function at an address: its symbol, with what the compiler moved out of it counted as its own.
pub(super) fn name(symbols: &Symbols, address: u64) -> String {
    match symbols.at(address) {
        Some(symbol) => {
            let name = symbol.name.split(".cold").next().unwrap_or(&symbol.name);
            match &symbol.module {
                Some(module) => format!("{name} [{module}]"),
                None => name.to_owned(),
            }
        }
        None => format!("{address:#x}"),
    }
}

fn node(visits: &[Visit], index: usize) -> Node {
    let visit = &visits[index];
    let children: Vec<Node> = visit
        .children
        .iter()
        .map(|child| node(visits, *child))
        .collect();
    let own = visit.own.counts.instructions;
    Node {
        function: visit.function.clone(),
        entered: visit.entered,
        at: visit.at,
        own,
        total: own + children.iter().map(|child| child.total).sum::<u64>(),
        phase: PHASES[visit.phase].to_owned(),
        children,
    }
}

/// What each function does, all its visits together; the most instructions first.
fn functions(visits: &[Visit], roots: &[usize]) -> Vec<Function> {
    let mut own: BTreeMap<&str, (u64, PathTally)> = BTreeMap::new();
    for visit in visits {
        let (calls, tally) = own.entry(&visit.function).or_default();
        *calls += 1;
        tally.add(&visit.own);
    }
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for root in roots {
        total(visits, *root, &mut Vec::new(), &mut totals);
    }
    let mut functions: Vec<Function> = own
        .into_iter()
        .map(|(name, (calls, tally))| Function {
            name: name.to_owned(),
            calls,
            total: totals.get(name).copied().unwrap_or_default(),
            own: tally.counts(),
        })
        .collect();
    functions.sort_by(|a, b| {
        let most = b.own.instructions.cmp(&a.own.instructions);
        most.then_with(|| a.name.cmp(&b.name))
    });
    functions
}

/// Adds up a visit's instructions; a function inside itself counts once.
fn total<'v>(
    visits: &'v [Visit],
    index: usize,
    within: &mut Vec<&'v str>,
    totals: &mut BTreeMap<&'v str, u64>,
) -> u64 {
    let visit = &visits[index];
    let function = visit.function.as_str();
    let again = within.contains(&function);
    within.push(function);
    let children = visit.children.iter();
    let sum = visit.own.counts.instructions
        + children
            .map(|child| total(visits, *child, within, totals))
            .sum::<u64>();
    within.pop();
    if !again {
        *totals.entry(function).or_default() += sum;
    }
    sum
}
