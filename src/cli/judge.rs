//! `cowpath judge`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::args::JudgeArgs;
use super::inputs::run_files;
use crate::cli::say::say;
use crate::exit;
use crate::record::agreement::Agreement;
use crate::record::case::CaseId;
use crate::record::io::{read, write};
use crate::record::rule::PinRule;
use crate::record::schema::RunFile;
use crate::report::timeline;
use crate::suite::judged;

pub(super) fn judge(args: &JudgeArgs) -> Result<u8> {
    if let Some(folder) = &args.output {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    let paths = run_files(&args.runs)?;
    let targets = targets(&paths, args.output.as_deref())?;
    let mut runs = paths
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    // What one run tells of a kernel is true of its others.
    let pins: Vec<PinRule> = runs
        .iter()
        .map(|run| {
            let same = runs
                .iter()
                .filter(|other| other.host.kernel.version == run.host.kernel.version);
            let mut pins = same.map(judged::pin);
            pins.find(|&pin| pin != PinRule::Unknown)
                .unwrap_or_default()
        })
        .collect();
    for (at, (run, pin)) in runs.iter_mut().zip(pins).enumerate() {
        judged::anew(run, pin);
        say(&text(run, &paths[at].display().to_string()))?;
        if let Some(path) = targets.get(at) {
            write(path, run)?;
            tell!("written: {}", path.display());
        }
    }
    Ok(exit::OK)
}

/// Where each file is written to; none where nothing is.
///
/// # Errors
/// Where one would take another's place: what was expected before is in no other file.
fn targets(paths: &[PathBuf], folder: Option<&Path>) -> Result<Vec<PathBuf>> {
    let Some(folder) = folder else {
        return Ok(Vec::new());
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        let target = folder.join(path.file_name().unwrap_or_default());
        if found.contains(&target) || target.exists() {
            bail!(
                "{}: {} would take its place; give another folder, or files of different names",
                target.display(),
                path.display()
            );
        }
        found.push(target);
    }
    Ok(found)
}

/// What agrees, and by name what does not.
fn text(run: &RunFile, name: &str) -> String {
    let strategy = &run.strategy;
    let mut text = format!(
        "{name}: {}: {}, of large folios {}, a reading pin of a shared page {}\n",
        run.host.kernel.release,
        strategy.small.label(),
        strategy.large.label(),
        strategy.pin.label()
    );
    if !run.results.is_empty() {
        let agreement = Agreement::of(&run.results);
        text += &format!("  outcomes: {}\n", agreement.label());
    }
    for measured in run.results.iter().filter(|one| one.agrees() == Some(false)) {
        let expected: Vec<&str> = measured.expected.iter().map(|one| one.label()).collect();
        let seen = measured.outcomes.dominant().map_or("-", |one| one.label());
        text += &format!(
            "  differs: {}: {} expected, {seen} seen\n",
            CaseId::of(measured).label(),
            expected.join(" or ")
        );
    }
    for played in &run.staged {
        let surprises = played.surprises();
        text += &format!(
            "  {}: {}, {}\n",
            played.scenario,
            played.verdict.label(),
            match surprises[..] {
                [] => played.agreement().to_owned(),
                _ => surprises.join("; "),
            }
        );
        if played.verdict.is_harm() {
            for line in timeline::text(played).lines().skip(1) {
                text += &format!("  {line}\n");
            }
        }
    }
    text
}
