//! Userfaultfd: the ioctl interface, as far as write-protecting and holding up pages needs it.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Write faults on write-protected anonymous pages are reported (5.7; Linux's `UFFD_FEATURE_PAGEFAULT_FLAG_WP`).
pub const FEATURE_WP: u64 = 1 << 0;
/// Pages that are not there yet can be write-protected (6.4).
pub const FEATURE_WP_UNPOPULATED: u64 = 1 << 13;
/// The kernel resolves write-protect faults itself and wakes nobody (6.7).
pub const FEATURE_WP_ASYNC: u64 = 1 << 15;

/// The value that the kernel expects in [`Api::api`].
const API: u64 = 0xAA;
const REGISTER_MODE_MISSING: u64 = 1 << 0;
const REGISTER_MODE_WP: u64 = 1 << 1;
const WRITEPROTECT_MODE_WP: u64 = 1 << 0;
const USER_MODE_ONLY: libc::c_int = 1;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Default)]
pub struct Api {
    /// Protocol version, 0xAA.
    api: u64,
    /// Features asked for; the kernel answers with those that it has.
    features: u64,
    /// Bit set of ioctls that the descriptor takes.
    ioctls: u64,
}

/// `struct uffdio_range`: bytes, multiples of the page size.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Range {
    start: u64,
    len: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
#[derive(Default)]
pub struct UffdioRegister {
    range: Range,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_writeprotect`.
#[repr(C)]
#[derive(Default)]
pub struct WriteProtect {
    range: Range,
    mode: u64,
}

mod abi {
    use super::{Api, Range, UffdioRegister, WriteProtect};
    use nix::{ioctl_read, ioctl_readwrite, ioctl_write_int_bad, request_code_none};

    ioctl_write_int_bad!(device_new, request_code_none!(0xAA, 0x00));
    ioctl_readwrite!(register, 0xAA, 0x00, UffdioRegister);
    // Linux defines UNREGISTER as a read although the kernel reads the range.
    ioctl_read!(unregister, 0xAA, 0x01, Range);
    ioctl_readwrite!(write_protect, 0xAA, 0x06, WriteProtect);
    ioctl_readwrite!(api, 0xAA, 0x3F, Api);
}

/// An open userfaultfd. Closing it unregisters every range and lets blocked threads go on.
#[derive(Debug)]
pub struct Uffd {
    fd: OwnedFd,
    features: u64,
    user_mode_only: bool,
}

impl Uffd {
    /// Opens a descriptor (non-blocking, close-on-exec) with the `FEATURE_*` bits in `features`.
    ///
    /// Tries in this order the system call, `/dev/userfaultfd` (6.1) and the system call restricted to faults
    /// from user mode (5.11), so that the widest permission that this process has is used.
    ///
    /// # Errors
    /// ENOSYS without `CONFIG_USERFAULTFD`; EPERM where the process may not; EINVAL when the kernel lacks one of
    /// the features.
    pub fn open(features: u64) -> io::Result<Self> {
        let (fd, user_mode_only) = open_any()?;
        let mut api = Api {
            api: API,
            features,
            ioctls: 0,
        };
        // SAFETY: `api` is the struct that UFFDIO_API reads and writes, and lives across the call.
        unsafe { abi::api(fd.as_raw_fd(), &raw mut api) }?;
        Ok(Self {
            fd,
            features: api.features,
            user_mode_only,
        })
    }

    /// Every feature that this kernel has, whether asked for or not.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Whether faults taken inside the kernel, such as by `read(2)` into the range, fail instead of being handled.
    pub fn user_mode_only(&self) -> bool {
        self.user_mode_only
    }

    /// Registers `len` bytes from `start` for write-protection.
    ///
    /// # Errors
    /// EINVAL when the range is not page-aligned or not mapped private and anonymous (5.7 to 5.18), or the kernel
    /// has no write-protection; EBUSY when another descriptor holds the range.
    pub fn register_wp(&self, start: usize, len: usize) -> io::Result<()> {
        self.register(start, len, REGISTER_MODE_WP)
    }

    /// Registers `len` bytes from `start`: whoever touches a page that is not there waits.
    ///
    /// # Errors
    /// EINVAL when the range is not page-aligned or not mapped; EBUSY when another descriptor holds it.
    pub fn register_missing(&self, start: usize, len: usize) -> io::Result<()> {
        self.register(start, len, REGISTER_MODE_MISSING)
    }

    fn register(&self, start: usize, len: usize, mode: u64) -> io::Result<()> {
        let mut arg = UffdioRegister {
            range: range(start, len),
            mode,
            ioctls: 0,
        };
        // SAFETY: `arg` is the struct that UFFDIO_REGISTER reads and writes, and lives across the call. The range
        // is checked by the kernel; registering changes no byte of it.
        unsafe { abi::register(self.fd.as_raw_fd(), &raw mut arg) }?;
        Ok(())
    }

    /// Sets (`on`) or clears write-protection of present pages in the range, which must be registered.
    ///
    /// With [`FEATURE_WP_ASYNC`] a later store clears it in the fault; without, the storing thread blocks until
    /// another thread clears it or the descriptor is closed.
    ///
    /// # Errors
    /// ENOENT when the range is not registered; EAGAIN when the address space is changing at this moment.
    pub fn writeprotect(&self, start: usize, len: usize, on: bool) -> io::Result<()> {
        let mode = if on { WRITEPROTECT_MODE_WP } else { 0 };
        let mut arg = WriteProtect {
            range: range(start, len),
            mode,
        };
        // SAFETY: `arg` is the struct that UFFDIO_WRITEPROTECT reads, and lives across the call. Protecting
        // changes no byte of the range.
        unsafe { abi::write_protect(self.fd.as_raw_fd(), &raw mut arg) }?;
        Ok(())
    }

    /// Ends the registration of the range and clears its write-protection.
    ///
    /// # Errors
    /// EINVAL when the range is not page-aligned or not mapped.
    pub fn unregister(&self, start: usize, len: usize) -> io::Result<()> {
        let mut arg = range(start, len);
        // SAFETY: `arg` is the struct that UFFDIO_UNREGISTER reads, and lives across the call.
        unsafe { abi::unregister(self.fd.as_raw_fd(), &raw mut arg) }?;
        Ok(())
    }
}

impl AsFd for Uffd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The features that this kernel offers, as `FEATURE_*` bits.
///
/// # Errors
/// Those of [`Uffd::open`].
pub fn features() -> io::Result<u64> {
    Uffd::open(0).map(|uffd| uffd.features)
}

fn range(start: usize, len: usize) -> Range {
    Range {
        start: start as u64,
        len: len as u64,
    }
}

/// A fresh descriptor and whether it is restricted to faults from user mode. The error is the first one met.
fn open_any() -> io::Result<(OwnedFd, bool)> {
    let first = match open_syscall(0) {
        Ok(fd) => return Ok((fd, false)),
        Err(error) => error,
    };
    if let Ok(fd) = open_device() {
        return Ok((fd, false));
    }
    open_syscall(USER_MODE_ONLY)
        .map(|fd| (fd, true))
        .map_err(|_| first)
}

fn open_syscall(extra: libc::c_int) -> io::Result<OwnedFd> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | extra;
    // SAFETY: a descriptor without a registered range touches no memory.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?;
    // SAFETY: the kernel has just opened it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

fn open_device() -> io::Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/userfaultfd")?;
    // SAFETY: USERFAULTFD_IOC_NEW takes open flags and no pointer.
    let fd = unsafe { abi::device_new(device.as_raw_fd(), libc::O_CLOEXEC | libc::O_NONBLOCK) }?;
    // SAFETY: the ioctl has just returned this descriptor, and nobody else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::hint::black_box;
    use std::os::unix::fs::FileExt;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::skip::{Need, skip};

    const PFN: u64 = (1 << 55) - 1;
    const UFFD_WP: u64 = 1 << 57;
    const PRESENT: u64 = 1 << 63;

    /// A buffer and the address of the first whole page in it, which nothing else lies on.
    fn page() -> (Vec<u8>, usize, usize) {
        let size = crate::sys::page_size();
        let mut buffer = vec![1u8; 3 * size];
        black_box(&mut buffer);
        let start = (buffer.as_ptr() as usize).next_multiple_of(size);
        (buffer, start, size)
    }

    fn pagemap(address: usize) -> u64 {
        let mut entry = [0; 8];
        let offset = address / crate::sys::page_size() * 8;
        File::open("/proc/self/pagemap")
            .unwrap()
            .read_exact_at(&mut entry, offset as u64)
            .unwrap();
        u64::from_ne_bytes(entry)
    }

    /// Opens, or says why the test cannot be made.
    fn open(features: u64) -> Option<Uffd> {
        let need = match features {
            0 => Need::Uffd,
            FEATURE_WP_ASYNC => Need::UffdWpAsync,
            _ => Need::UffdWp,
        };
        Uffd::open(features)
            .inspect_err(|error| skip(need, error))
            .ok()
    }

    #[test]
    fn an_asynchronously_protected_page_is_stored_to_in_place_without_a_waker() {
        let Some(uffd) = open(FEATURE_WP_ASYNC) else {
            return;
        };
        let (mut buffer, start, size) = page();
        let index = start - buffer.as_ptr() as usize;
        uffd.register_wp(start, size).unwrap();
        uffd.writeprotect(start, size, true).unwrap();
        let before = pagemap(start);
        assert_eq!(
            before & (PRESENT | UFFD_WP),
            PRESENT | UFFD_WP,
            "the set-up protects the page"
        );

        let (done, stored) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            buffer[index] = 7;
            let _ = done.send(black_box(buffer));
        });
        let in_time = stored.recv_timeout(Duration::from_secs(5));
        let after = pagemap(start);
        drop(uffd);
        writer.join().unwrap();

        let buffer = in_time.expect("the store waits for nobody");
        assert_eq!(buffer[index], 7);
        assert_eq!(after & UFFD_WP, 0, "the fault clears the protection");
        assert_eq!(
            after & PFN,
            before & PFN,
            "the store stays on the same page"
        );
        if before & PFN == 0 {
            skip(Need::Root, "page frame numbers are not compared");
        }
    }

    #[test]
    fn protection_is_set_and_cleared_by_range() {
        let Some(uffd) = open(FEATURE_WP) else { return };
        if crate::machine::kernel::version() < Some((5, 13)) {
            skip(Need::UffdWpShown, "the kernel is older than 5.13");
            return;
        }
        let (buffer, start, size) = page();
        uffd.register_wp(start, size).unwrap();
        uffd.writeprotect(start, size, true).unwrap();
        assert_ne!(pagemap(start) & UFFD_WP, 0);
        uffd.writeprotect(start, size, false).unwrap();
        assert_eq!(pagemap(start) & UFFD_WP, 0);
        drop(black_box(buffer));
    }

    #[test]
    fn an_unregistered_range_can_not_be_protected() {
        let Some(uffd) = open(FEATURE_WP) else { return };
        let (buffer, start, size) = page();
        uffd.register_wp(start, size).unwrap();
        uffd.unregister(start, size).unwrap();
        let error = uffd.writeprotect(start, size, true).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        drop(black_box(buffer));
    }

    #[test]
    fn a_feature_that_no_kernel_has_is_refused() {
        if open(0).is_none() {
            return;
        }
        let error = Uffd::open(1 << 63).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn features_are_those_of_an_open_descriptor() {
        let Some(uffd) = open(0) else { return };
        assert_eq!(features().unwrap(), uffd.features());
    }
}
