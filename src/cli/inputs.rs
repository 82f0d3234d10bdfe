//! The run files that a command is given, by a glob as often as not.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::compare::options::PathChange;
use crate::compare::side::Side;
use crate::profile::compare as profiles;
use crate::profile::diff::difference;
use crate::profile::document::Changed;
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

/// Reads profiles: how the paths of any two kernels of each differ.
pub(super) fn path_changes(paths: &[PathBuf]) -> Result<Vec<PathChange>> {
    let mut found = Vec::new();
    for path in paths {
        let document = profiles::read(path)?;
        if document.profiles.len() < 2 {
            bail!(
                "{}: a profile of two kernels is needed; this one has {}",
                path.display(),
                document.profiles.len()
            );
        }
        let by = |changed: &Changed| {
            let [base, new] = changed.own.instructions();
            (changed.name.clone(), new as i64 - base as i64)
        };
        let named = |all: &[Changed]| -> Vec<(String, i64)> {
            all.iter().map(by).filter(|(_, by)| *by != 0).collect()
        };
        let all = document.profiles.iter().enumerate();
        let pairs = all
            .clone()
            .flat_map(|one| all.clone().map(move |other| (one, other)));
        for ((_, base), (_, new)) in pairs.filter(|((one, _), (other, _))| one != other) {
            let Some(difference) = difference(base, new) else {
                continue;
            };
            let [before, after] = difference.whole.instructions();
            found.push(PathChange {
                scenario: document.scenario.clone(),
                folio: document.folio,
                kernels: [base, new].map(|profile| profile.kernel.release.clone()),
                phases: named(&difference.phases),
                functions: named(&difference.functions),
                whole: after as i64 - before as i64,
            });
        }
    }
    Ok(found)
}
