//! Reading run files strictly and writing them whole.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use serde::de::DeserializeOwned;

use super::bounds;
use super::latency::Latency;
use super::latency::check as check_latency;
use super::output::{WriteError, write_whole};
use super::schema::{EARLIER, Measured, PairedDifference, RunFile, SCHEMA};
use crate::record::distribution::DISTINCT;
use crate::record::rule::Rule;

/// The largest file that is read, in bytes: some thousand times a usual one.
const LARGEST: u64 = 256 << 20;

/// A run file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The file is larger than any run file.
    #[error("{}: not a run file: it is larger than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The text is no JSON, or ends too early.
    #[error("{}: not a run file: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// JSON, but nothing that cowpath wrote.
    #[error("{}: not a run file: its \"schema\" is {found}, needed is \"{SCHEMA}\"", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What its schema key says.
        found: String,
    },
    /// Written by a version that uses another schema.
    #[error("{}: written by a newer cowpath: its schema is {found}, this version reads {SCHEMA}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What its schema key says.
        found: String,
    },
    /// The right schema with content that contradicts it or itself.
    #[error("{}: damaged run file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a run file and checks that it is whole and agrees with itself.
///
/// # Errors
/// See [`ReadError`]; each names the file and what is wrong in one line.
pub fn read(path: &Path) -> Result<RunFile, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.into(),
        source,
    };
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    // What is no regular file may never end.
    file.take(LARGEST + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge { path: path.into() });
    }
    parse(path, &text)
}

/// Reads run files, as many ahead as there are CPUs, and hands each on in the order of the paths.
///
/// # Errors
/// The first that [`read`] or `take` gives; what follows is not handed on.
pub fn read_each<E: From<ReadError>>(
    paths: &[PathBuf],
    mut take: impl FnMut(&Path, RunFile) -> Result<(), E>,
) -> Result<(), E> {
    let ahead = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    thread::scope(|scope| {
        let mut reads = paths
            .iter()
            .map(|path| (path, scope.spawn(move || read(path))));
        let mut under_way: VecDeque<_> = reads.by_ref().take(ahead).collect();
        while let Some((path, reading)) = under_way.pop_front() {
            let run = reading
                .join()
                .unwrap_or_else(|cause| resume_unwind(cause))?;
            under_way.extend(reads.next());
            take(path, run)?;
        }
        Ok(())
    })
}

/// As [`read`], from the text of `path`.
pub fn parse(path: &Path, text: &[u8]) -> Result<RunFile, ReadError> {
    // A list is read as a struct's values in order, and is no run file in any case.
    let list = text.trim_ascii_start().starts_with(b"[");
    let mut run = match serde_json::from_slice::<RunFile>(text) {
        // What is written of it again has this version's keys.
        Ok(run) if is_known(&run.schema) && !list => RunFile {
            schema: SCHEMA.into(),
            ..run
        },
        failed => return Err(refusal(path.into(), text, list, failed.err())),
    };
    let damaged = |reason: String| ReadError::Damaged {
        path: path.into(),
        reason: on_one_line(&reason),
    };
    bounds::check(&run).map_err(|beyond| damaged(beyond.to_string()))?;
    distinct(&run.config.strategies).map_err(damaged)?;
    for (at, measured) in run.results.iter().enumerate() {
        let scenario = quote(&measured.scenario);
        check(measured).map_err(|why| damaged(format!("results[{at}] ({scenario}): {why}")))?;
    }
    run.results.iter_mut().for_each(without_zeroes);
    Ok(run)
}

/// Older files have 0 for what was not measured.
fn without_zeroes(measured: &mut Measured) {
    let repetitions = measured.repetitions.iter_mut();
    for repetition in repetitions.filter(|one| one.by_outcome.is_empty()) {
        (repetition.p50, repetition.p99, repetition.mean) = (None, None, None);
        repetition.faults_per_s = None;
    }
    if let Some(met) = &mut measured.rendezvous {
        met.cost_ns = met.cost_ns.filter(|&cost| cost > 0.0);
    }
}

/// Whether files of that schema can be read.
fn is_known(schema: &str) -> bool {
    [SCHEMA, EARLIER].contains(&schema)
}

/// Each rule that a kernel was switched to makes a run of its own in a report.
fn distinct(strategies: &[Rule]) -> Result<(), String> {
    for (at, rule) in strategies.iter().enumerate() {
        if strategies[..at].contains(rule) {
            return Err(format!("config.strategies[{at}]: {rule} is there twice"));
        }
    }
    Ok(())
}

/// Why a text is no run file: by its schema alone where that is another, for a newer file may hold anything.
fn refusal(
    path: PathBuf,
    text: &[u8],
    list: bool,
    failure: Option<serde_json::Error>,
) -> ReadError {
    let head = match serde_json::from_slice::<SchemaHead>(text) {
        Err(e) if !list && !e.is_data() => {
            let reason = match e.is_eof() {
                true => format!(
                    "the text ends at line {} in mid-value; truncated?",
                    e.line()
                ),
                false => e.to_string(),
            };
            return ReadError::NotJson { path, reason };
        }
        head => head.ok().filter(|_| !list).and_then(|head| head.schema),
    };
    match (head.as_ref().and_then(|schema| schema.as_str()), failure) {
        (Some(known), Some(_)) if is_known(known) => ReadError::Damaged {
            path,
            reason: on_one_line(&misfit::<RunFile>(text)),
        },
        (Some(other), _) if version(other) > version(SCHEMA) => ReadError::Newer {
            path,
            found: quote(other),
        },
        (other, _) => ReadError::Foreign {
            path,
            found: other.map_or("missing".into(), quote),
        },
    }
}

/// Which key holds what does not fit its type, and why; of an enum whose variants have no tag, the enum's key.
pub fn misfit<T: DeserializeOwned>(text: &[u8]) -> String {
    let mut text = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, T>(&mut text) {
        Ok(_) => "it holds more than one value".into(),
        Err(e) => format!("{}: {}", e.path(), e.inner()),
    }
}

/// The one key by which a run file is known.
#[derive(serde::Deserialize)]
struct SchemaHead {
    schema: Option<serde_json::Value>,
}

/// Foreign text in a message as it is, but without control characters, and short: what serde says quotes unknown keys.
pub fn on_one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(300).map(shown).collect()
}

/// The major version of a cowpath schema.
fn version(schema: &str) -> Option<u32> {
    schema
        .strip_prefix("cowpath.run/")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// Foreign text in a message: on one line, without control characters, and short.
fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

fn check(measured: &Measured) -> Result<(), String> {
    for (outcome, latency) in &measured.latency {
        let key = outcome.key();
        whole(latency).map_err(|why| format!("latency of {key}: {why}"))?;
        if latency.count != measured.outcomes.get(*outcome) {
            return Err(format!(
                "{} latencies of {key} for {} such outcomes",
                latency.count,
                measured.outcomes.get(*outcome)
            ));
        }
    }
    let met = measured.rendezvous.iter().map(|met| &met.arrival);
    let parts = measured.race.iter().flat_map(|race| race.parts.values());
    for latency in met.chain(parts) {
        whole(latency).map_err(|why| format!("latency of a race: {why}"))?;
    }
    if let Some(difference) = &measured.difference {
        paired(difference).map_err(|why| format!("difference: {why}"))?;
    }
    for repetition in &measured.repetitions {
        let reason = |why| format!("repetition {}: {why}", repetition.index);
        for (outcome, latency) in &repetition.by_outcome {
            let key = outcome.key();
            let in_order = [latency.p50, latency.p90, latency.p99].is_sorted();
            if !in_order || !sound(latency.mean) {
                return Err(reason(format!("figures of {key} contradict each other")));
            }
        }
        let means = [repetition.mean, repetition.faults_per_s];
        if !means.into_iter().flatten().all(sound) {
            return Err(reason("a mean is not a number from 0 up".into()));
        }
    }
    Ok(())
}

/// Whether a difference's figures agree with each other.
fn paired(difference: &PairedDifference) -> Result<(), String> {
    whole(&difference.with)?;
    whole(&difference.without)?;
    let holds = difference
        .interval
        .is_none_or(|interval| interval.contains(difference.mean));
    let counts = [difference.with.count, difference.without.count];
    let counted = counts == [2 * difference.count; 2] && difference.negative <= difference.count;
    match holds && counted {
        true => Ok(()),
        false => Err("its figures contradict each other".into()),
    }
}

/// Whether a latency's figures agree with its histogram and each other.
fn whole(latency: &Latency) -> Result<(), String> {
    check_latency(latency).map_err(|e| e.to_string())?;
    let stated = [
        latency.min,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p999,
        latency.max,
    ];
    if !stated.is_sorted() || !sound(latency.mean) {
        return Err("quantiles are not in order".into());
    }
    let Some(values) = &latency.values else {
        return Ok(());
    };
    let rising = values.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let count = values
        .iter()
        .try_fold(0u64, |sum, (_, n)| sum.checked_add(*n));
    match rising && values.len() <= DISTINCT && count == Some(latency.count) {
        true => Ok(()),
        false => Err("its values are not those of its count".into()),
    }
}

fn sound(mean: f64) -> bool {
    mean.is_finite() && mean >= 0.0
}

/// A run file as text.
///
/// # Errors
/// When a number in it has no JSON form.
pub fn text(run: &RunFile) -> Result<Vec<u8>, WriteError> {
    let mut text = serde_json::to_vec_pretty(run)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a run file to `path`, where a regular file is replaced whole or stays as it was.
///
/// # Errors
/// As [`write_whole`].
pub fn write(path: &Path, run: &RunFile) -> Result<(), WriteError> {
    write_whole(path, &text(run)?)
}

/// The JSON Schema of a run file.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(RunFile);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
