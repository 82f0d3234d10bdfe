//! A file in memory that another program opens by a path.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file in memory that another process can open by a path, as long as this value lives.
#[derive(Debug)]
pub struct MemoryFile(File);

impl MemoryFile {
    /// An empty file; `name` is for those who look into /proc.
    ///
    /// # Errors
    /// If the kernel has no memory or no descriptor left.
    pub fn new(name: &str) -> std::io::Result<Self> {
        Ok(Self(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?)))
    }

    /// A file with this content.
    ///
    /// # Errors
    /// As [`MemoryFile::new`], and if the content does not fit.
    pub fn with(name: &str, contents: &[u8]) -> std::io::Result<Self> {
        let mut file = Self::new(name)?;
        file.0.write_all(contents)?;
        Ok(file)
    }

    /// A path by which this user's processes can open the file.
    pub fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// How much the file holds now, in bytes.
    ///
    /// # Errors
    /// As asking for a file's state.
    pub(super) fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// So many bytes of the file from an offset on, fewer if it ends before.
    ///
    /// # Errors
    /// As reading a file.
    pub(super) fn read_at(&self, offset: u64, bytes: usize) -> std::io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            match self.0.read_at(&mut read[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        read.truncate(filled);
        Ok(read)
    }

    /// Gives the memory of so many bytes back; they read as zeros from now on.
    pub(super) fn forget(&self, offset: u64, bytes: u64) {
        if bytes > 0 {
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // Where that is not possible, the file stays as large as it is.
            let _ = fallocate(&self.0, hole, offset as i64, bytes as i64);
        }
    }
}
