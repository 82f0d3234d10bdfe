//! The run files that a command is given, by a glob as often as not.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::compare::options::PathChange;
use crate::compare::side::Side;
use crate::profile::compare as profiles;
use crate::record::io::{ReadError, read_each};
use crate::record::noise_profile::{NoiseProfile, NoiseRow, SCHEMA};

/// What the schema of the list of guests begins with, which `cowpath vm` leaves beside their run files.
const LAB: &str = "{\"schema\":\"cowpath.lab/";

/// The paths without those of a lab's own list of guests, each of which is named in a note.
///
/// # Errors
/// If nothing else was given.
pub(super) fn run_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (lists, runs): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| is_lab(path));
    for list in &lists {
        tell!(
            "{}: left out: it is cowpath vm's list of guests and no run file",
            list.display()
        );
    }
    if runs.is_empty() {
        bail!(
            "run files were needed, and only lists of guests were given; `cowpath vm` leaves run files beside them"
        );
    }
    Ok(runs)
}

/// Whether a regular file begins as such a list does; anything else can be read only once.
fn is_lab(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = path.is_file()
        && std::fs::File::open(path)
            .and_then(|file| file.take(256).read_to_end(&mut head))
            .is_ok();
    head.retain(|byte| !byte.is_ascii_whitespace());
    read && head.starts_with(LAB.as_bytes())
}

/// Reads one run file after the other and keeps only what a comparison needs.
pub(super) fn side(paths: &[PathBuf]) -> Result<Side> {
    let mut side = Side::default();
    read_each::<ReadError>(paths, |_, run| {
        side.add(&run);
        Ok(())
    })?;
    Ok(side)
}

/// Reads what `cowpath noise` has written.
pub(super) fn noise_profile(path: &Path) -> Result<NoiseProfile> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let profile: NoiseProfile = serde_json::from_str(&text)
        .with_context(|| format!("{}: no file of `cowpath noise`", path.display()))?;
    if profile.schema != SCHEMA {
        bail!(
            "{}: {:?} where {SCHEMA:?} is needed",
            path.display(),
            profile.schema
        );
    }
    let sane = |row: &NoiseRow| {
        let spread = row.spread;
        (0.0..1e6).contains(&spread.variance) && (1.0..1e9).contains(&spread.freedom)
    };
    match profile.rows.iter().all(sane) {
        true => Ok(profile),
        false => bail!(
            "{}: a variance or its degrees of freedom are no such numbers",
            path.display()
        ),
    }
}

/// Reads profiles: how the paths of each kernel differ from those of the first.
pub(super) fn path_changes(paths: &[PathBuf]) -> Result<Vec<PathChange>> {
    let mut found = Vec::new();
    for path in paths {
        let document = profiles::read(path)?;
        if document.differences.is_empty() {
            bail!(
                "{}: a profile of two kernels is needed; this one has {}",
                path.display(),
                document.profiles.len()
            );
        }
        let release = |label: &str| {
            let mut kernels = document.profiles.iter().map(|profile| &profile.kernel);
            let found = kernels.find(|kernel| kernel.label == label);
            found.map_or(String::new(), |kernel| kernel.release.clone())
        };
        for difference in &document.differences {
            let by = |[base, new]: [u64; 2]| new as i64 - base as i64;
            let phases = difference.phases.iter();
            let phases = phases.map(|phase| (phase.name.clone(), by(phase.own.instructions())));
            found.push(PathChange {
                scenario: document.scenario.clone(),
                folio: document.folio,
                kernels: [release(&difference.base), release(&difference.new)],
                phases: phases.filter(|(_, by)| *by != 0).collect(),
                whole: by(difference.whole.instructions()),
            });
        }
    }
    Ok(found)
}
