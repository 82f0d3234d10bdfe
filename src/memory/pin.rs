//! References that the kernel takes on pages of its own accord: pins for reading and for io_uring.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use io_uring::IoUring;
use nix::errno::Errno;

use super::MemoryError;
use super::area::{Area, page_size};
use crate::machine::guest::only_in_a_guest;

/// Reads a word of this process's memory at `address` through process_vm_readv(2), which pins the page
/// for reading for a moment.
///
/// # Errors
/// Those of the call.
pub fn read_pinned(address: *mut u8) -> nix::Result<()> {
    let mut word = 0u64;
    let local = libc::iovec {
        iov_base: (&raw mut word).cast(),
        iov_len: 8,
    };
    let remote = libc::iovec {
        iov_base: address.cast(),
        iov_len: 8,
    };
    // SAFETY: both vectors are alive; the kernel writes 8 bytes to `word` and checks the remote address.
    let read = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    whole(read, 8)
}

/// Nothing if a call has transferred all that was asked for; EIO if it has transferred less.
fn whole(transferred: isize, asked: usize) -> nix::Result<()> {
    match Errno::result(transferred)? == asked as isize {
        true => Ok(()),
        false => Err(Errno::EIO),
    }
}

/// A block device to write to where no file system can be written to without the page cache, as in a
/// guest that has but memory; its content is lost.
pub const DIRECT_DEVICE: &str = "COWPATH_DIRECT_DEVICE";

/// A file that pages can be written to and read from without the page cache.
pub struct Direct(File);

impl Direct {
    /// Makes a file of so many pages in the folder for temporary files, or opens the [`DIRECT_DEVICE`].
    pub fn open(pages: usize) -> Result<Self, MemoryError> {
        if let Some(device) = std::env::var_os(DIRECT_DEVICE) {
            only_in_a_guest("overwriting the block device that $COWPATH_DIRECT_DEVICE names")
                .map_err(|why| {
                    MemoryError::Unsupported(format!("{why}; mend with: unset {DIRECT_DEVICE}"))
                })?;
            return direct(Path::new(&device))
                .map(Direct)
                .map_err(|e| MemoryError::refused("opening $COWPATH_DIRECT_DEVICE", e));
        }
        Self::open_in(&std::env::temp_dir(), pages)
    }

    /// Makes a file of so many pages in `folder`.
    pub(super) fn open_in(folder: &Path, pages: usize) -> Result<Self, MemoryError> {
        let made = tempfile::NamedTempFile::new_in(folder).and_then(|file| {
            std::fs::write(file.path(), vec![0; pages * page_size()])?;
            let direct = direct(file.path())?;
            direct.sync_all()?;
            Ok(direct)
        });
        made.map(Direct).map_err(|source| MemoryError::Refused {
            what: format!("opening a file in {} with O_DIRECT", folder.display()),
            source,
            mend: "mend with: TMPDIR=/a/folder/on/a/disk".into(),
        })
    }

    /// Writes the page at `page` to the file.
    ///
    /// # Errors
    /// Those of the call; EIO where it wrote less than the page.
    pub fn write(&self, page: *mut u8) -> nix::Result<()> {
        let length = page_size();
        // SAFETY: the caller's page is mapped and readable; the kernel checks it again.
        let wrote = unsafe { libc::pwrite(self.0.as_raw_fd(), page.cast(), length, 0) };
        whole(wrote, length)
    }

    /// Reads the file's first page into the page at `page`.
    ///
    /// # Errors
    /// Those of the call; EIO where it read less than the page.
    ///
    /// # Safety
    /// The page is mapped, and nothing that Rust knows of lies on it.
    pub unsafe fn read(&self, page: *mut u8) -> nix::Result<()> {
        let length = page_size();
        // SAFETY: the caller's page is there for the kernel to write to.
        let read = unsafe { libc::pread(self.0.as_raw_fd(), page.cast(), length, 0) };
        whole(read, length)
    }
}

impl AsFd for Direct {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn direct(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

/// An area registered with io_uring: every page is pinned for writing until this is dropped.
pub struct Registered {
    _ring: IoUring,
}

impl Registered {
    /// Registers every page of `area` as a fixed buffer.
    pub fn register(area: &Area) -> Result<Self, MemoryError> {
        let refused = |what: &str, source: io::Error| {
            MemoryError::Refused {
            what: what.into(),
            source,
            mend: "allow io_uring (sysctl kernel.io_uring_disabled=0) and enough locked memory (ulimit -l)".into(),
        }
        };
        let ring = IoUring::new(1).map_err(|e| refused("setting up io_uring", e))?;
        let buffer = libc::iovec {
            iov_base: area.base().cast(),
            iov_len: area.len(),
        };
        // SAFETY: the kernel pins the pages itself; no request that uses the buffer is ever submitted.
        unsafe { ring.submitter().register_buffers(&[buffer]) }
            .map_err(|e| refused("registering the area with io_uring", e))?;
        Ok(Registered { _ring: ring })
    }
}
