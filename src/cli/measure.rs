//! `cowpath run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::args::RunArgs;
use super::progress::Meter;
use super::{exit, say};
use crate::engine::runner::Runner;
use crate::machine::cpulist;
use crate::machine::knob;
use crate::machine::topology::Topology;
use crate::machine::tune::Tuner;
use crate::report::terminal;
use crate::run::io::{read, write};
use crate::run::schema::{Config, RunFile};
use crate::run::suite::{Environment, Progress, Suite, random_seed};
use crate::scenario::catalogue::choose;
use crate::scenario::folio::Folio;
use crate::scenario::rule::Rule;
use crate::vm::guest;

pub(super) fn run(args: &RunArgs) -> Result<u8> {
    let scenarios = choose(&args.globs)?;
    let config = config(args)?;
    knob::check(&config.strategies, args.i_know || guest::is_guest())?;
    let earlier = match (&args.output, args.resume) {
        (Some(path), true) => Some(read(path)?),
        _ => None,
    };
    if let Some(earlier) = earlier.as_ref().filter(|earlier| earlier.complete) {
        bail!("{}: nothing to resume: this run is complete", earlier.id);
    }
    // Before the machine is looked at: what can be counted depends on it.
    let tuner = match (args.tune, &config.strategies[..]) {
        (true, _) => Some(Tuner::for_a_run(&program()?)?),
        (false, [_, ..]) => Some(Tuner::start(&program()?)?),
        (false, []) => None,
    };
    let environment = environment();
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| default_output(&environment));
    check_writable(&output)?;
    let runner = runner(args.limit)?;
    let mut suite = Suite::new(&environment, &runner, config, &scenarios);
    if let Some(earlier) = &earlier {
        suite
            .resume(earlier)
            .map_err(|why| anyhow::anyhow!("cannot resume {}: {why}", output.display()))?;
    }
    if let Some(tuner) = tuner {
        suite.tune(tuner);
    }
    let mut meter = Meter::new();
    let file = suite.run(|progress| match progress {
        Progress::Begin(steps) => meter.begin(steps),
        Progress::Repeated(what) => meter.step(what),
        Progress::Paced {
            spent,
            budget,
            sharp,
            of,
        } => meter.pace(spent, budget, sharp, of),
        Progress::Note(text) => meter.note(&text),
        Progress::Checkpoint(file) => {
            if let Err(e) = write(&output, file) {
                meter.note(&format!("checkpoint: {e}"));
            }
        }
    });
    meter.end();
    say(&terminal::run::text(&file))?;
    if file.results.is_empty() && file.complete {
        eprintln!(
            "cowpath: nothing could be measured; the reasons are above, and `cowpath doctor` tells more"
        );
        return Ok(exit::NOTHING);
    }
    keep(&file, &output)?;
    Ok(verdict(&file))
}

fn verdict(file: &RunFile) -> u8 {
    if file
        .results
        .iter()
        .any(|measured| measured.integrity.violations > 0)
    {
        eprintln!("cowpath: an integrity check failed: data was lost, torn or leaked");
        exit::INTEGRITY
    } else if !file.complete {
        exit::INTERRUPTED
    } else {
        exit::OK
    }
}

/// Writes the run file; where that fails, to the folder for temporary files, so that the measurement
/// is not lost.
fn keep(file: &RunFile, output: &Path) -> Result<()> {
    let Err(error) = write(output, file) else {
        eprintln!("run file: {}", output.display());
        if file.complete {
            eprintln!("next: cowpath report {} -o report", output.display());
        } else {
            eprintln!(
                "to go on: the same command with --resume -o {}",
                output.display()
            );
        }
        return Ok(());
    };
    let name = format!("cowpath-{}.json", file.id);
    let rescue = std::env::temp_dir().join(name);
    match write(&rescue, file) {
        Ok(()) => bail!(
            "{error}; the run file was written to {} instead",
            rescue.display()
        ),
        Err(also) => bail!("{error}; {also}"),
    }
}

/// Looks at the machine.
pub(super) fn environment() -> Environment {
    Environment::look(std::env::args().collect())
}

/// A runner that this program's own interrupt stops.
pub(super) fn runner(limit: u64) -> Result<Runner> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        // A second signal ends the program at once.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            i32::from(exit::INTERRUPTED),
            interrupted.clone(),
        )?;
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
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
    let (trials, reps) = if args.quick { (3, 3) } else { (6, 15) };
    let (race_trials, race_reps) = if args.quick { (1, 1) } else { (2, 4) };
    let dear_reps = if args.quick { 1 } else { 5 };
    // Each side gets as many as it would alone.
    let sides = if args.aa { 2 } else { 1 };
    let mut threads = args.threads.clone();
    let mut skew = args.skew.clone();
    for (list, name) in [(threads.len(), "--threads"), (skew.len(), "--skew")] {
        if list > 64 {
            bail!("{name}: at most 64 values");
        }
    }
    threads.dedup();
    skew.dedup();
    let mut strategies: Vec<Rule> = Vec::new();
    for &rule in &args.strategy {
        if !strategies.contains(&rule) {
            strategies.push(rule);
        }
    }
    let cpus = cpus(args.cpus.as_deref())?;
    let most = threads.iter().copied().max().unwrap_or(0);
    if most as usize > cpus.len() && !args.oversubscribe {
        bail!(
            "--threads {most}: {} CPUs may be used; --oversubscribe lets threads share them",
            cpus.len()
        );
    }
    Ok(Config {
        scenarios: args.globs.clone(),
        pages: args.pages,
        trials: args.trials.unwrap_or(trials),
        reps: sides * args.reps.unwrap_or(reps),
        race_trials: args.trials.unwrap_or(race_trials),
        race_reps: sides * args.reps.unwrap_or(race_reps),
        dear_reps: sides * args.reps.unwrap_or(dear_reps),
        threads,
        skew,
        oversubscribe: args.oversubscribe,
        cpus,
        seed: args.seed.unwrap_or_else(random_seed),
        folios: args.folio.iter().map(Folio::to_string).collect(),
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
        dear_reps: 1,
        threads: Vec::new(),
        skew: vec![0],
        oversubscribe: false,
        cpus: cpus(None).unwrap_or_else(|_| vec![0]),
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

fn cpus(asked: Option<&str>) -> Result<Vec<u32>> {
    let order = Topology::read()
        .context("reading the CPU topology")?
        .order();
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

/// Fails before anything is measured rather than after.
fn check_writable(output: &Path) -> Result<()> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if output.is_dir() {
        bail!("{}: is a folder; name a file with -o", output.display());
    }
    let probe = tempfile::tempfile_in(folder).and_then(|mut file| {
        use std::io::Write;
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    probe.with_context(|| {
        format!(
            "no file can be written in {}; name another place with -o",
            folder.display()
        )
    })
}
