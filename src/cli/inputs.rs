//! The run files that a command is given, by a glob as often as not.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

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
