//! Long-term pins for reading, which the kernel's own test device (CONFIG_GUP_TEST, Linux 6.2) takes and keeps.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::MemoryError;
use super::area::{Area, page_size};
use crate::sys::kernelfs::{FileSystem, KernelFs};

/// `struct pin_longterm_test` of mm/gup_test.h.
#[repr(C)]
struct Start {
    address: u64,
    size: u64,
    /// 0: for reading, by the slow path.
    flags: u32,
}

mod abi {
    nix::ioctl_write_ptr!(start, b'g', 7, super::Start);
    nix::ioctl_write_ptr!(read, b'g', 9, u64);
}

/// The device, at rest.
pub struct Pinner(File);

/// Pages that are pinned for reading until this is dropped.
pub struct LongPin(File);

impl Pinner {
    /// Opens it.
    ///
    /// # Errors
    /// Where the kernel has none, or debugfs is not to be had.
    pub fn open() -> Result<Self, MemoryError> {
        let missing = |found: String| {
            MemoryError::Unsupported(format!(
                "needs gup_test in debugfs that keeps pins (Linux 6.2 with CONFIG_GUP_TEST, root; it is called gup_benchmark up to 5.10 and keeps none); found: {found}"
            ))
        };
        let debugfs =
            KernelFs::open(FileSystem::Debugfs).map_err(|why| missing(why.to_string()))?;
        let device = debugfs
            .file("gup_test")
            .map_err(|error| missing(error.to_string()))?;
        Ok(Pinner(device))
    }

    /// Pins the first page of `area` for reading.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn pin(self, area: &Area) -> Result<LongPin, MemoryError> {
        let start = Start {
            address: area.base() as u64,
            size: page_size() as u64,
            flags: 0,
        };
        // SAFETY: the kernel reads the structure, which lives across the call, and checks the address in it.
        unsafe { abi::start(self.0.as_raw_fd(), &raw const start) }
            .map_err(|e| MemoryError::refused("pinning a page through gup_test", e))?;
        Ok(LongPin(self.0))
    }
}

impl LongPin {
    /// The first word of the page as whoever holds the pin sees it.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn first_word(&self) -> io::Result<u64> {
        Ok(self.words()?[0])
    }

    /// The words of the page as whoever holds the pin sees them.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn words(&self) -> io::Result<Vec<u64>> {
        let mut page = vec![0u64; page_size() / 8];
        let address = page.as_mut_ptr() as u64;
        // SAFETY: the kernel reads the address and writes one page, which is pinned, to the page there.
        unsafe { abi::read(self.0.as_raw_fd(), &raw const address) }?;
        Ok(page)
    }
}
