//! `cowpath run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::args::{MOST_VALUES, PAGES, RunArgs};
use super::inputs::noise_profile;
use super::progress::Meter;
use super::resume;
use super::signals::stop_on_signals;
use crate::cli::say::{is_broken_pipe, say};
use crate::compare::noise;
use crate::exit;
use crate::guest::init;
use crate::machine::topology::Topology;
use crate::machine::tune::{self, Tuner};
use crate::machine::{cpulist, knob};
use crate::record::case::violated;
use crate::record::keeper::Keeper;
use crate::record::noise_profile::NoiseProfile;
use crate::record::output::{Output, WriteError};
use crate::record::rule::Rule;
use crate::record::schema::{Config, RunFile};
use crate::report::tested::TestForm;
use crate::report::{terminal, tested};
use crate::scenario::catalogue::choose;
use crate::suite::environment::Environment;
use crate::suite::event::SuiteEvent;
use crate::suite::random::random_seed;
use crate::suite::schedule::Suite;
use crate::suite::sizes;
use crate::sys::affinity;
use crate::worker::runner::{LATE, Runner};

/// Seconds that one repetition may take unless another time is asked for.
const LIMIT: u64 = 60;

pub(super) fn run(args: &RunArgs) -> Result<u8> {
    let earlier = match (&args.output, args.resume) {
        (Some(path), true) => Some(resume::earlier(path, args)?),
        _ => None,
    };
    let config = match &earlier {
        Some(earlier) => earlier.config.clone(),
        None => config(args)?,
    };
    let scenarios = choose(&config.scenarios)?;
    sizes::check(&scenarios, &args.folio)?;
    knob::check(&config.strategies, args.i_know || init::is_guest())?;
    // Before the machine is looked at: what can be counted depends on it.
    let tuner = tuner(&config)?;
    let environment = environment();
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| default_output(&environment));
    let mut keeper = Keeper::new(Output::open(&output)?);
    affinity::confine(&config.cpus).context("running on the CPUs of --cpus only")?;
    let runner = runner(args.limit.unwrap_or(LIMIT))?;
    let mut suite = Suite::new(&environment, &runner, config, &scenarios);
    if let Some(earlier) = &earlier {
        suite
            .resume(earlier)
            .map_err(|why| anyhow::anyhow!("cannot resume {}: {why}", output.display()))?;
    }
    if let Some(tuner) = tuner {
        suite.tune(tuner);
    }
    if let Some(path) = &args.noise {
        suite.beside(noise_here(path, &environment)?);
    }
    let (mut meter, mut kept) = (Meter::new(), Kept::default());
    let mut file = suite.run(|event| match event {
        SuiteEvent::Checkpoint(file) => {
            kept.say(keeper.checkpoint(file), &meter);
            if let Err(why) = init::checkpoint() {
                meter.note(&format!("the host has no checkpoint: {why}"));
            }
        }
        other => meter.show(&other),
    });
    meter.end();
    if file.complete && file.config.aa {
        file.noise = noise::floor(&file);
    }
    report(&file, keeper, &output, args.format)
}

/// What changes settings, if the run is to change any.
fn tuner(config: &Config) -> Result<Option<Tuner>> {
    match (config.tune, &config.strategies[..]) {
        (true, _) => return Ok(Some(Tuner::for_a_run(&program()?)?)),
        (false, [_, ..]) => return Ok(Some(Tuner::start(&program()?)?)),
        (false, []) => {}
    }
    if let Some(what) = tune::left_behind() {
        tell!(
            "cowpath: a run that was killed has left settings changed: {what}; mend with: cowpath doctor --restore"
        );
    }
    Ok(None)
}

/// Keeps the finished run and prints it.
fn report(file: &RunFile, mut keeper: Keeper, output: &Path, form: Option<TestForm>) -> Result<u8> {
    if file.results.is_empty() && file.complete {
        // Nobody reading is no reason to call this a success.
        let _ = print(file, &keeper, form);
        tell!(
            "cowpath: nothing could be measured; the reasons are above, and `cowpath doctor` tells more"
        );
        return Ok(exit::IMPOSSIBLE);
    }
    // What was measured is on the disk before anything is printed: nobody may be reading.
    let kept = keeper.keep(file);
    let printed = print(file, &keeper, form);
    kept?;
    // In a guest they are of no use: the host says where the file comes to lie.
    if !init::is_guest() {
        next(file, output);
    }
    let verdict = verdict(file);
    match printed {
        Err(e) if verdict == exit::OK && !is_broken_pipe(&e) => {
            Err(e.context(format!("the run file is {}", output.display())))
        }
        _ => Ok(verdict),
    }
}

/// Prints the run's table, or its results as tests: to standard error where the run file itself goes to standard output.
fn print(file: &RunFile, keeper: &Keeper, form: Option<TestForm>) -> Result<()> {
    let text = match form {
        None => terminal::run::text(file),
        Some(form) => form.text(&tested::of_run(file))?,
    };
    match keeper.output().is_stdout() {
        true => {
            tell!("{}", text.trim_end());
            Ok(())
        }
        false => say(&text),
    }
}

/// What was last told of where checkpoints go: it is told again only where it changes.
#[derive(Default)]
struct Kept(String);

impl Kept {
    fn say(&mut self, checkpoint: Result<Option<&Path>, WriteError>, meter: &Meter) {
        let now = match checkpoint {
            Ok(None) => String::new(),
            Ok(Some(aside)) => format!(
                "what was measured so far is kept in {} until the run ends",
                aside.display()
            ),
            Err(e) => format!("what was measured so far is kept nowhere: {e}"),
        };
        if now != self.0 && !now.is_empty() {
            meter.note(&now);
        }
        self.0 = now;
    }
}

fn verdict(file: &RunFile) -> u8 {
    let violated = violated(&file.results);
    if !violated.is_empty() {
        tell!(
            "cowpath: an integrity check failed, data was lost, torn or leaked: {}",
            violated.join("; ")
        );
        exit::INTEGRITY
    } else if !file.complete {
        exit::INTERRUPTED
    } else if let late @ 1.. = late(file) {
        tell!(
            "cowpath: repetitions were lost, {late} at least: each was to end within the limit and had not; measure again with a longer --limit"
        );
        exit::LATE
    } else {
        exit::OK
    }
}

/// Repetitions that were lost since they took too long, as far as the file tells: of a case that nothing came of it keeps
/// the first.
fn late(file: &RunFile) -> usize {
    let lost = file.results.iter().flat_map(|measured| &measured.lost);
    let skipped = file.skipped.iter().map(|skipped| &skipped.reason);
    let reasons = lost.map(|lost| &lost.reason).chain(skipped);
    reasons.filter(|reason| reason.starts_with(LATE)).count()
}

/// Says where the run file is, and what to do with it.
fn next(file: &RunFile, output: &Path) {
    tell!("run file: {}", output.display());
    if file.complete {
        tell!("next: cowpath report {} -o report", output.display());
    } else {
        tell!("to go on: cowpath run --resume -o {}", output.display());
    }
}

/// Looks at the machine.
pub(super) fn environment() -> Environment {
    Environment::observe(std::env::args().collect())
}

/// A runner that this program's own interrupt stops.
pub(super) fn runner(limit: u64) -> Result<Runner> {
    let interrupted = Arc::new(AtomicBool::new(false));
    stop_on_signals(&interrupted)?;
    Ok(Runner {
        program: program()?,
        limit: Duration::from_secs(limit),
        interrupted,
    })
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program's own file")
}

fn config(args: &RunArgs) -> Result<Config> {
    config_on(
        args,
        Topology::read()
            .context("reading the CPU topology")?
            .order(),
    )
}

/// What is asked for, on a machine where these CPUs may be used, the best first.
pub(super) fn config_on(args: &RunArgs, allowed: Vec<u32>) -> Result<Config> {
    let (trials, reps) = if args.quick { (3, 3) } else { (6, 15) };
    let (race_trials, race_reps) = if args.quick { (1, 1) } else { (2, 4) };
    let slow_reps = if args.quick { 1 } else { 5 };
    // Each side gets as many as it would alone.
    let sides = if args.aa { 2 } else { 1 };
    let mut threads = args.threads.clone();
    let mut skew = args.skew.clone();
    for (list, name) in [(threads.len(), "--threads"), (skew.len(), "--skew")] {
        if list > MOST_VALUES {
            bail!("{name}: at most {MOST_VALUES} values");
        }
    }
    if skew.is_empty() {
        skew.push(0);
    }
    threads.dedup();
    skew.dedup();
    let mut strategies: Vec<Rule> = Vec::new();
    for &rule in &args.strategy {
        if !strategies.contains(&rule) {
            strategies.push(rule);
        }
    }
    let cpus = cpus(args.cpus.as_deref(), allowed)?;
    let most = threads.iter().copied().max().unwrap_or(0);
    if most as usize > cpus.len() && !args.oversubscribe {
        bail!(
            "--threads {most}: {} CPUs may be used; --oversubscribe lets threads share them",
            cpus.len()
        );
    }
    Ok(Config {
        scenarios: args.globs.clone(),
        pages: args.pages.unwrap_or(PAGES),
        trials: args.trials.unwrap_or(trials),
        reps: sides * args.reps.unwrap_or(reps),
        race_trials: args.trials.unwrap_or(race_trials),
        race_reps: sides * args.reps.unwrap_or(race_reps),
        slow_reps: sides * args.reps.unwrap_or(slow_reps),
        threads,
        skew,
        oversubscribe: args.oversubscribe,
        cpus,
        seed: args.seed.unwrap_or_else(random_seed),
        folios: args.folio.iter().map(|folio| folio.size()).collect(),
        tune: args.tune,
        quick: args.quick,
        strategies,
        aa: args.aa,
        until_mde: args.until_mde,
        budget_s: args.budget,
    })
}

/// What an examination of the kernel needs.
pub(super) fn smallest_config() -> Config {
    Config {
        scenarios: Vec::new(),
        pages: 512,
        trials: 1,
        reps: 1,
        race_trials: 1,
        race_reps: 1,
        slow_reps: 1,
        threads: Vec::new(),
        skew: vec![0],
        oversubscribe: false,
        cpus: Topology::read().map_or_else(|_| vec![0], |topology| topology.order()),
        seed: 0,
        folios: Vec::new(),
        tune: false,
        quick: true,
        strategies: Vec::new(),
        aa: false,
        until_mde: None,
        budget_s: None,
    }
}

fn cpus(asked: Option<&str>, order: Vec<u32>) -> Result<Vec<u32>> {
    let Some(asked) = asked else {
        return Ok(order);
    };
    let cpus = cpulist::parse(asked).with_context(|| format!("--cpus {asked}"))?;
    if let Some(cpu) = cpus.iter().find(|cpu| !order.contains(cpu)) {
        let mut allowed = order.clone();
        allowed.sort_unstable();
        bail!(
            "--cpus {asked}: CPU {cpu} is not among those this process may use ({})",
            cpulist::format(&allowed)
        );
    }
    if cpus.is_empty() {
        bail!("--cpus names no CPU");
    }
    Ok(cpus)
}

fn default_output(environment: &Environment) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let release: String = environment
        .host
        .kernel
        .release
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._+-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    PathBuf::from(format!("cowpath-{release}-{time}.json"))
}

/// The noise profile at `path`, which must be of this machine.
fn noise_here(path: &Path, environment: &Environment) -> Result<NoiseProfile> {
    let profile = noise_profile(path)?;
    let host = &environment.host;
    let here = [
        ("CPU model", host.cpu.clone()),
        ("virtualization", host.virtualization.to_string()),
        ("unit", environment.unit.label().to_string()),
    ];
    for (name, value) in here {
        let there = profile.machine.get(name).map_or("-", String::as_str);
        if there != value {
            bail!(
                "{}: the noise of another machine: {name} {there:?}, and here {value:?}",
                path.display()
            );
        }
    }
    Ok(profile)
}
