//! One scenario on each of several kernels, stepped through, and how they differ.

use std::path::{Path, PathBuf};

use super::ProfileError;
use super::diff::difference;
use super::document::{Profile, ProfileDocument, SCHEMA};
use super::stepper::{ProfileRequest, profile};
use crate::guest::arch::Arch;
use crate::guest::error::VmError;
use crate::guest::spec::make_folder;

/// What came of the kernels.
pub struct SteppedKernels {
    /// What was found in those that could be profiled.
    pub document: ProfileDocument,
    /// Why there is nothing of the others.
    pub failed: Vec<ProfileError>,
}

/// Profiles a scenario on the kernel of each image in turn. Console logs are left in `logs`, which is made.
///
/// # Errors
/// If nothing can be booted at all, or the user stopped it.
pub fn stepped(
    request: &ProfileRequest<'_>,
    images: &[PathBuf],
    logs: &Path,
    tell: &dyn Fn(String),
) -> Result<SteppedKernels, ProfileError> {
    let started = jiff::Timestamp::now();
    let guest = &request.guest;
    let kernels = guest.kernels(images, Some(Arch::X86))?;
    let qemu = guest.qemu(Arch::X86)?;
    make_folder(logs)?;
    let mut profiles: Vec<Profile> = Vec::new();
    let mut failed = Vec::new();
    for kernel in &kernels {
        let log = kernel.file(logs, "console.log");
        let say = |line: String| tell(format!("{}: {line}", kernel.label));
        match profile(request, &qemu, kernel, &log, &say) {
            Ok(profile) => profiles.push(profile),
            Err(_) if guest.stopped() => return Err(VmError::Interrupted.into()),
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
