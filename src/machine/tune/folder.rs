//! The folder in which changes are noted, and the lock that a run and its guardian hold.
//!
//! Nobody but root can enter the folder, and nothing in it is opened by a path or through a link: what is read there was
//! written by root. The lock belongs to an open file that the guardian inherits, so that it lasts until both have ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, dup, geteuid, unlinkat};

use crate::sys::missing::to_change_settings;
use crate::sys::namespaces::in_initial_user;

/// Where journal and lock lie: a reboot empties it, as it does the settings.
pub const FOLDER: &str = "/run/cowpath";

const PARENT: &str = "/run";
const NAME: &str = "cowpath";
const JOURNAL: &str = "journal";
const NEW_JOURNAL: &str = "journal.new";
const LOCK: &str = "lock";

/// The largest journal that is read.
const MOST_BYTES: u64 = 1 << 16;

/// Why changes cannot be noted.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// This process is not root's, or only that of a user namespace.
    #[error(
        "changing settings of the machine needs root; found: {found}; mend with: {}",
        to_change_settings()
    )]
    NotRoot {
        /// Whose it is.
        found: String,
    },
    /// It is not there and cannot be made, or somebody else could have written to it.
    #[error(
        "settings are changed only where they can be noted first, in {FOLDER}, which root owns and nobody else may enter (mode 0700); found: {found}; mend with: {mend}"
    )]
    Unfit {
        /// What was found.
        found: String,
        /// What would make it fit.
        mend: String,
    },
    /// A file in it is not one that this program wrote.
    #[error(
        "{FOLDER}/{name} must be a regular file of root's that nobody else may open, under this one name; found: {found}; mend with: rm {FOLDER}/{name}"
    )]
    Strange {
        /// The file.
        name: &'static str,
        /// What was found.
        found: String,
    },
    /// Another run holds the lock.
    #[error(
        "one run at a time changes settings of the machine; found: {0}; mend with: wait for its end"
    )]
    Held(Holder),
    /// The kernel refuses.
    #[error("{FOLDER}/{name}: {source}")]
    Io {
        /// The file.
        name: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Who holds the lock: the runner's process id, as the lock's file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub Option<i32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lives = |pid| {
            std::path::Path::new("/proc")
                .join(format!("{pid}"))
                .exists()
        };
        match self.0 {
            Some(pid) if lives(pid) => write!(f, "process {pid} holds {FOLDER}/{LOCK}"),
            Some(pid) => write!(
                f,
                "the guardian of process {pid}, which has ended, is putting settings back"
            ),
            None => write!(f, "another process holds {FOLDER}/{LOCK}"),
        }
    }
}

/// The folder, open.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens it, and makes it where it is missing.
    pub fn make() -> Result<Self, FolderError> {
        need_root()?;
        let made = openat(AT_FDCWD, PARENT, DIRECTORY, Mode::empty())
            .and_then(|parent| mkdirat(&parent, NAME, Mode::S_IRWXU));
        match made {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => {
                return Err(FolderError::Unfit {
                    found: format!("making it fails: {e}"),
                    mend: format!(
                        "a {PARENT} that root can write to (mount -t tmpfs -o mode=755 none {PARENT})"
                    ),
                });
            }
        }
        Self::open()?.ok_or_else(|| io("", Errno::ENOENT))
    }

    /// Opens it; `None` where it is missing.
    pub fn open() -> Result<Option<Self>, FolderError> {
        let opened = openat(AT_FDCWD, PARENT, DIRECTORY, Mode::empty())
            .and_then(|parent| openat(parent, NAME, DIRECTORY, Mode::empty()));
        let folder = match opened {
            Ok(folder) => File::from(folder),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                return Err(FolderError::Unfit {
                    found: "no folder is called so, but something else".into(),
                    mend: format!("rm {FOLDER}"),
                });
            }
            Err(e) => return Err(io("", e)),
        };
        let found = folder.metadata().map_err(|e| io("", e))?;
        let mode = found.mode() & 0o7777;
        if found.uid() != 0 || mode != 0o700 {
            return Err(FolderError::Unfit {
                found: format!("owner {}, mode {mode:04o}", found.uid()),
                mend: format!("rm -r {FOLDER}, after a look at what is in it"),
            });
        }
        Ok(Some(Folder(folder.into())))
    }

    /// Takes the lock, if nobody holds it.
    pub fn lock(&self) -> Result<MachineLock, FolderError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT;
        let mut file = self
            .file(LOCK, flags)?
            .ok_or_else(|| io(LOCK, Errno::ENOENT))?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole())) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => {
                return Err(FolderError::Held(Holder(pid_in(&mut file))));
            }
            Err(e) => return Err(io(LOCK, e)),
        }
        let pid = std::process::id();
        file.set_len(0)
            .and_then(|()| writeln!(file, "{pid}"))
            .map_err(|e| io(LOCK, e))?;
        Ok(MachineLock(file))
    }

    /// Who holds the lock; does not take it.
    pub fn holder(&self) -> Result<Option<Holder>, FolderError> {
        let Some(mut file) = self.file(LOCK, OFlag::O_RDWR)? else {
            return Ok(None);
        };
        let mut found = whole();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found)).map_err(|e| io(LOCK, e))?;
        let is_held = found.l_type != libc::F_UNLCK as libc::c_short;
        Ok(is_held.then(|| Holder(pid_in(&mut file))))
    }

    /// The journal's text; `None` where there is none.
    pub fn read_journal(&self) -> Result<Option<String>, FolderError> {
        let Some(file) = self.file(JOURNAL, OFlag::O_RDONLY)? else {
            return Ok(None);
        };
        let mut text = String::new();
        let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
        read.map_err(|e| io(JOURNAL, e))?;
        match text.len() as u64 > MOST_BYTES {
            true => Err(FolderError::Strange {
                name: JOURNAL,
                found: format!("more than {MOST_BYTES} bytes"),
            }),
            false => Ok(Some(text)),
        }
    }

    /// Sets `text` in place of the journal, so that whoever reads it finds either the whole of it or the former one.
    pub fn write_journal(&self, text: &str) -> Result<(), FolderError> {
        self.remove(NEW_JOURNAL)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mut file = self
            .file(NEW_JOURNAL, flags)?
            .ok_or_else(|| io(NEW_JOURNAL, Errno::ENOENT))?;
        file.write_all(text.as_bytes())
            .map_err(|e| io(NEW_JOURNAL, e))?;
        renameat(&self.0, NEW_JOURNAL, &self.0, JOURNAL).map_err(|e| io(JOURNAL, e))
    }

    /// Removes the journal, if there is one.
    pub fn remove_journal(&self) -> Result<(), FolderError> {
        self.remove(JOURNAL)
    }

    fn remove(&self, name: &'static str) -> Result<(), FolderError> {
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(io(name, e)),
        }
    }

    /// Opens a file of the folder and makes sure that it is one of ours; `None` where it is missing.
    fn file(&self, name: &'static str, flags: OFlag) -> Result<Option<File>, FolderError> {
        // Without NONBLOCK a FIFO of that name would keep this process waiting.
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let strange = |found: String| FolderError::Strange { name, found };
        let file = match openat(&self.0, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(strange("a symbolic link".into())),
            Err(e) => return Err(io(name, e)),
        };
        let found = file.metadata().map_err(|e| io(name, e))?;
        let (mode, uid, links) = (found.mode() & 0o7777, found.uid(), found.nlink());
        match found.is_file() && uid == 0 && mode & 0o077 == 0 && links == 1 {
            true => Ok(Some(file)),
            false if !found.is_file() => Err(strange("no regular file".into())),
            false => Err(strange(format!(
                "owner {uid}, mode {mode:04o}, {links} links"
            ))),
        }
    }
}

/// # Errors
/// When this process is not root's.
pub(super) fn need_root() -> Result<(), FolderError> {
    let uid = geteuid();
    let not = |found| Err(FolderError::NotRoot { found });
    match (uid.is_root(), in_initial_user()) {
        (true, true) => Ok(()),
        (true, false) => not("root of a user namespace".into()),
        (false, _) => not(format!("user {}", uid.as_raw())),
    }
}

/// The lock, held as long as this lives or a process that inherited it.
pub(super) struct MachineLock(File);

impl MachineLock {
    /// A descriptor of the same lock that the next program to be started inherits.
    pub fn inheritable(&self) -> io::Result<OwnedFd> {
        Ok(dup(&self.0)?)
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// A lock for writing on the whole file.
fn whole() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn pid_in(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn io(name: &'static str, source: impl Into<io::Error>) -> FolderError {
    FolderError::Io {
        name,
        source: source.into(),
    }
}
