//! Changes settings for the time of a run and puts them back, whatever happens to the run.
//!
//! What a setting was before is noted in a journal, in a folder that only root can enter, before it is changed.
//! A guardian process of its own session waits for the end of a pipe that only the runner can write to,
//! which comes when the runner is done and also when it is killed, and then takes everything back, the last change
//! first. Should the guardian be killed too, the runner does it, and where neither is left `cowpath doctor --restore`.

mod folder;
mod guardian;
mod journal;
mod restore;
mod setting;
mod zram;

use std::io;
use std::path::Path;

pub use folder::{FOLDER, FolderError, Holder};
pub use guardian::{GUARDIAN_COMMAND, guard};
pub use journal::{JournalError, Restored};
pub use restore::{ignored, left_behind, restore};
pub use setting::Setting;

use folder::{Folder, MachineLock};
use guardian::Guardian;
use journal::JournalEntry;
use setting::Undone;

use crate::sys::missing::to_change_settings;

/// Something that a page state needs of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A setting with this value; one that the kernel lacks is left out.
    Value(Setting, String),
    /// Swap space.
    Swap,
}

/// A setting that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// It may not be written.
    #[error(
        "{path} = {value} is needed; found: writing it fails: {source}{}",
        mend(source)
    )]
    Refused {
        /// The file.
        path: String,
        /// The value needed.
        value: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It takes the value and keeps another.
    #[error("{path} = {value} is needed; found: it stays {found}")]
    Ignored {
        /// The file.
        path: String,
        /// The value needed.
        value: String,
        /// The value found.
        found: String,
    },
    /// It has a value that this program does not know, and could not put back therefore.
    #[error(
        "{path} = {value} is needed; found: {found}, which cowpath does not know and could not put back"
    )]
    Unknown {
        /// The file.
        path: String,
        /// The value needed.
        value: String,
        /// The value found.
        found: String,
    },
    /// No swap device can be made.
    #[error("a swap device in memory needs zram; {0}")]
    Swap(String),
    /// What another case needed cannot be put back.
    #[error("putting back what another case needed: {0}")]
    PutBack(String),
    /// The process that would put settings back cannot be started.
    #[error("starting the guardian process: {0}; nothing was changed")]
    Guardian(io::Error),
    /// Changes cannot be noted.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is a journal that cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An earlier run's settings are still changed.
    #[error(
        "settings must be as they were before another run changes them; found, of a run that was killed: {0}; mend with: cowpath doctor --restore"
    )]
    LeftBehind(String),
}

/// What lets a setting be written to, where it is a matter of permission.
fn mend(refused: &io::Error) -> String {
    match refused.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            format!("; mend with: {}", to_change_settings())
        }
        _ => String::new(),
    }
}

/// Changes settings; what it changed is put back when it is dropped.
pub struct Tuner {
    folder: Folder,
    _lock: MachineLock,
    guardian: Option<Guardian>,
    /// What stands changed, in the order of the changes; the journal says the same.
    changes: Vec<JournalEntry>,
    /// What the user should know at the end.
    remarks: Vec<String>,
}

impl Tuner {
    /// Takes the machine's lock and starts the guardian, which is `program`; changes nothing yet.
    ///
    /// # Errors
    /// When changes cannot be noted, when another run changes settings or has left some changed, and when the guardian
    /// cannot be started.
    pub fn start(program: &Path) -> Result<Self, TuneError> {
        let folder = Folder::make()?;
        let lock = folder.lock()?;
        let left = journal::noted(&folder)?;
        let standing = journal::standing(&left);
        if !standing.is_empty() {
            return Err(TuneError::LeftBehind(standing.join(", ")));
        }
        // Nothing of it stands: it was killed before it changed anything.
        folder.remove_journal()?;
        let guardian = Guardian::start(program, &lock).map_err(TuneError::Guardian)?;
        Ok(Tuner {
            folder,
            _lock: lock,
            guardian: Some(guardian),
            changes: Vec::new(),
            remarks: Vec::new(),
        })
    }

    /// The same, with what every run wants: the kernel's own count of finished copies.
    ///
    /// # Errors
    /// Those of [`Tuner::start`], and when a setting cannot be changed.
    pub fn for_a_run(program: &Path) -> Result<Self, TuneError> {
        let mut tuner = Self::start(program)?;
        tuner.change(Setting::DelayAccounting, "1")?;
        Ok(tuner)
    }

    /// Takes back what was wanted before and is not now, the last change first, and brings about what is wanted now.
    ///
    /// # Errors
    /// The first that cannot be had.
    pub fn bring_about(&mut self, wants: &[Want]) -> Result<(), TuneError> {
        self.let_lapse(wants)?;
        for want in wants {
            match want {
                Want::Value(setting, value) => self.change(*setting, value)?,
                Want::Swap if zram::has_swap() => {}
                Want::Swap => self.make_swap()?,
            }
        }
        Ok(())
    }

    fn let_lapse(&mut self, wants: &[Want]) -> Result<(), TuneError> {
        let is_wanted = |one: Setting| {
            let mut wants = wants.iter();
            wants.any(|want| matches!(want, Want::Value(setting, _) if *setting == one))
        };
        for at in (0..self.changes.len()).rev() {
            let JournalEntry::Value { setting, .. } = self.changes[at] else {
                continue;
            };
            if setting.is_kept() || is_wanted(setting) {
                continue;
            }
            match self.changes[at].undo().map_err(TuneError::PutBack)? {
                Undone::LeftAlone(what) => self.remarks.push(what),
                Undone::PutBack(_) | Undone::AsBefore => {}
            }
            self.changes.remove(at);
            self.note()?;
        }
        Ok(())
    }

    /// Notes the change, makes it, and where the kernel refuses it takes the note back: a later `--restore` would
    /// undo what somebody else has set. A kill between note and change leaves a note of a value that the setting
    /// does not have, which is left alone.
    fn change(&mut self, setting: Setting, value: &str) -> Result<(), TuneError> {
        let Some(found) = setting.read() else {
            return Ok(());
        };
        if found == value {
            return Ok(());
        }
        let (path, value) = (setting.path(), value.to_string());
        if !setting.can_hold(&found) {
            return Err(TuneError::Unknown { path, value, found });
        }
        let before = self.changes.clone();
        if let Some(moved) = setting.moves() {
            self.intend(moved, None);
        }
        self.intend(setting, Some(&value));
        if let Err(e) = self.note() {
            self.changes = before;
            return Err(e.into());
        }
        let written = setting.write(&value);
        let now = setting.read().unwrap_or_default();
        if now == value {
            return Ok(());
        }
        if now == found {
            self.changes = before;
            self.note()?;
        }
        Err(match written {
            Err(source) => TuneError::Refused {
                path,
                value,
                source,
            },
            Ok(()) => TuneError::Ignored {
                path,
                value,
                found: now,
            },
        })
    }

    /// Adds the setting to what stands changed, and `value` to what it was given.
    fn intend(&mut self, setting: Setting, value: Option<&str>) {
        let known = self.changes.iter().position(
            |change| matches!(change, JournalEntry::Value { setting: other, .. } if *other == setting),
        );
        let at = match (known, setting.read()) {
            (Some(at), _) => at,
            (None, Some(former)) => {
                self.changes.push(JournalEntry::Value {
                    setting,
                    former,
                    given: Vec::new(),
                });
                self.changes.len() - 1
            }
            (None, None) => return,
        };
        if let (JournalEntry::Value { given, .. }, Some(value)) = (&mut self.changes[at], value)
            && !given.iter().any(|known| known == value)
        {
            given.push(value.into());
        }
    }

    fn note(&self) -> Result<(), FolderError> {
        journal::note(&self.folder, &self.changes)
    }

    fn make_swap(&mut self) -> Result<(), TuneError> {
        self.changes.push(JournalEntry::Zram {
            others: zram::numbers(),
            number: None,
        });
        let made = self.note().map_err(TuneError::from).and_then(|()| {
            let number = zram::add().map_err(TuneError::Swap)?;
            if let Some(JournalEntry::Zram { number: known, .. }) = self.changes.last_mut() {
                *known = Some(number);
            }
            self.note()?;
            zram::swap_to(number).map_err(TuneError::Swap)
        });
        if made.is_err()
            && let Some(change) = self.changes.pop()
        {
            match change.undo() {
                Ok(_) => self.note()?,
                Err(_) => self.changes.push(change),
            }
        }
        made
    }

    /// Puts everything back. Returns what the user should know about it; nothing, where all is as before.
    pub fn finish(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        let mut remarks = std::mem::take(&mut self.remarks);
        let Some(guardian) = self.guardian.take() else {
            return remarks;
        };
        let restored = guardian.finish().unwrap_or_else(|how| {
            remarks.push(format!(
                "the guardian process ended before its work was done ({how}); the run itself puts settings back"
            ));
            journal::replay(&self.folder)
        });
        remarks.extend(restored.left_alone);
        if !restored.failed.is_empty() {
            remarks.push(format!(
                "NOT PUT BACK: {}; {FOLDER}/journal keeps it; mend with: cowpath doctor --restore",
                restored.failed.join(", ")
            ));
        }
        remarks
    }
}

impl Drop for Tuner {
    /// Returns when everything is put back, or what is not was said.
    fn drop(&mut self) {
        for remark in self.end() {
            tell!("cowpath: {remark}");
        }
    }
}
