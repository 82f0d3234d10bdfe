//! What the program prints: the catalogue, the doctor's findings and a run's table.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;

use crate::machine::audit::{Check, Severity};
use crate::measure::{probes, vmstat};
use crate::run::schema::{
    Discards, LockWait, Measured, Repetition, RunFile, SecondCount, Strategy, Unit,
};
use crate::run::strategy::as_expected;
use crate::run::suite::Environment;
use crate::scenario::folio::Folio;
use crate::scenario::outcome::Outcome;
use crate::scenario::play::{Bystander, Frame, Meeting, Play};
use crate::scenario::{Prediction, Scenario};
use crate::stats::interval::median_interval;
use crate::stats::ratio::ratio_of_medians;

/// A table without lines.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Puts figures under each other from a column on.
pub(crate) fn right_align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// The catalogue as text.
pub fn catalogue(scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        let _ = writeln!(text, "{}", scenario.id);
        let mut line = |name: &str, what: &str| {
            let _ = writeln!(text, "    {name:<9} {what}");
        };
        line("what", scenario.summary);
        let steps: Vec<&str> = scenario.steps.iter().map(|step| step.label()).collect();
        line("set-up", &[&["map"], steps.as_slice()].concat().join(", "));
        line("proven", &scenario.mapping.label());
        line("timed", &timed(scenario));
        line("path", scenario.path);
        line(
            "expected",
            &expectation(&scenario.expected, |o| o.label().into()),
        );
        if let Some(race) = scenario.race() {
            line(
                "allowed",
                &expectation(&race.allowed, |result| result.label()),
            );
        }
        for era in scenario.eras {
            let words: Vec<&str> = era.expected.iter().map(|o| o.label()).collect();
            let words = words.join(" or ");
            line("", &format!("{}: {words} ({})", era.span(), era.basis));
        }
        line("basis", scenario.basis);
        for need in scenario.needs() {
            line("needs", need);
        }
        text.push('\n');
    }
    text
}

/// What is timed, in words.
fn timed(scenario: &Scenario) -> String {
    let race = match &scenario.play {
        Play::Stores(actor) => return format!("the {} {}", actor.label(), scenario.timed.label()),
        Play::Race(race) => race,
        Play::Held => {
            return "nothing: thread 1 of the parent stores and is held in the copy window; the child exits; thread 2 pins the page".into();
        }
    };
    let mut text = format!(
        "in the {}: thread 1 {}",
        race.within.label(),
        race.first.label()
    );
    let _ = write!(text, ", thread 2 {}", race.rival.label());
    match race.meeting {
        Meeting::Deadline => text += ", at one moment",
        Meeting::Swept(ns) => {
            let _ = write!(text, " from 0 to {ns} ns later");
        }
        Meeting::Free => text += ", each at its own speed",
    }
    match race.bystander {
        Bystander::Rests => {}
        Bystander::Exits => text += "; a process forked for the page exits meanwhile",
        Bystander::Unmaps => text += "; the child unmaps the page meanwhile",
    }
    text
}

fn expectation<T: PartialEq>(expected: &Prediction<T>, label: impl Fn(&T) -> String) -> String {
    let words = |outcomes: &[T]| {
        let words: Vec<String> = outcomes.iter().map(&label).collect();
        words.join(" or ")
    };
    let Prediction {
        mapcount,
        refcount,
        exclusive,
    } = expected;
    if mapcount == refcount && refcount == exclusive {
        words(mapcount)
    } else {
        format!(
            "mapcount (up to 5.8): {}; refcount (5.9 to 5.18): {}; exclusive (5.19 and later): {}",
            words(mapcount),
            words(refcount),
            words(exclusive)
        )
    }
}

/// The catalogue as JSON: an array of scenarios.
///
/// # Errors
/// Those of the JSON writer.
pub fn catalogue_json(scenarios: &[&Scenario]) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Listed<'a> {
        #[serde(flatten)]
        scenario: &'a Scenario,
        group: &'a str,
        needs: Vec<&'a str>,
    }
    let listed: Vec<Listed> = scenarios
        .iter()
        .map(|scenario| Listed {
            scenario,
            group: scenario.group(),
            needs: scenario.needs(),
        })
        .collect();
    serde_json::to_string_pretty(&listed)
}

/// The machine, what works on it, what would spoil a measurement, and the kernel's strategy.
pub fn doctor(environment: &Environment, strategy: &Strategy) -> String {
    let host = &environment.host;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} on {} ({} CPUs, {}), virtualization {}\nclock {} at {:.3} MHz; reading it costs {:.1} ns {}",
        host.kernel.release,
        host.cpu,
        host.cpus,
        host.arch,
        host.virtualization,
        environment.clock.source.label(),
        environment.clock.hz / 1e6,
        environment.clock.overhead_ns,
        environment.clock.note,
    );
    let _ = writeln!(text, "\n{}", strategy_text(strategy));
    for severity in [
        Severity::Error,
        Severity::Warning,
        Severity::Info,
        Severity::Ok,
    ] {
        let checks: Vec<&Check> = environment
            .audit
            .iter()
            .filter(|check| check.severity == severity)
            .collect();
        if checks.is_empty() {
            continue;
        }
        let title = match severity {
            Severity::Error => "NOTHING CAN BE MEASURED WITHOUT",
            Severity::Warning => "WARNINGS: figures that are missing, or noisier than they need be",
            Severity::Info => "GOOD TO KNOW",
            Severity::Ok => "FINE",
        };
        let _ = writeln!(text, "{title}");
        for check in checks {
            let _ = writeln!(text, "  {:<22} {}", check.check, check.state);
            if severity != Severity::Ok {
                let _ = writeln!(text, "  {:<22}   why: {}", "", check.why);
                if !check.advice.is_empty() {
                    let _ = writeln!(text, "  {:<22}   mend: {}", "", check.advice);
                }
            }
        }
        text.push('\n');
    }
    text
}

/// The same as JSON.
///
/// # Errors
/// Those of the JSON writer.
pub fn doctor_json(environment: &Environment, strategy: &Strategy) -> serde_json::Result<String> {
    let clock = &environment.clock;
    serde_json::to_string_pretty(&serde_json::json!({
        "host": environment.host,
        "clock": clock,
        "strategy": strategy,
        "audit": environment.audit,
    }))
}

fn strategy_text(strategy: &Strategy) -> String {
    let mut text = format!(
        "reuse strategy: {} for small pages, {} for large folios\n",
        strategy.small.label(),
        strategy.large.label()
    );
    for line in &strategy.evidence {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// A run's table, its ratios and what the reader must know.
pub fn run(file: &RunFile) -> String {
    let mut text = format!("\n{}", strategy_text(&file.strategy));
    if !file.results.is_empty() {
        let _ = writeln!(text, "\n{}", results(file));
    }
    if let Some(table) = discards(file) {
        let _ = writeln!(text, "{table}\n");
    }
    for line in ratios(file) {
        let _ = writeln!(text, "{line}");
    }
    let mut latencies = file
        .results
        .iter()
        .flat_map(|measured| measured.latency.values());
    let unit = latencies
        .next()
        .map_or(Unit::Ns, |latency| latency.unit)
        .label();
    let _ = writeln!(
        text,
        "latencies in {unit}; reading the clock is in them and costs {:.1} {unit} ({}); [ ] is the 95 % interval of p50 over repetitions",
        file.clock.overhead_ns, file.clock.source,
    );
    for line in remarks(file) {
        let _ = writeln!(text, "{line}");
    }
    text
}

fn results(file: &RunFile) -> Table {
    let mut table = table(&[
        "scenario",
        "seen",
        "predicted",
        "p50",
        "[95 %]",
        "p99",
        "p99.9",
        "max",
        "stores/s",
    ]);
    right_align(&mut table, 3);
    for measured in &file.results {
        let total = measured.outcomes.total().max(1);
        let mut outcomes: Vec<_> = measured.latency.iter().collect();
        outcomes.sort_by_key(|(_, latency)| std::cmp::Reverse(latency.count));
        for (row, (&outcome, latency)) in outcomes.into_iter().enumerate() {
            let share = 100.0 * latency.count as f64 / total as f64;
            let p50s = p50s(measured, outcome);
            let interval = median_interval(&p50s, 0.95);
            let first = |text: String| if row == 0 { text } else { String::new() };
            table.add_row([
                first(case(file, measured)),
                format!("{} {}", percent(share), outcome.label()),
                first(expected_text(measured)),
                latency.p50.to_string(),
                interval.map_or("-".into(), |i| format!("[{:.0}, {:.0}]", i.low, i.high)),
                latency.p99.to_string(),
                latency.p999.to_string(),
                latency.max.to_string(),
                first(thousands(rate(measured))),
            ]);
        }
    }
    table
}

/// The scenario, and in what its results differ from each other.
fn case(file: &RunFile, measured: &Measured) -> String {
    let alike: Vec<&Measured> = file
        .results
        .iter()
        .filter(|other| other.scenario == measured.scenario)
        .collect();
    let mut text = measured.scenario.clone();
    if measured.folio != Folio::Page.to_string() {
        let _ = write!(text, " {}", measured.folio);
    }
    if alike.iter().any(|other| other.threads != measured.threads) {
        let _ = write!(text, " x{}", measured.threads);
    }
    if alike.iter().any(|other| other.skew != measured.skew) {
        let _ = write!(text, " skew {}", measured.skew);
    }
    if let Some(held) = &measured.held {
        let _ = write!(
            text,
            ", recheck {}",
            if held.recheck { "on" } else { "off" }
        );
    }
    if let Some(rule) = measured.strategy {
        let _ = write!(text, ", {}", rule.title());
    }
    if measured.oversubscribed {
        text += " (CPUs shared)";
    }
    text
}

/// What was thrown away in races, a row for each.
fn discards(file: &RunFile) -> Option<Table> {
    let mut table = table(&[
        "race",
        "pages",
        "late",
        "none",
        "futile",
        "same page + late",
        "arrive apart",
        "seen",
    ]);
    right_align(&mut table, 1);
    let mut rows = 0;
    for measured in &file.results {
        let Some(race) = &measured.race else { continue };
        rows += 1;
        let met = measured.rendezvous.as_ref().map(|met| &met.arrival);
        let apart = met.filter(|arrival| arrival.count > 0);
        let apart = apart.map_or("-".into(), |arrival| {
            format!("{} (p99 {})", arrival.p50, arrival.p99)
        });
        let share = |n: u64, pages: u64| percent(100.0 * n as f64 / pages.max(1) as f64);
        let in_place: u64 = race
            .results
            .iter()
            .filter(|result| result.frame == Frame::Same && result.late > 0)
            .map(|result| result.pages)
            .sum();
        let [pages, late, none, futile, in_place] = match &measured.discards {
            Discards::Counted {
                late,
                none,
                futile,
                pages,
                ..
            } => [
                thousands(*pages as f64),
                share(*late, *pages),
                share(*none, *pages),
                share(*futile, *pages),
                share(in_place, *pages),
            ],
            Discards::Unavailable { .. } => ["-"; 5].map(String::from),
        };
        let seen = if race.outside > 0 {
            format!("{} PAGES NOT ALLOWED", race.outside)
        } else {
            "as allowed".into()
        };
        table.add_row([
            case(file, measured),
            pages,
            late,
            none,
            futile,
            in_place,
            apart,
            seen,
        ]);
    }
    (rows > 0).then_some(table)
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

/// What a reader of a race must know.
fn race_remarks(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    for measured in &file.results {
        let Some(race) = &measured.race else { continue };
        let name = case(file, measured);
        if race.outside > 0 {
            lines.push(format!(
                "NOT ALLOWED: {name}: {} of {} pages came to something that the {} strategy rules out; see race.results in the run file",
                race.outside,
                race.results.iter().map(|result| result.pages).sum::<u64>(),
                file.strategy.small.label(),
            ));
        }
        if race.dry_allocations > 0 {
            lines.push(format!(
                "{name}: the race itself allocated {} pages on {} pages that nobody shared: its discards are too many by that share",
                race.dry_allocations, race.dry_pages
            ));
        }
        match &measured.discards {
            Discards::Unavailable { unavailable } => {
                lines.push(format!("{name}: discards not counted: {unavailable}"));
            }
            Discards::Counted { also, pages, .. } => {
                for second in also {
                    if let SecondCount::Counted {
                        method,
                        late,
                        difference,
                    } = second
                    {
                        lines.push(format!(
                            "{name}: {} says {late} late discards on {pages} pages: {difference:+} against the tracepoints",
                            who(method)
                        ));
                    }
                }
            }
        }
        match &race.lock_wait {
            Some(LockWait::Counted {
                waited_ns, of_ns, ..
            }) => lines.push(format!(
                "{name}: {} of the threads' time was spent waiting for locks",
                percent(100.0 * *waited_ns as f64 / (*of_ns).max(1) as f64)
            )),
            Some(LockWait::Unavailable { unavailable }) => {
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

/// Who counted by `method`, in a word.
fn who(method: &str) -> &'static str {
    match method {
        vmstat::METHOD => "the kernel",
        probes::METHOD => "kprobes",
        _ => "taskstats",
    }
}

/// Medians of an outcome, one for each repetition that saw it.
fn p50s(measured: &Measured, outcome: Outcome) -> Vec<f64> {
    let repetitions = measured.repetitions.iter();
    repetitions
        .filter_map(|rep| Some(rep.by_outcome.get(&outcome)?.p50 as f64))
        .collect()
}

fn rate(measured: &Measured) -> f64 {
    let rates: Vec<f64> = measured
        .repetitions
        .iter()
        .map(|rep| rep.faults_per_s)
        .collect();
    crate::stats::interval::median(&rates).unwrap_or(0.0)
}

/// A share that does not round to all or nothing unless it is.
fn percent(share: f64) -> String {
    if share == 100.0 || share == 0.0 {
        format!("{share:.0} %")
    } else if share > 99.99 {
        ">99.99 %".into()
    } else if share < 0.01 {
        "<0.01 %".into()
    } else {
        format!("{share:.2} %")
    }
}

fn expected_text(measured: &Measured) -> String {
    let words: Vec<&str> = measured.expected.iter().map(|o| o.label()).collect();
    let words = words.join(" or ");
    match as_expected(measured) {
        None if words.is_empty() => "nothing".into(),
        None => format!("{words}?"),
        Some(share) if share >= 0.999 => "yes".into(),
        Some(_) => format!("NO: {words}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn ratios(file: &RunFile) -> Vec<String> {
    let p50s = |id: &str, outcome| {
        let measured = file
            .results
            .iter()
            .find(|measured| measured.scenario == id)?;
        Some(p50s(measured, outcome)).filter(|values| !values.is_empty())
    };
    let base = p50s("reuse/child-exited", Outcome::Reuse);
    let copies = p50s("copy/child-alive", Outcome::Copy);
    let (Some(reuse), Some(copy)) = (base, copies) else {
        return Vec::new();
    };
    let Some(ratio) = ratio_of_medians(&copy, &reuse, file.config.seed) else {
        return Vec::new();
    };
    let interval = ratio.interval.map_or(String::new(), |(low, high)| {
        format!(" [{low:.2}, {high:.2}]")
    });
    vec![format!(
        "a copy (copy/child-alive) takes {:.2}{interval} times a reuse (reuse/child-exited)",
        ratio.value
    )]
}

/// What disturbed the run from outside, and how far two sides of the same lay apart.
fn disturbance(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    let all: Vec<_> = file.results.iter().flat_map(|m| &m.repetitions).collect();
    let reasons = |rep: &&&Repetition| rep.influence.as_ref().is_some_and(|i| !i.spoilt.is_empty());
    let spoilt: Vec<_> = all.iter().filter(reasons).collect();
    if let Some(first) = spoilt.first() {
        let first = first.influence.iter().flat_map(|i| &i.spoilt).next();
        lines.push(format!(
            "{} of {} repetitions were spoilt from outside, such as: {}; they are marked in the run file and count above",
            spoilt.len(),
            all.len(),
            first.map_or("", String::as_str)
        ));
    }
    if let Some(noise) = &file.noise {
        lines.push(format!(
            "noise floor: of {} medians of two sides of the same, 95 % lay within {:.1} % of each other; {} were called slower or faster, which none is",
            noise.rows,
            100.0 * noise.floor,
            noise.false_alarms
        ));
    }
    lines
}

fn remarks(file: &RunFile) -> Vec<String> {
    let mut lines = Vec::new();
    let sum = |count: fn(&Measured) -> u64| file.results.iter().map(count).sum::<u64>();
    lines.push(format!(
        "data: {} words checked, {} violations",
        thousands(sum(|m| m.integrity.checked) as f64),
        sum(|m| m.integrity.violations)
    ));
    let unknown = sum(|m| m.outcomes.unknown);
    if unknown > 0 {
        lines.push(format!(
            "{} outcomes are unknown: page frame numbers need CAP_SYS_ADMIN. For the truth about every fault: sudo {}",
            thousands(unknown as f64),
            file.tool.command.join(" ")
        ));
        let reuse = file.results.iter().filter_map(|measured| {
            match measured.counters.get("vmstat:pgreuse") {
                Some(crate::run::schema::Counter::Counted { per_fault, .. })
                    if measured.outcomes.unknown > 0 =>
                {
                    Some(format!("{} {per_fault:.2}", measured.scenario))
                }
                _ => None,
            }
        });
        lines.push(format!(
            "pages that the whole machine reused per store meanwhile (/proc/vmstat pgreuse; near 1: reuse, near 0: copy): {}",
            reuse.collect::<Vec<_>>().join(", ")
        ));
    }
    lines.extend(held_remarks(file));
    lines.extend(race_remarks(file));
    lines.extend(disturbance(file));
    for measured in &file.results {
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
