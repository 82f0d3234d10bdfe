//! What a run has changed, noted before it is changed, and how it is taken back.

use serde::{Deserialize, Serialize};

use super::folder::{FOLDER, Folder, FolderError};
use super::setting::{Setting, Undone};
use super::zram;
use crate::sys::files;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum JournalEntry {
    /// A setting.
    Value {
        setting: Setting,
        /// What it was before.
        former: String,
        /// Every value that the run gives it. What is found to have another was changed by somebody else since, and is
        /// left alone; so is what the run noted and, being killed, did not come to change.
        given: Vec<String>,
    },
    /// A swap device in memory.
    Zram {
        /// The numbers of those that there were before.
        others: Vec<u32>,
        /// Its own number; unknown until the kernel has made it.
        number: Option<u32>,
    },
}

impl JournalEntry {
    /// Takes it back.
    ///
    /// # Errors
    /// What could not be put back and why.
    pub fn undo(&self) -> Result<Undone, String> {
        match self {
            JournalEntry::Value {
                setting,
                former,
                given,
            } => setting.put_back(former, given),
            JournalEntry::Zram { others, number } => zram::remove(others, *number),
        }
    }

    /// Whether it would be taken back.
    fn stands(&self) -> bool {
        match self {
            JournalEntry::Value {
                setting, former, ..
            } => setting.read().is_some_and(|now| now != *former),
            JournalEntry::Zram { .. } => true,
        }
    }
}

impl std::fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            JournalEntry::Value {
                setting, former, ..
            } => {
                let now = setting.read().unwrap_or_default();
                write!(f, "{} is {now} and was {former}", setting.path())
            }
            JournalEntry::Zram { number, .. } => match number {
                Some(number) => write!(f, "swap device /dev/zram{number}"),
                None => write!(f, "a zram device"),
            },
        }
    }
}

/// What stands changed, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    /// The boot that it belongs to: the next one has reset every setting.
    boot: String,
    changes: Vec<JournalEntry>,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Where it lies.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What it says.
    #[error(
        "{folder}/journal is not understood: {source}; mend with: the version of cowpath that wrote it, or by hand, and rm {folder}/journal",
        folder = FOLDER
    )]
    Unreadable {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Notes that these changes stand, and no other.
pub(super) fn note(folder: &Folder, changes: &[JournalEntry]) -> Result<(), FolderError> {
    if changes.is_empty() {
        return folder.remove_journal();
    }
    let journal = Journal {
        boot: boot(),
        changes: changes.to_vec(),
    };
    folder.write_journal(&serde_json::to_string(&journal).unwrap_or_default())
}

/// The changes that stand, in the order in which they were made; those of an earlier boot stand no longer.
pub(super) fn noted(folder: &Folder) -> Result<Vec<JournalEntry>, JournalError> {
    let Some(text) = folder.read_journal()? else {
        return Ok(Vec::new());
    };
    let journal: Journal =
        serde_json::from_str(&text).map_err(|source| JournalError::Unreadable { source })?;
    match journal.boot == boot() {
        true => Ok(journal.changes),
        false => Ok(Vec::new()),
    }
}

/// Those of the changes that would be taken back, in words.
pub(super) fn standing(changes: &[JournalEntry]) -> Vec<String> {
    let standing = changes.iter().filter(|change| change.stands());
    standing.map(JournalEntry::to_string).collect()
}

/// What was put back and what was not, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// What is as before now.
    pub put_back: Vec<String>,
    /// What somebody else has changed since.
    pub left_alone: Vec<String>,
    /// What could not be put back and why; the journal keeps it.
    pub failed: Vec<String>,
}

/// Takes every noted change back, the last one first; what fails stays noted.
pub(super) fn replay(folder: &Folder) -> Restored {
    let mut restored = Restored::default();
    let changes = match noted(folder) {
        Ok(changes) => changes,
        Err(e) => {
            restored.failed.push(e.to_string());
            return restored;
        }
    };
    let mut kept = Vec::new();
    for change in changes.into_iter().rev() {
        match change.undo() {
            Ok(Undone::AsBefore) => {}
            Ok(Undone::PutBack(what)) => restored.put_back.push(what),
            Ok(Undone::LeftAlone(what)) => restored.left_alone.push(what),
            Err(why) => {
                restored.failed.push(why);
                kept.insert(0, change);
            }
        }
    }
    if let Err(e) = note(folder, &kept) {
        restored.failed.push(e.to_string());
    }
    restored
}

fn boot() -> String {
    files::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
