//! A run with workers that follow a script: its order, what is lost, what is tried again, how it goes on, and what becomes
//! of settings that cannot be had.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use crate::machine::tune::{Setting, TuneError, Want};
use crate::measure::clock::Clock;
use crate::record::clock::ClockSource;
use crate::record::latency::{histogram, latency_of};
use crate::record::outcome::{Outcome, Tally};
use crate::record::rule::Rule;
use crate::record::unit::Unit;
use crate::suite::case::tests::config as usual;
use crate::worker::protocol::{Findings, Job, Loops};
use crate::worker::runner::Attempt;

/// Stores of a scripted repetition.
const STORES: u64 = 10;

/// What happened, in order: `exclusive` where that rule was wanted, `reuse/exclusive` where a worker was asked for it.
type Happened = Rc<RefCell<Vec<String>>>;

/// Workers of which the n-th timed repetition, from 0, comes to what the script says, or else to stores that copied.
struct Script {
    log: Happened,
    timed: Cell<usize>,
    attempts: fn(usize, &Job) -> Option<Attempt>,
}

impl Script {
    fn new(attempts: fn(usize, &Job) -> Option<Attempt>) -> Script {
        Script {
            log: Happened::default(),
            timed: Cell::new(0),
            attempts,
        }
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }
}

impl Workers for Script {
    fn repeat(&self, job: &Job) -> Attempt {
        // The rule is not looked for, and events are not counted.
        if job.pages != 64 || job.counting.is_some() {
            return Attempt::Unreachable("scripted".into());
        }
        self.log.borrow_mut().push(job.scenario.clone());
        let n = self.timed.replace(self.timed.get() + 1);
        (self.attempts)(n, job).unwrap_or_else(done)
    }
}

fn done() -> Attempt {
    let mut stores = histogram();
    stores.record_n(900, STORES).unwrap();
    let mut tally = Tally::default();
    tally.add(Outcome::Copy, STORES);
    Attempt::Done(Box::new(Findings {
        tally,
        latency: BTreeMap::from([(Outcome::Copy, latency_of(&stores, Unit::Ns))]),
        timed: Loops {
            stores: STORES,
            ticks: vec![9_000],
        },
        ..Findings::default()
    }))
}

/// Settings of which one may be refused.
struct Settings {
    log: Happened,
    refused: Option<Rule>,
    /// How often it is not refused yet.
    granted: Cell<u32>,
}

impl Tuning for Settings {
    fn bring_about(&mut self, wants: &[Want]) -> Result<(), TuneError> {
        for want in wants {
            if let Want::Value(Setting::Reuse, rule) = want {
                self.log.borrow_mut().push(rule.clone());
                if self.refused.is_some_and(|refused| refused.label() == rule) {
                    if let Some(left) = self.granted.get().checked_sub(1) {
                        self.granted.set(left);
                        continue;
                    }
                    return Err(TuneError::Swap("refused".into()));
                }
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<String> {
        vec!["one setting was left alone".into()]
    }
}

fn environment() -> Environment {
    Environment {
        host: crate::machine::host::read(),
        audit: Vec::new(),
        clock: Clock {
            source: ClockSource::MonotonicRaw,
            hz: 1e9,
            overhead_ns: 0.0,
            note: String::new(),
        },
        tracepoints: BTreeMap::new(),
        watch: Err("scripted".into()),
        locks: crate::measure::locks::WaitWatches::new(),
        unit: Unit::Ns,
        command: Vec::new(),
    }
}

fn config(reps: u32, strategies: &[Rule]) -> Config {
    Config {
        pages: 64,
        trials: 1,
        reps,
        seed: 3,
        strategies: strategies.to_vec(),
        ..usual(&[0], &[], &[0])
    }
}

const ONE: [&str; 1] = ["copy/child-alive"];
const TWO: [&str; 2] = ["copy/child-alive", "copy/in-child"];

struct Ended {
    file: RunFile,
    notes: Vec<String>,
    checkpoints: usize,
}

/// Runs `ids`; goes on from a file and with settings, where there are any.
fn run(
    environment: &Environment,
    script: &Script,
    config: Config,
    ids: &[&str],
    from: Option<&RunFile>,
    settings: Option<Settings>,
) -> Ended {
    let scenarios: Vec<_> = ids.iter().map(|id| find(id)).collect();
    let mut suite = Suite::new(environment, script, config, &scenarios);
    if let Some(from) = from {
        suite.resume(from).unwrap();
    }
    if let Some(settings) = settings {
        suite.tune(settings);
    }
    let (mut notes, mut checkpoints) = (Vec::new(), 0);
    let file = suite.run(|event| match event {
        SuiteEvent::Note(text) => notes.push(text),
        SuiteEvent::Checkpoint(file) => {
            assert!(!file.complete && !file.results.is_empty());
            checkpoints += 1;
        }
        _ => {}
    });
    Ended {
        file,
        notes,
        checkpoints,
    }
}

fn find(id: &str) -> &'static crate::scenario::Scenario {
    crate::scenario::catalogue::find(id).unwrap()
}

fn plain(script: &Script, reps: u32, ids: &[&str]) -> Ended {
    run(&environment(), script, config(reps, &[]), ids, None, None)
}

/// A run file without what no two runs have in common.
fn but_for_time(mut file: RunFile) -> RunFile {
    (file.id, file.started, file.finished) = Default::default();
    file
}

#[test]
fn rules_take_turns_forwards_and_backwards() {
    let script = Script::new(|_, _| None);
    let rules = [Rule::Exclusive, Rule::Refcount, Rule::Mapcount];
    let settings = Settings {
        log: script.log.clone(),
        refused: None,
        granted: Cell::new(0),
    };
    let config = config(2, &rules);
    let ended = run(&environment(), &script, config, &ONE, None, Some(settings));
    let log = script.log();
    let (timed, _) = log.split_at(12);
    let of: Vec<_> = timed
        .iter()
        .filter(|what| !ONE.contains(&what.as_str()))
        .collect();
    assert_eq!(
        of,
        [
            "exclusive",
            "refcount",
            "mapcount",
            "mapcount",
            "refcount",
            "exclusive"
        ]
    );
    assert!(ended.file.complete);
    assert_eq!(ended.file.results.len(), 3);
    assert_eq!(ended.notes.last().unwrap(), "one setting was left alone");
}

#[test]
fn each_round_has_every_case_once_in_an_order_that_the_seed_decides() {
    let orders = |seed| {
        let script = Script::new(|_, _| None);
        let config = Config {
            seed,
            ..config(16, &[])
        };
        run(&environment(), &script, config, &TWO, None, None);
        script.log()
    };
    let log = orders(3);
    assert_eq!(log.len(), 32);
    for round in log.chunks(2) {
        assert_ne!(round[0], round[1]);
    }
    let firsts: Vec<_> = log.chunks(2).map(|round| &round[0]).collect();
    assert!(firsts.contains(&&TWO[0].to_string()) && firsts.contains(&&TWO[1].to_string()));
    assert_eq!(log, orders(3));
    assert_ne!(log, orders(4));
}

#[test]
fn a_lost_repetition_is_named_and_the_others_are_made() {
    let script = Script::new(|n, _| (n == 1).then(|| Attempt::Lost("killed".into())));
    let ended = plain(&script, 3, &ONE);
    let measured = &ended.file.results[0];
    assert!(ended.file.complete);
    assert_eq!(
        measured
            .repetitions
            .iter()
            .map(|r| r.index)
            .collect::<Vec<_>>(),
        [0, 2]
    );
    assert_eq!(
        (measured.lost[0].index, measured.lost[0].reason.as_str()),
        (1, "killed")
    );
    assert_eq!(measured.outcomes.copy, 2 * STORES);
    assert_eq!(
        ended.notes[0],
        "copy/child-alive: repetition 1 was lost: killed"
    );
}

#[test]
fn a_state_that_never_came_about_is_skipped_once_and_one_that_did_is_lost() {
    let never = Script::new(|_, job| {
        (job.scenario == "copy/in-child").then(|| Attempt::Unreachable("no such state".into()))
    });
    let ended = plain(&never, 3, &TWO);
    let asked = never.log();
    assert_eq!(asked.iter().filter(|id| *id == "copy/in-child").count(), 1);
    assert_eq!(ended.file.skipped[0].reason, "no such state");
    assert_eq!(ended.file.results.len(), 1);

    let later = Script::new(|n, _| (n == 2).then(|| Attempt::Unreachable("gone".into())));
    let ended = plain(&later, 3, &ONE);
    assert_eq!(ended.file.skipped.len(), 0);
    assert_eq!(ended.file.results[0].lost[0].reason, "gone");
}

#[test]
fn a_state_that_failed_once_is_tried_again_in_the_next_round() {
    let once = Script::new(|n, _| (n == 0).then(|| Attempt::Failed("moved away".into())));
    let measured = &plain(&once, 3, &ONE).file.results[0];
    assert_eq!(measured.repetitions.len(), 2);
    assert_eq!(measured.lost[0].reason, "moved away");

    let always = Script::new(|_, _| Some(Attempt::Failed("moved away".into())));
    let ended = plain(&always, 9, &ONE);
    assert_eq!(always.log().len(), GIVEN_UP);
    assert_eq!(
        ended.file.skipped[0].reason,
        "moved away (tried in 3 rounds)"
    );
}

#[test]
fn a_setting_that_is_refused_later_costs_the_repetition_and_says_so() {
    let script = Script::new(|_, _| None);
    let settings = Settings {
        log: script.log.clone(),
        refused: Some(Rule::Refcount),
        granted: Cell::new(1),
    };
    let config = config(4, &[Rule::Refcount]);
    let ended = run(&environment(), &script, config, &ONE, None, Some(settings));
    let measured = &ended.file.results[0];
    assert_eq!(measured.repetitions.len(), 1);
    assert_eq!(measured.lost.len(), 3, "every repetition is accounted for");
    assert!(measured.lost[0].reason.contains("refused"));
    assert!(ended.notes.iter().any(|note| note.contains("was lost")));
}

#[test]
fn a_case_whose_repetitions_are_all_lost_is_no_result() {
    let script = Script::new(|n, _| Some(Attempt::Lost(format!("killed {n}"))));
    let ended = plain(&script, 2, &ONE);
    assert!(ended.file.results.is_empty());
    assert_eq!(ended.file.skipped[0].reason, "killed 0");
}

#[test]
fn an_interrupted_run_keeps_what_it_has_and_goes_on_to_the_same_file() {
    let environment = environment();
    let whole = run(
        &environment,
        &Script::new(|_, _| None),
        config(4, &[]),
        &TWO,
        None,
        None,
    );
    let stopped = Script::new(|n, _| (n == 5).then_some(Attempt::Interrupted));
    let part = run(&environment, &stopped, config(4, &[]), &TWO, None, None);
    assert!(!part.file.complete);
    let made: usize = part.file.results.iter().map(|m| m.repetitions.len()).sum();
    assert_eq!(made, 5);

    let rest = Script::new(|_, _| None);
    let resumed = run(
        &environment,
        &rest,
        config(4, &[]),
        &TWO,
        Some(&part.file),
        None,
    );
    assert_eq!(rest.log().len(), 3);
    assert_eq!(resumed.file.id, part.file.id);
    assert!(but_for_time(resumed.file) == but_for_time(whole.file));
}

#[test]
fn a_run_of_something_else_is_not_gone_on_with() {
    let environment = environment();
    let script = Script::new(|_, _| None);
    let one = run(&environment, &script, config(1, &[]), &TWO, None, None).file;
    let refused = |config: Config, ids: &[&str]| {
        let scenarios: Vec<_> = ids.iter().map(|id| find(id)).collect();
        let mut suite = Suite::new(&environment, &script, config, &scenarios);
        suite.resume(&one).unwrap_err()
    };
    assert!(refused(config(2, &[]), &TWO).contains("another configuration"));
    assert!(refused(config(1, &[]), &ONE).contains("copy/in-child"));
}

#[test]
fn a_setting_that_cannot_be_had_skips_its_cases_and_no_others() {
    let script = Script::new(|_, _| None);
    let settings = Settings {
        log: script.log.clone(),
        refused: Some(Rule::Refcount),
        granted: Cell::new(0),
    };
    let config = config(2, &[Rule::Exclusive, Rule::Refcount]);
    let ended = run(&environment(), &script, config, &ONE, None, Some(settings));
    assert!(ended.file.complete);
    let rules: Vec<_> = ended.file.results.iter().map(|m| m.strategy).collect();
    assert_eq!(rules, [Some(Rule::Exclusive)]);
    let skipped = &ended.file.skipped[0];
    assert_eq!(skipped.strategy, Some(Rule::Refcount));
    assert!(skipped.reason.contains("refused"), "{}", skipped.reason);
    // It is asked for once.
    assert_eq!(
        script
            .log()
            .iter()
            .filter(|what| *what == "refcount")
            .count(),
        1
    );
}

#[test]
fn the_first_repetition_is_kept_at_once() {
    let ended = plain(&Script::new(|_, _| None), 1, &ONE);
    // A slow machine comes to keep it once more.
    assert!(ended.checkpoints >= 1);
}

#[test]
fn trials_that_were_thrown_away_are_in_the_file() {
    let script = Script::new(|n, _| {
        let Attempt::Done(mut found) = done() else {
            return None;
        };
        found.attempts.kept = 50;
        if n == 1 {
            found.attempts.after = 2;
            found.attempts.before = 7;
            found.attempts.reason = Some("moved away".into());
        }
        Some(Attempt::Done(found))
    });
    let ended = plain(&script, 2, &ONE);
    let attempts = ended.file.results[0].attempts().unwrap();
    assert_eq!(
        (attempts.kept, attempts.before, attempts.after),
        (100, 7, 2)
    );
    assert!(attempts.chosen());
    let told = attempts.told().unwrap();
    assert_eq!(
        told,
        "7 of 109 before their stores, 2 after them; the first: moved away"
    );
}
