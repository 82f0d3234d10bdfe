//! References that the kernel takes on pages of its own accord: pins for reading and for io_uring.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};

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
pub(super) fn whole(transferred: isize, asked: usize) -> nix::Result<()> {
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

    /// Fills the file's first pages as [`Area::fill`] fills those of an area.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn fill(&self, pages: usize, tag: u64) -> Result<(), MemoryError> {
        let data = Area::map(pages)?;
        data.fill(tag);
        // SAFETY: the area is mapped and readable as long as the call lasts.
        let wrote = unsafe { libc::pwrite(self.0.as_raw_fd(), data.base().cast(), data.len(), 0) };
        whole(wrote, data.len()).map_err(|e| MemoryError::refused("writing with O_DIRECT", e))
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
    ring: IoUring,
    /// Address and length of the buffer.
    buffer: (usize, usize),
    /// Bytes from one page (or folio) to the next.
    stride: usize,
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
        // SAFETY: the kernel pins the pages itself, and the one request that uses the buffer reads it.
        unsafe { ring.submitter().register_buffers(&[buffer]) }
            .map_err(|e| refused("registering the area with io_uring", e))?;
        Ok(Registered {
            ring,
            buffer: (area.base() as usize, area.len()),
            stride: area.stride(),
        })
    }

    /// Has the kernel write the buffer to a file in memory, as it has pinned it, and tells the first word of every page, in
    /// page order.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn witness(mut self) -> Result<Vec<u64>, MemoryError> {
        let refused = |e: io::Error| MemoryError::refused("writing a registered buffer", e);
        let file = memfd_create("cowpath", MFdFlags::MFD_CLOEXEC)
            .map(File::from)
            .map_err(|e| refused(e.into()))?;
        let (base, length) = self.buffer;
        let mut done = 0;
        while done < length {
            let (at, left) = (base + done, (length - done).min(MOST_AT_ONCE));
            let write = opcode::WriteFixed::new(
                types::Fd(file.as_raw_fd()),
                at as *const u8,
                left as u32,
                0,
            );
            let entry = write.offset(done as u64).build();
            // SAFETY: buffer and file outlive the request, whose end is waited for.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            pushed.map_err(|e| refused(io::Error::other(e)))?;
            self.ring.submit_and_wait(1).map_err(refused)?;
            let written = self
                .ring
                .completion()
                .next()
                .map_or(0, |done| done.result());
            match written {
                1.. => done += written as usize,
                0 => return Err(refused(io::ErrorKind::WriteZero.into())),
                errno => return Err(refused(io::Error::from_raw_os_error(-errno))),
            }
        }
        let word = |at: usize| {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, at as u64).map_err(refused)?;
            Ok(u64::from_ne_bytes(word))
        };
        (0..length).step_by(self.stride).map(word).collect()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // A ring that is closed gives its pins back some time later, on a kernel's worker: pages of hugetlb's pool would be
        // missing to the next trial. There is nothing to be done about a failure.
        let _ = self.ring.submitter().unregister_buffers();
    }
}

/// Bytes of a buffer that are written in one request.
const MOST_AT_ONCE: usize = 1 << 30;
