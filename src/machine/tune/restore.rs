//! What runs have left changed whose guardians were killed too.

use std::path::PathBuf;

use super::folder::{Folder, need_root};
use super::journal::{self, JournalError, Restored};
use crate::sys::files::names;

/// Puts back what a run that is no more, and whose guardian is no more, has changed.
///
/// # Errors
/// When a run goes on, and when the folder or the journal cannot be trusted.
pub fn restore() -> Result<Restored, JournalError> {
    need_root()?;
    let Some(folder) = Folder::open()? else {
        return Ok(Restored::default());
    };
    let _lock = folder.lock()?;
    journal::noted(&folder)?;
    Ok(journal::replay(&folder))
}

/// What is still changed by a run that is no more, in words; `None` where nothing is, or where this process may not
/// know.
pub fn left_behind() -> Option<String> {
    let folder = Folder::open().ok()??;
    let is_held = || folder.holder().ok().map(|holder| holder.is_some());
    if is_held()? {
        return None;
    }
    let standing = match journal::noted(&folder) {
        Ok(changes) => journal::standing(&changes),
        Err(e) => vec![e.to_string()],
    };
    // A run may have begun since.
    (!standing.is_empty() && !is_held()?).then(|| standing.join(", "))
}

/// Journals of earlier versions, which lay where anybody may write and named any path: why they are not looked into.
pub fn ignored() -> Option<String> {
    let folders = [PathBuf::from("/run"), std::env::temp_dir()];
    let journals = folders.iter().flat_map(|folder| {
        let names = names(folder).into_iter().filter(|name| is_journal(name));
        names.map(|name| folder.join(name).display().to_string())
    });
    let found: Vec<String> = journals.collect();
    let more = match found.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!found.is_empty()).then(|| {
        format!(
            "ignored {}{more}: a journal of this kind may be anybody's and names any file; where it is one of an earlier cowpath, put back by hand what it says, and delete it",
            found[..found.len().min(3)].join(", ")
        )
    })
}

/// `cowpath-PID.journal`
fn is_journal(name: &str) -> bool {
    let pid = name
        .strip_prefix("cowpath-")
        .and_then(|rest| rest.strip_suffix(".journal"));
    pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_an_earlier_version_is_told_by_its_name() {
        assert!(is_journal("cowpath-4194305.journal"));
        for other in ["cowpath-.journal", "cowpath-1\n.journal", "journal"] {
            assert!(!is_journal(other), "{other:?}");
        }
    }
}
