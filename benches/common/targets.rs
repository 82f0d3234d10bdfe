//! The targets: which scenarios are whose, which belong to the first impression, and how long they take.

use cowpath::machine::topology::Topology;
use cowpath::record::schema::Config;
use cowpath::scenario::{Scenario, Timed, catalogue};
use cowpath::suite::case::Case;
use cowpath::suite::random::random_seed;

use super::session::is_first_target;
use super::{ALL, Asked, Mode, say};

/// Repetitions of each case, each a process of its own and a sample of criterion's.
pub const SAMPLES: u32 = 20;

/// What a target measures if it is asked for nothing in particular, and what else it can.
pub struct Target {
    /// The name of its group.
    pub name: &'static str,
    /// Whether a scenario is its own.
    pub owns: fn(&Scenario) -> bool,
    /// The scenarios that belong to the first impression.
    pub first: &'static [&'static str],
    /// Seconds that a repetition takes with all that surrounds it, roughly: for the announcement alone.
    pub about: f64,
}

/// Threads that sweep the same pages.
pub const CONTENTION: Target = Target {
    name: "contention",
    owns: |scenario| scenario.group() == "contention",
    first: &["contention/sweep"],
    about: 0.5,
};

/// Threads that meet on every page.
pub const RACES: Target = Target {
    name: "races",
    owns: |scenario| scenario.group() == "race",
    // Both copy; the second may find itself alone; nothing is to be copied.
    first: &["race/store-store", "race/exit", "race/child-exited"],
    about: 0.45,
};

/// One thread's stores.
pub const REUSE_VS_COPY: Target = Target {
    name: "reuse_vs_copy",
    owns: |scenario| scenario.race().is_none(),
    first: &[
        "control/no-fault",
        "touch/zero-fill",
        "touch/zero-page",
        "reuse/child-exited",
        "reuse/last-mapper",
        "reuse/exclusive",
        "copy/child-alive",
        "copy/in-child",
        "extra-ref/vmsplice-then-fork",
        "extra-ref/vmsplice-never-forked",
    ],
    about: 0.15,
};

/// The overhead target's scenarios: one reuse and one copy.
pub const OVERHEAD: [&str; 2] = ["reuse/child-exited", "copy/child-alive"];
/// Seconds that one of its processes takes, roughly.
pub const OVERHEAD_ABOUT: f64 = 0.45;
/// Seconds that criterion's analysis and plots and the report take for each case, roughly.
const SHOWING: f64 = 0.7;

/// The loops that it sets against each other.
pub const LOOPS: [&str; 3] = ["timed", "fenced", "bare"];

/// The configuration that a run file states for benchmarks.
pub fn config(mode: Mode, scenarios: &[&'static Scenario]) -> Config {
    let cpus = Topology::read()
        .map(|topology| topology.order())
        .unwrap_or_default();
    let (pages, trials, reps) = match mode {
        Mode::Test => (256, 1, 1),
        _ => (4096, 4, SAMPLES),
    };
    Config {
        scenarios: scenarios
            .iter()
            .map(|scenario| scenario.id.into())
            .collect(),
        pages,
        trials,
        reps,
        race_trials: 1,
        race_reps: reps,
        slow_reps: reps,
        threads: Vec::new(),
        skew: vec![0],
        oversubscribe: false,
        tune: false,
        cpus: if cpus.is_empty() { vec![0] } else { cpus },
        seed: random_seed(),
        folios: Vec::new(),
        quick: false,
        strategies: Vec::new(),
        aa: false,
        until_mde: None,
        budget_s: None,
    }
}

/// The cases of `target` that were asked for, and the configuration that gave them.
pub fn wanted(target: &Target, asked: &Asked) -> (Vec<Case>, Config) {
    let owned: Vec<_> = catalogue::all()
        .filter(|scenario| (target.owns)(scenario))
        .collect();
    let config = config(asked.mode, &owned);
    let mut cases = Case::all(&owned, &config);
    cases.retain(|case| {
        let name = format!("{}/{}", target.name, name_of(case));
        asked.wants(&name, target.first.contains(&case.scenario.id))
    });
    (cases, config)
}

/// A case as criterion knows it: its times have no sign, so that it gets the whole fork where a run file has what the area
/// adds to it.
pub fn name_of(case: &Case) -> String {
    let label = case.id().label();
    match case.scenario.timed {
        Timed::Fork => format!("{label}, the whole fork"),
        _ => label,
    }
}

/// The overhead target's scenarios of which something was asked for.
pub fn wanted_overhead(asked: &Asked) -> Vec<&'static str> {
    let mut ids = OVERHEAD.to_vec();
    ids.retain(|id| {
        let mut names = LOOPS.iter().map(|name| format!("overhead/{id}/{name}"));
        names.any(|name| asked.wants(&name, true))
    });
    ids
}

/// Says how much is to come, of all targets and of this one.
pub fn announce(asked: &Asked, name: &str, repetitions: u32, about: f64) {
    if asked.mode != Mode::Measure {
        return;
    }
    // The first target of a `cargo bench` says it for all of them.
    if is_first_target() {
        let mut seconds = wanted_overhead(asked).len() as f64
            * (f64::from(SAMPLES) * OVERHEAD_ABOUT + 3.0 * SHOWING);
        for target in [&CONTENTION, &RACES, &REUSE_VS_COPY] {
            let (cases, _) = wanted(target, asked);
            let repetitions: u32 = cases.iter().map(|case| case.reps).sum();
            seconds += f64::from(repetitions) * target.about + cases.len() as f64 * SHOWING;
        }
        say(&format!(
            "this takes about {} min on an idle machine, and longer on a busy one",
            (seconds / 60.0).ceil()
        ));
        if asked.is_first_impression() {
            say(&format!(
                "it is a first impression; `cargo bench -- thp/` measures what the filter names, {ALL}=all everything"
            ));
        }
    }
    let seconds = (f64::from(repetitions) * about).ceil();
    say(&format!(
        "{name}: {repetitions} repetitions, about {seconds} s"
    ));
}
