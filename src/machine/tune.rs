//! Changes settings for the time of a run and puts them back, whatever happens to the run.
//!
//! What a setting was before is written to a journal before it is changed. A guardian process of its own
//! session waits for the end of a pipe that only the runner can write to, which comes when the runner is done
//! and also when it is killed, and then replays the journal. Should the guardian be killed too,
//! `cowpath doctor --restore` does it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::files::{read, selected};
use crate::memory::swap::{swap_off, swap_on};

/// The hidden subcommand under which the program serves as a guardian.
pub const GUARDIAN_COMMAND: &str = "guardian";

/// The size of a swap device in memory.
const ZRAM_BYTES: &str = "256M";

/// Whether the kernel counts finished copies, task by task.
const COPY_COUNT: &str = "/proc/sys/kernel/task_delayacct";

/// Something that a page state needs of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A file of /sys or /proc/sys with this value; a file that the kernel lacks is left out.
    Value {
        /// The file.
        path: String,
        /// What to write to it.
        value: String,
    },
    /// Swap space.
    Swap,
}

/// One change, as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Change {
    /// A file was written to.
    Value { path: String, former: String },
    /// A zram device of this number was made.
    Zram { number: u32 },
}

/// A setting that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// It may not be written.
    #[error("{path} = {value} is needed and cannot be set: {source}; run as root")]
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
    /// No swap device can be made.
    #[error("a swap device in memory needs zram; {0}")]
    Swap(String),
    /// The process that would put settings back cannot be started.
    #[error("starting the guardian process: {0}; nothing was changed")]
    Guardian(io::Error),
    /// The journal cannot be written.
    #[error("writing the journal {0}: {1}; nothing was changed")]
    Journal(PathBuf, io::Error),
}

/// Changes settings; what it changed is put back when it is dropped.
pub struct Tuner {
    guardian: Child,
    journal: (PathBuf, File),
    /// Files that were changed, and what they were.
    changed: BTreeMap<String, String>,
    swap: bool,
}

impl Tuner {
    /// Starts the guardian, which is `program`; changes nothing yet.
    ///
    /// # Errors
    /// When the journal cannot be written or the guardian cannot be started.
    pub fn start(program: &Path) -> Result<Self, TuneError> {
        let path = folder().join(format!("cowpath-{}.journal", std::process::id()));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| TuneError::Journal(path.clone(), e))?;
        let guardian = guardian(program, &path).map_err(|e| {
            let _ = fs::remove_file(&path);
            TuneError::Guardian(e)
        })?;
        Ok(Tuner {
            guardian,
            journal: (path, file),
            changed: BTreeMap::new(),
            swap: false,
        })
    }

    /// The same, with what every run wants: the kernel's own count of finished copies.
    ///
    /// # Errors
    /// Those of [`Tuner::start`], and when a setting cannot be changed.
    pub fn for_a_run(program: &Path) -> Result<Self, TuneError> {
        let mut tuner = Self::start(program)?;
        tuner.change(COPY_COUNT, "1")?;
        Ok(tuner)
    }

    /// Brings about what is wanted now, and takes back what was wanted before; hugetlb's pages are kept to
    /// the end, since memory may not have as many in one piece a second time.
    ///
    /// # Errors
    /// The first that cannot be had.
    pub fn bring_about(&mut self, wants: &[Want]) -> Result<(), TuneError> {
        let wanted = |path: &str| {
            wants
                .iter()
                .any(|want| matches!(want, Want::Value { path: other, .. } if other == path))
        };
        let lapsed: Vec<_> = self
            .changed
            .iter()
            .filter(|(path, _)| {
                !wanted(path) && !path.contains("nr_hugepages") && *path != COPY_COUNT
            })
            .map(|(path, former)| (path.clone(), former.clone()))
            .collect();
        for (path, former) in lapsed {
            set(&path, &former)?;
            self.changed.remove(&path);
        }
        for want in wants {
            match want {
                Want::Value { path, value } => self.change(path, value)?,
                Want::Swap if self.swap || has_swap() => {}
                Want::Swap => {
                    self.make_swap()?;
                    self.swap = true;
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, path: &str, value: &str) -> Result<(), TuneError> {
        let Some(found) = read(path) else {
            return Ok(());
        };
        let found = selected(&found).to_string();
        if found == value {
            return Ok(());
        }
        if !self.changed.contains_key(path) {
            self.note(&Change::Value {
                path: path.into(),
                former: found.clone(),
            })?;
            self.changed.insert(path.into(), found);
        }
        set(path, value)?;
        match read(path) {
            Some(now) if selected(&now) != value => Err(TuneError::Ignored {
                path: path.into(),
                value: value.into(),
                found: selected(&now).into(),
            }),
            _ => Ok(()),
        }
    }

    fn note(&mut self, change: &Change) -> Result<(), TuneError> {
        let (path, file) = &mut self.journal;
        let line = serde_json::to_string(change).unwrap_or_default() + "\n";
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|e| TuneError::Journal(path.clone(), e))
    }

    fn make_swap(&mut self) -> Result<(), TuneError> {
        let number = read("/sys/class/zram-control/hot_add")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                TuneError::Swap(
                    "found: no /sys/class/zram-control/hot_add; mend with: modprobe zram".into(),
                )
            })?;
        self.note(&Change::Zram { number })?;
        let device = format!("/dev/zram{number}");
        set(&format!("/sys/block/zram{number}/disksize"), ZRAM_BYTES)?;
        swap_on(Path::new(&device)).map_err(|e| TuneError::Swap(format!("{device}: {e}")))
    }
}

impl Drop for Tuner {
    /// Returns when everything is put back.
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// Where journals lie: memory that a reboot empties, as it does the settings.
fn folder() -> PathBuf {
    let run = PathBuf::from("/run");
    match tempfile::tempfile_in(&run) {
        Ok(_) => run,
        Err(_) => std::env::temp_dir(),
    }
}

fn has_swap() -> bool {
    read("/proc/swaps").is_some_and(|swaps| swaps.lines().count() > 1)
}

fn set(path: &str, value: &str) -> Result<(), TuneError> {
    fs::write(path, value).map_err(|source| TuneError::Refused {
        path: path.into(),
        value: value.into(),
        source,
    })
}

/// Starts the guardian and waits until it watches.
fn guardian(program: &Path, journal: &Path) -> io::Result<Child> {
    let mut child = Command::new(program)
        .arg(GUARDIAN_COMMAND)
        .arg(journal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut ready = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut ready)?;
    }
    if ready == "ready\n" {
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(io::Error::other("it did not say that it is ready"))
}

/// The guardian's life: says that it is ready, waits for the end of its input and replays the journal.
///
/// # Errors
/// When something could not be put back; the journal stays then.
pub fn guard(journal: &Path) -> io::Result<()> {
    // Neither a terminal's interrupt nor its end may end this process before its work is done.
    nix::unistd::setsid()?;
    nix::sys::signal::SigSet::all().thread_block()?;
    io::stdout().write_all(b"ready\n")?;
    io::stdout().flush()?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    replay(journal).map(|_| ())
}

/// Puts back what runs that are no more, and whose guardians are no more, have changed; tells what.
///
/// # Errors
/// The first that could not be put back.
pub fn restore() -> io::Result<Vec<String>> {
    let mut done = Vec::new();
    for folder in [PathBuf::from("/run"), std::env::temp_dir()] {
        for name in super::files::names(&folder) {
            let pid = name
                .strip_prefix("cowpath-")
                .and_then(|rest| rest.strip_suffix(".journal"));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                done.extend(replay(&folder.join(name))?);
            }
        }
    }
    Ok(done)
}

/// Takes every change of the journal back, the last one first, and removes the journal; tells what it did.
fn replay(journal: &Path) -> io::Result<Vec<String>> {
    let text = match fs::read_to_string(journal) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let mut done = Vec::new();
    let mut failed = None;
    // A last line that was cut short belongs to a change that was not made.
    let changes = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    for change in changes.collect::<Vec<Change>>().into_iter().rev() {
        match undo(&change) {
            Ok(what) => done.push(what),
            Err(e) => failed = Some(e),
        }
    }
    match failed {
        Some(e) => Err(e),
        None => fs::remove_file(journal).map(|()| done),
    }
}

fn undo(change: &Change) -> io::Result<String> {
    match change {
        Change::Value { path, former } => {
            fs::write(path, former)
                .map_err(|e| io::Error::new(e.kind(), format!("{path} = {former}: {e}")))?;
            Ok(format!("{path} = {former}"))
        }
        Change::Zram { number } => {
            let device = format!("/dev/zram{number}");
            let in_use = read("/proc/swaps").is_some_and(|swaps| {
                swaps
                    .lines()
                    .any(|line| line.split_whitespace().next() == Some(&device))
            });
            if in_use {
                swap_off(Path::new(&device))?;
            }
            let block = format!("/sys/block/zram{number}");
            if Path::new(&block).exists() {
                fs::write(format!("{block}/reset"), "1")?;
                fs::write("/sys/class/zram-control/hot_remove", number.to_string())?;
            }
            Ok(format!("{device} removed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_replayed_backwards_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let setting = folder.path().join("setting");
        let path = setting.to_str().unwrap().to_string();
        fs::write(&setting, "now").unwrap();
        let journal = folder.path().join("journal");
        let change = |former: &str| {
            let former = former.to_string();
            let path = path.clone();
            serde_json::to_string(&Change::Value { path, former }).unwrap()
        };
        let text = format!("{}\n{}\n{{\"val", change("first"), change("second"));
        fs::write(&journal, text).unwrap();
        let done = replay(&journal).unwrap();
        assert_eq!(done.len(), 2);
        assert_eq!(fs::read_to_string(&setting).unwrap(), "first");
        assert!(!journal.exists());
        assert!(replay(&journal).unwrap().is_empty());
    }
}
