//! What the reader of a run must know besides its figures.

use crate::compare::drift::Drift;
use crate::machine::capability::name::Capability;
use crate::record::case::{CaseId, violated};
use crate::record::known::Known;
use crate::record::method::{LateCount, Method};
use crate::record::repetition::{Attempts, DirectReads, Referenced, Repetition};
use crate::record::schema::{Counter, Discards, EventCount, LockWait, Measured, RunFile};
use crate::report::terminal::words::{case, percent, thousands};

pub(super) fn remarks(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    let sum = |count: fn(&Measured) -> u64| file.results.iter().map(count).sum::<u64>();
    lines.push(format!(
        "data: {} words checked, {} violations",
        thousands(sum(|m| m.integrity.checked) as f64),
        sum(|m| m.integrity.violations)
    ));
    let violated = violated(&file.results);
    lines.extend(violated.iter().map(|which| format!("VIOLATED: {which}")));
    lines.extend(unknown_remarks(file, sum(|m| m.outcomes.unknown)));
    lines.extend(held_remarks(file));
    lines.extend(race_remarks(file));
    lines.extend(disturbance(file));
    lines.extend(counted_remarks(file));
    for measured in &file.results {
        for outcome in measured.several_humps() {
            let label = CaseId::of(measured).label();
            lines.push(format!(
                "p50 of {label}, {}: of all stores, and outside the interval of the repetitions' medians: the distribution has several humps, of which repetitions have different shares",
                outcome.label()
            ));
        }
        let attempts = measured.attempts();
        if let Some(attempts) = attempts.filter(Attempts::chosen)
            && let Some(told) = attempts.told()
        {
            let label = CaseId::of(measured).label();
            lines.push(format!("trials of {label} were thrown away: {told}"));
        }
        for lost in &measured.lost {
            lines.push(format!(
                "lost: {} repetition {}: {}",
                measured.scenario, lost.index, lost.reason
            ));
        }
    }
    for skipped in &file.skipped {
        lines.push(format!("skipped: {}: {}", skipped.scenario, skipped.reason));
    }
    if !file.complete {
        lines.push("INTERRUPTED: not everything that was asked for was measured".into());
    }
    lines
}

/// What is known of `unknown` outcomes.
fn unknown_remarks(file: &RunFile, unknown: u64) -> Vec<String> {
    if unknown == 0 {
        return Vec::new();
    }
    let reuse =
        file.results
            .iter()
            .filter_map(|measured| match measured.counters.get("vmstat:pgreuse") {
                Some(Counter::Counted(EventCount { per_fault, .. }))
                    if measured.outcomes.unknown > 0 =>
                {
                    Some(format!("{} {per_fault:.2}", measured.scenario))
                }
                _ => None,
            });
    vec![
        format!(
            "{} outcomes are unknown{}",
            thousands(unknown as f64),
            why_unknown(file)
        ),
        format!(
            "pages that the whole machine reused per store meanwhile (/proc/vmstat pgreuse; near 1: reuse, near 0: copy): {}",
            reuse.collect::<Vec<_>>().join(", ")
        ),
    ]
}

/// What was counted of stores, case by case, that a reader must know.
fn counted_remarks(file: &RunFile) -> Vec<String> {
    let each = [
        (
            "minor faults beyond one a store, of code, stack or timestamps, each in some store's latency",
            sums(file, |one| one.surplus_faults),
        ),
        (
            "stores told reuse from no fault by latency alone, since their trials had both",
            sums(file, |one| one.inferred),
        ),
    ];
    let counted = each.into_iter().filter(|(_, sums)| !sums.is_empty());
    let counted = counted.map(|(what, sums)| format!("{what}: {sums}"));
    counted
        .chain(swapped_in(file))
        .chain(referenced(file))
        .chain(direct_reads(file))
        .chain(taken(file))
        .chain(huge(file))
        .chain(by_place(file))
        .collect()
}

/// Of the stores that brought a page in from swap space, those that waited for the device; the others found the page in the
/// swap cache.
fn swapped_in(file: &RunFile) -> Option<String> {
    let each = file.results.iter().filter_map(|measured| {
        let all = measured.outcomes.swap_in;
        let counts = measured.repetitions.iter().map(|one| one.major_faults);
        let waited = counts.sum::<Option<u64>>()?;
        let [waited, of] = [waited, all].map(|count| thousands(count as f64));
        (all > 0).then(|| format!("{} {waited} of {of}", CaseId::of(measured).label()))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "swap-ins that waited for the device (the others found the page in the swap cache): {}",
            each.join(", ")
        )
    })
}

/// What pipes and registered buffers see of a store that was made after they were given the page.
fn referenced(file: &RunFile) -> Option<String> {
    let each = file.results.iter().filter_map(|measured| {
        let Referenced { pages, later } = measured.sum(|one| one.referenced)?;
        let [later, pages] = [later, pages].map(|count| thousands(count as f64));
        Some(format!(
            "{} {later} of {pages}",
            CaseId::of(measured).label()
        ))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "pages of which a pipe or a registered buffer sees the later store: {}",
            each.join(", ")
        )
    })
}

/// Of O_DIRECT reads that were in flight during the stores, the pages that what was read never came to.
fn direct_reads(file: &RunFile) -> Option<String> {
    let each = file.results.iter().filter_map(|measured| {
        let DirectReads { pages, lost } = measured.sum(|one| one.direct_reads)?;
        let [lost, pages] = [lost, pages].map(|count| thousands(count as f64));
        Some(format!(
            "{} {lost} of {pages}",
            CaseId::of(measured).label()
        ))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "pages that lost an O_DIRECT read which was in flight when they were stored to: {}",
            each.join(", ")
        )
    })
}

/// The memory that stores to large folios took.
fn taken(file: &RunFile) -> Option<String> {
    let each = file.results.iter().filter_map(|measured| {
        let amount = measured.sum(|one| one.taken)?.per_store()?;
        Some(format!("{} {amount}", CaseId::of(measured).label()))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "memory that a store took for data, of folios larger than a page: {}",
            each.join(", ")
        )
    })
}

/// What PMDs still map of huge folios that were stored to.
fn huge(file: &RunFile) -> Option<String> {
    let each = file.results.iter().filter_map(|measured| {
        let told = measured.sum(|one| one.huge)?.told();
        Some(format!("{} {told}", CaseId::of(measured).label()))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "huge folios that PMDs still map after the stores: {}",
            each.join(", ")
        )
    })
}

/// What a store takes by its place among those to its folio, a line for each case.
fn by_place(file: &RunFile) -> Vec<String> {
    let each = file.results.iter().filter_map(|measured| {
        let places = measured.by_place();
        let places: Vec<String> = places
            .iter()
            .map(|(place, p50)| format!("{place} {}", thousands(*p50 as f64)))
            .collect();
        (!places.is_empty()).then(|| {
            format!(
                "{}: p50 by the store's place among those to its folio: {}",
                CaseId::of(measured).label(),
                places.join(", ")
            )
        })
    });
    each.collect()
}

/// A count of each case, summed over its repetitions; those of which it is zero are left out.
fn sums(file: &RunFile, count: impl Fn(&Repetition) -> Option<u64>) -> String {
    let each = file.results.iter().filter_map(|measured| {
        let sum: u64 = measured.repetitions.iter().filter_map(&count).sum();
        (sum > 0).then(|| format!("{} {sum}", CaseId::of(measured).label()))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Why page frame numbers could not be seen, and the command that shows the truth about every fault.
fn why_unknown(file: &RunFile) -> String {
    let mut checks = file.audit.iter();
    let Some(check) = checks.find(|check| check.check == Capability::Pfn.name()) else {
        return String::new();
    };
    if check.advice.is_empty() {
        return format!(": {}", check.state);
    }
    let command = file.tool.command.join(" ");
    let mend = check.advice.replace("cowpath run", &command);
    format!(": {}; mend with: {mend}", check.state)
}

/// What became of pages that were pinned while a copier was held.
fn held_remarks(file: &RunFile) -> Vec<String> {
    let line = |measured: &Measured| {
        let held = measured.held.as_ref()?;
        let stale = match held.stale {
            Some(stale) => format!("{stale} pins do not see a later store"),
            None => "no pin lasts".into(),
        };
        Some(format!(
            "{}: {} pages pinned inside the window: {} copies thrown away ({} by the recheck), {} exclusive pages replaced, {stale}",
            case(file, measured),
            held.pages,
            held.backed_off,
            held.rechecked,
            held.replaced,
        ))
    };
    file.results.iter().filter_map(line).collect()
}

/// Whether that method has counted the discards of any race.
fn counts_any(file: &RunFile, method: Method) -> bool {
    let discards = file.results.iter().filter_map(|one| one.discards.counted());
    let mut others = discards.filter_map(|counted| counted.other_methods.get(&method));
    others.any(|second| second.counted().is_some())
}

/// What a reader of a race must know.
fn race_remarks(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in &file.results {
        let Some(race) = &measured.race else { continue };
        let name = case(file, measured);
        if race.not_allowed > 0 {
            lines.push(format!(
                "NOT ALLOWED: {name}: {} of {} pages came to something that the {} strategy rules out; see race.results in the run file",
                race.not_allowed,
                race.results.iter().map(|result| result.pages).sum::<u64>(),
                file.strategy.small.label(),
            ));
        }
        if race.rehearsal_allocations > 0 {
            lines.push(format!(
                "{name}: the race itself allocated {} pages on {} pages that nobody shared: its discards are too many by that share",
                race.rehearsal_allocations, race.rehearsal_pages
            ));
        }
        match &measured.discards {
            Discards::Unavailable { unavailable } => {
                lines.push(format!("{name}: discards not counted: {unavailable}"));
            }
            Discards::Counted(counted) => {
                for (method, second) in &counted.other_methods {
                    let says = match second {
                        Known::Counted(LateCount { late, difference }) => format!(
                            "{late} late discards on {} pages: {difference:+} against the tracepoints",
                            counted.pages
                        ),
                        // Where it counts no race at all, doctor says why.
                        Known::Unavailable { unavailable } if counts_any(file, *method) => {
                            format!("nothing of this race: {unavailable}")
                        }
                        Known::Unavailable { .. } => continue,
                    };
                    lines.push(format!("{name}: {} says {says}", method.label()));
                }
            }
        }
        match &race.lock_wait {
            Some(Known::Counted(LockWait {
                waited_ns, of_ns, ..
            })) => lines.push(format!(
                "{name}: {} of the threads' time was spent waiting for locks",
                percent(100.0 * *waited_ns as f64 / (*of_ns).max(1) as f64)
            )),
            Some(Known::Unavailable { unavailable }) => {
                lines.push(format!(
                    "{name}: waits for locks not counted: {unavailable}"
                ));
            }
            None => {}
        }
        if race.events > 0 {
            lines.push(format!(
                "{name}: {} faults on a read-only page survived, or wake-ups sent to sleeping stores",
                thousands(race.events as f64)
            ));
        }
    }
    lines
}

/// What disturbed the run from outside, and how far two sides of the same lay apart.
fn disturbance(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    let all: Vec<_> = file.results.iter().flat_map(|m| &m.repetitions).collect();
    let reasons = |rep: &&&Repetition| {
        rep.interference
            .as_ref()
            .is_some_and(|i| !i.disturbed.is_empty())
    };
    let disturbed: Vec<_> = all.iter().filter(reasons).collect();
    if let Some(first) = disturbed.first() {
        let first = first.interference.iter().flat_map(|i| &i.disturbed).next();
        lines.push(format!(
            "{} of {} repetitions were disturbed from outside, such as: {}; they are marked in the run file and count above",
            disturbed.len(),
            all.len(),
            first.map_or("", String::as_str)
        ));
    }
    lines.extend(Drift::of(file).map(|drift| drift.told()));
    if let Some(noise) = &file.noise {
        lines.push(format!(
            "noise within this run: of {} medians of two sides of the same that took turns, 95 % lay within {:.1} % of each other; {} were called slower or faster, which none is; how far runs lie apart only several runs tell (cowpath noise)",
            noise.rows,
            100.0 * noise.floor,
            noise.false_alarms
        ));
    }
    lines
}
