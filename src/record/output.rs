//! Where a run file goes. A regular file is replaced whole, links are followed to it, and anything else is written to in
//! place or refused: a device, a pipe or a file that is a mount of its own can only be kept by not replacing it.

use std::ffi::CString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::fstat;

/// Links that are followed from one name at the most, as many as the kernel follows.
const LINKS: usize = 40;
/// What must fit beside an earlier file before anything is measured, in bytes.
const PROBE: usize = 4096;

/// A file that cannot be written to, found before anything was written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The name is a folder's.
    #[error("{}: is a folder; name a file in it", .0.display())]
    Folder(PathBuf),
    /// Whatever lies on the device would be lost.
    #[error("{}: is a block device, and a file written to it would destroy what it holds; name a regular file", .0.display())]
    BlockDevice(PathBuf),
    /// Nobody reads the pipe, or a socket was named.
    #[error("{}: nobody reads from it; start its reader first, or name a regular file", .0.display())]
    NoReader(PathBuf),
    /// Links lead to each other.
    #[error("{}: more than {LINKS} links follow each other", .0.display())]
    Links(PathBuf),
    /// The file, or a file beside it, cannot be written.
    #[error("no file can be written in {}: {cause}; name another place", folder.display())]
    Refused {
        /// The folder that the file lies in.
        folder: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The file itself cannot be opened for writing.
    #[error("{} cannot be written: {cause}; name another file", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It was seen before anything was written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The disk is full, say.
    #[error("{} cannot be written: {cause}; what was there before is untouched", path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// A device or a pipe took only a part.
    #[error("{} was not written to its end: {cause}", path.display())]
    InPlace {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The run file has no JSON form.
    #[error("the run file cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A place that a file can be written to.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    way: OutputKind,
}

#[derive(Debug)]
enum OutputKind {
    /// A regular file of this name, or none yet: a new file takes its name.
    Replace(PathBuf),
    /// Something that must stay what it is.
    InPlace(File),
    /// What this process's standard output writes to.
    Stdout,
    /// What its standard error writes to.
    Stderr,
}

impl Output {
    /// Finds out how `path` can be written to, and that it can be; `-` is standard output. Changes nothing.
    ///
    /// # Errors
    /// A folder, a block device, a pipe without a reader, and what may not be written.
    pub fn open(path: &Path) -> Result<Output, OutputError> {
        let way = match path.as_os_str() == "-" {
            true => OutputKind::Stdout,
            false => way(path)?,
        };
        Ok(Output {
            path: path.into(),
            way,
        })
    }

    /// The name that was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be written again and again, each time whole. What cannot be is for the end alone.
    pub fn is_replaced(&self) -> bool {
        matches!(self.way, OutputKind::Replace(_))
    }

    /// Whether it is what this process prints to.
    pub fn is_stdout(&self) -> bool {
        matches!(self.way, OutputKind::Stdout)
    }

    /// Writes `bytes`: a regular file is either replaced whole or stays as it was.
    ///
    /// # Errors
    /// When the disk is full, the folder is gone, or the reader of a pipe is.
    pub fn write(&self, bytes: &[u8]) -> Result<(), WriteError> {
        let in_place = |result: io::Result<()>| {
            result.map_err(|cause| WriteError::InPlace {
                path: self.path.clone(),
                cause,
            })
        };
        match &self.way {
            OutputKind::Replace(path) => {
                replace(path, bytes).map_err(|cause| WriteError::Replace {
                    path: self.path.clone(),
                    cause,
                })
            }
            OutputKind::InPlace(file) => in_place(rewrite(file, bytes)),
            OutputKind::Stdout => in_place(pour(io::stdout().lock(), bytes)),
            OutputKind::Stderr => in_place(pour(io::stderr().lock(), bytes)),
        }
    }
}

/// Writes `bytes` to the file `path` as [`Output::write`] does.
///
/// # Errors
/// As [`Output::open`] and [`Output::write`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    Output::open(path)?.write(bytes)
}

fn way(path: &Path) -> Result<OutputKind, OutputError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        // A link may lead to a file that is still to be made.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let target = follow(path)?;
            beside(&target)?;
            return Ok(OutputKind::Replace(target));
        }
        Err(cause) => {
            let path = path.into();
            return Err(OutputError::Unwritable { path, cause });
        }
    };
    if found.is_dir() {
        return Err(OutputError::Folder(path.into()));
    }
    if found.file_type().is_block_device() {
        return Err(OutputError::BlockDevice(path.into()));
    }
    if is_same(io::stdout().as_fd(), &found) {
        return Ok(OutputKind::Stdout);
    }
    if is_same(io::stderr().as_fd(), &found) {
        return Ok(OutputKind::Stderr);
    }
    let file = for_writing(path)?;
    if !found.is_file() {
        return Ok(OutputKind::InPlace(file));
    }
    let target = follow(path)?;
    if is_mount(&target) {
        return Ok(OutputKind::InPlace(file));
    }
    match beside(&target) {
        Ok(()) => Ok(OutputKind::Replace(target)),
        // The file may be written although its folder may not.
        Err(OutputError::Refused { cause, .. }) if is_forbidden(&cause) => {
            Ok(OutputKind::InPlace(file))
        }
        Err(error) => Err(error),
    }
}

fn is_forbidden(cause: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(cause.kind(), PermissionDenied | ReadOnlyFilesystem)
}

/// Opens what is there without changing it, and without waiting for a pipe's reader.
fn for_writing(path: &Path) -> Result<File, OutputError> {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .and_then(|file| {
            // From here on a slow reader is waited for.
            fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
            Ok(file)
        });
    opened.map_err(|cause| match cause.raw_os_error() {
        Some(nix::libc::ENXIO) => OutputError::NoReader(path.into()),
        _ => OutputError::Unwritable {
            path: path.into(),
            cause,
        },
    })
}

/// The file that a name leads to, whether it exists or not.
fn follow(path: &Path) -> Result<PathBuf, OutputError> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        let Ok(target) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    Err(OutputError::Links(path))
}

/// Whether a new file can be written beside `path`.
fn beside(path: &Path) -> Result<(), OutputError> {
    let folder = folder(path);
    let probe = tempfile::tempfile_in(folder).and_then(|mut file| {
        file.write_all(&[0; PROBE])?;
        file.sync_all()
    });
    probe.map_err(|cause| OutputError::Refused {
        folder: folder.into(),
        cause,
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn is_same(stream: BorrowedFd, file: &Metadata) -> bool {
    fstat(stream).is_ok_and(|open| (open.st_dev, open.st_ino) == (file.dev(), file.ino()))
}

/// Whether something is mounted on this very file, which then cannot be replaced. Kernels before 5.8 do not tell.
fn is_mount(path: &Path) -> bool {
    match (mount_id(path), mount_id(folder(path))) {
        (Some(own), Some(around)) => own != around,
        _ => false,
    }
}

/// The mount that a file lies on, statx(2).
fn mount_id(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let asked = libc::STATX_MNT_ID;
    // SAFETY: the path is a C string, and the kernel writes no more than the structure.
    let answer =
        unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, asked, found.as_mut_ptr()) };
    // SAFETY: zeroes are a valid structure, and so is what the kernel wrote.
    let found = unsafe { found.assume_init() };
    (answer == 0 && found.stx_mask & asked != 0).then_some(found.stx_mnt_id)
}

/// A new file beside `path` takes its name once it is on the disk; mode and owner stay those of the earlier file.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".cowpath-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    if let Ok(earlier) = fs::metadata(path) {
        // Only root can give a file away; for all others it is theirs as it is.
        let _ = fchown(file.as_file(), Some(earlier.uid()), Some(earlier.gid()));
        file.as_file().set_permissions(earlier.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

fn rewrite(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return pour(file, bytes);
    }
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

fn pour(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_followed_to_the_file_whether_that_exists_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        symlink("file", &link).unwrap();
        for content in ["first", "second"] {
            write_whole(&link, content.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2, "nothing is left beside it");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "earlier").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write_whole(&path, b"later").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_device_stays_a_device() {
        let null = Output::open(Path::new("/dev/null")).unwrap();
        assert!(!null.is_replaced());
        null.write(b"{}").unwrap();
        let full = Output::open(Path::new("/dev/full")).unwrap();
        let error = full.write(b"{}").unwrap_err();
        assert!(matches!(error, WriteError::InPlace { .. }), "{error}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_a_folder_and_a_ring_of_links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, ring) = (folder.path().join("pipe"), folder.path().join("ring"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("ring", &ring).unwrap();
        let refused = |path: &Path| Output::open(path).unwrap_err().to_string();
        assert!(refused(&pipe).contains("start its reader"));
        assert!(refused(folder.path()).contains("is a folder"));
        assert!(refused(&ring).contains("symbolic links") || refused(&ring).contains("links"));
    }

    #[test]
    fn a_pipe_s_reader_gets_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&pipe)
            .unwrap();
        let output = Output::open(&pipe).unwrap();
        output.write(b"whole").unwrap();
        drop(output);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "whole");
    }
}
