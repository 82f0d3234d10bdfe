//! One scenario on each of several kernels, stepped through, and how they differ.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::ProfileError;
use super::diff::difference;
use super::document::{Profile, ProfileDocument, SCHEMA};
use super::stepper::{ProfileRequest, profile};
use crate::guest::arch::Arch;
use crate::guest::error::VmError;
use crate::guest::image::Image;
use crate::guest::qemu::Qemu;
use crate::report::format::slug;

/// What came of the kernels.
pub struct SteppedKernels {
    /// What was found in those that could be profiled.
    pub document: ProfileDocument,
    /// Why there is nothing of the others.
    pub failed: Vec<ProfileError>,
}

/// Profiles a scenario on each kernel in turn, each with words of its own on the command line. Console logs are left in `logs`, which is made.
///
/// # Errors
/// If nothing can be booted at all, or the user stopped it.
pub fn stepped(
    request: &ProfileRequest<'_>,
    qemu: Option<&Path>,
    kernels: &[(PathBuf, String)],
    logs: &Path,
    stop: &AtomicBool,
    tell: &dyn Fn(String),
) -> Result<SteppedKernels, ProfileError> {
    let started = jiff::Timestamp::now();
    let paths: Vec<PathBuf> = kernels.iter().map(|(path, _)| path.clone()).collect();
    let images = Image::open_all(&paths, Some(Arch::X86))?;
    let qemu = Qemu::find(qemu, Arch::X86)?;
    std::fs::create_dir_all(logs).map_err(|source| VmError::Io {
        what: "create",
        path: logs.to_owned(),
        source,
    })?;
    let mut profiles: Vec<Profile> = Vec::new();
    let mut failed = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    for (image, (_, append)) in images.iter().zip(kernels) {
        let mut label = image.release.clone();
        if kernels.iter().any(|(_, other)| other != append) {
            label = format!("{label} {append}").trim_end().to_owned();
        }
        let twins = labels.iter().filter(|other| **other == label).count();
        labels.push(label.clone());
        if twins > 0 {
            label = format!("{label}~{}", twins + 1);
        }
        let log = logs.join(format!("{}.console.log", slug(&label)));
        let say = |line: String| tell(format!("{label}: {line}"));
        match profile(request, &qemu, image, (&label, append), &log, stop, &say) {
            Ok(profile) => profiles.push(profile),
            Err(_) if stop.load(Ordering::Relaxed) => return Err(VmError::Interrupted.into()),
            Err(error) => failed.push(error),
        }
    }
    let differences = match profiles.split_first() {
        Some((base, others)) => others
            .iter()
            .filter_map(|new| difference(base, new))
            .collect(),
        None => Vec::new(),
    };
    Ok(SteppedKernels {
        document: ProfileDocument {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.to_string(),
            scenario: request.scenario.to_owned(),
            folio: request.folio.size(),
            profiles,
            differences,
        },
        failed,
    })
}
