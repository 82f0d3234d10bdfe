//! Reading run files strictly and writing them whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::schema::{Measured, RunFile, SCHEMA};
use crate::stats::histogram::decode;

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

/// A run file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written: {source}; what was there before is untouched", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the kernel answered.
    pub source: io::Error,
}

/// Reads a run file and checks that it is whole and agrees with itself.
///
/// # Errors
/// See [`ReadError`]; each names the file and what is wrong in one line.
pub fn read(path: &Path) -> Result<RunFile, ReadError> {
    let text = fs::read(path).map_err(|source| ReadError::Io {
        path: path.into(),
        source,
    })?;
    parse(path, &text)
}

/// As [`read`], from the text of `path`.
pub fn parse(path: &Path, text: &[u8]) -> Result<RunFile, ReadError> {
    let path = || path.to_path_buf();
    let json: serde_json::Value = serde_json::from_slice(text).map_err(|e| {
        let reason = if e.is_eof() {
            format!(
                "the text ends at line {} in mid-value; truncated?",
                e.line()
            )
        } else {
            e.to_string()
        };
        ReadError::NotJson {
            path: path(),
            reason,
        }
    })?;
    match json.get("schema").and_then(|schema| schema.as_str()) {
        Some(SCHEMA) => {}
        Some(other) if version(other) > version(SCHEMA) => {
            return Err(ReadError::Newer {
                path: path(),
                found: quote(other),
            });
        }
        other => {
            let found = other.map_or("missing".into(), quote);
            return Err(ReadError::Foreign {
                path: path(),
                found,
            });
        }
    }
    let run: RunFile = serde_json::from_value(json).map_err(|e| ReadError::Damaged {
        path: path(),
        reason: e.to_string(),
    })?;
    for measured in &run.results {
        let reason = |why| format!("{}: {why}", quote(&measured.scenario));
        check(measured).map_err(|why| ReadError::Damaged {
            path: path(),
            reason: reason(why),
        })?;
    }
    Ok(run)
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
        let h = decode(latency).map_err(|e| format!("latency of {key}: {e}"))?;
        let stated = [
            latency.min,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
        ];
        if !stated.is_sorted() || !latency.mean.is_finite() {
            return Err(format!("latency of {key}: quantiles are not in order"));
        }
        if h.len() != measured.outcomes.get(*outcome) {
            return Err(format!(
                "{} latencies of {key} for {} such outcomes",
                h.len(),
                measured.outcomes.get(*outcome)
            ));
        }
    }
    Ok(())
}

/// Writes `bytes` to `path` whole or not at all: a new file beside it takes its name once it is on
/// the disk.
///
/// # Errors
/// When the disk is full, the folder is missing or may not be written; an earlier file stays as it was.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let failed = |source| WriteError {
        path: path.into(),
        source,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".cowpath-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Writes a run file whole or not at all.
///
/// # Errors
/// As [`write_whole`].
pub fn write(path: &Path, run: &RunFile) -> Result<(), WriteError> {
    let mut text = serde_json::to_vec_pretty(run).map_err(|e| WriteError {
        path: path.into(),
        source: e.into(),
    })?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// The JSON Schema of a run file.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(RunFile);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
