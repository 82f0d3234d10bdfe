//! The kernel's own file systems (tracefs, debugfs, securityfs), read without mounting them anywhere.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statfs::fstatfs;
use nix::unistd::{AccessFlags, faccessat};

use super::missing::{Missing, errno, is_denied};
use super::privilege::Privilege;

/// One of the kernel's file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Tracepoints and ftrace.
    Tracefs,
    /// Debugging switches of every subsystem.
    Debugfs,
    /// Security modules.
    Securityfs,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            Self::Tracefs => "tracefs",
            Self::Debugfs => "debugfs",
            Self::Securityfs => "securityfs",
        }
    }

    fn mount_point(self) -> &'static str {
        match self {
            Self::Tracefs => "/sys/kernel/tracing",
            Self::Debugfs => "/sys/kernel/debug",
            Self::Securityfs => "/sys/kernel/security",
        }
    }

    /// `statfs(2)`'s type: linux/magic.h.
    fn magic(self) -> u64 {
        match self {
            Self::Tracefs => 0x7472_6163,
            Self::Debugfs => 0x6462_6720,
            Self::Securityfs => 0x7363_6673,
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Tracefs => "CONFIG_TRACING",
            Self::Debugfs => "CONFIG_DEBUG_FS",
            Self::Securityfs => "CONFIG_SECURITYFS",
        }
    }
}

/// An open kernel file system.
///
/// Where it is not mounted, the root is that of a mount that is attached nowhere: no other process sees it, and it
/// goes with its last descriptor, also after SIGKILL.
#[derive(Debug)]
pub struct KernelFs {
    root: OwnedFd,
    detached: bool,
}

impl KernelFs {
    /// Opens `kind` where it is mounted, else detached (Linux 5.2, `CAP_SYS_ADMIN`).
    ///
    /// # Errors
    /// [`Missing`] when it is neither mounted where this process may look nor can be mounted.
    pub fn open(kind: FileSystem) -> Result<Self, Missing> {
        if let Some(root) = mounted(kind, kind.mount_point()) {
            return Ok(Self {
                root,
                detached: false,
            });
        }
        match detached(kind.name()) {
            Ok(root) => Ok(Self {
                root,
                detached: true,
            }),
            // Last, since looking there makes debugfs mount tracefs on itself.
            Err(error) => match kind {
                FileSystem::Tracefs => mounted(kind, "/sys/kernel/debug/tracing"),
                FileSystem::Debugfs | FileSystem::Securityfs => None,
            }
            .map(|root| Self {
                root,
                detached: false,
            })
            .ok_or_else(|| missing(kind, error)),
        }
    }

    /// Whether the file system is not mounted anywhere for this process's sake.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Opens a file by its path below the root, for reading.
    ///
    /// # Errors
    /// Those of `openat(2)`.
    pub fn file(&self, path: &str) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.root, path, flags, Mode::empty())?))
    }

    /// Reads a small file by its path below the root, without surrounding white space.
    ///
    /// # Errors
    /// Those of `openat(2)` and `read(2)`.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        self.file(path)?.read_to_string(&mut text)?;
        Ok(text.trim().to_owned())
    }
}

/// The root of `kind` if it is mounted at `path` and may be searched.
fn mounted(kind: FileSystem, path: &str) -> Option<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(AT_FDCWD, path, flags, Mode::empty()).ok()?;
    let is_it = u64::try_from(fstatfs(&root).ok()?.filesystem_type().0) == Ok(kind.magic());
    let may = faccessat(&root, ".", AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok();
    (is_it && may).then_some(root)
}

/// The root of a read-only mount of the file system `name` that is attached nowhere.
fn detached(name: &str) -> nix::Result<OwnedFd> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let attributes = libc::MOUNT_ATTR_RDONLY
        | libc::MOUNT_ATTR_NOSUID
        | libc::MOUNT_ATTR_NODEV
        | libc::MOUNT_ATTR_NOEXEC;
    let descriptor = |answer: libc::c_long| {
        let fd = RawFd::try_from(Errno::result(answer)?).map_err(|_| Errno::EBADF)?;
        // SAFETY: the kernel has just opened it, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    // SAFETY: the name is a C string that outlives the call.
    let context = descriptor(unsafe {
        libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC)
    })?;
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value, and no memory.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_CMD_CREATE,
            ptr::null::<u8>(),
            ptr::null::<u8>(),
            0,
        )
    })?;
    // SAFETY: the call takes flags alone.
    descriptor(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes,
        )
    })
}

fn missing(kind: FileSystem, error: Errno) -> Missing {
    let (name, point) = (kind.name(), kind.mount_point());
    let error = io::Error::from(error);
    let found = format!(
        "no access at {point}, and a detached mount fails with {}",
        errno(&error)
    );
    if is_denied(&error) {
        return Missing::privilege(Privilege::SysAdmin, found);
    }
    match error.raw_os_error() {
        Some(libc::ENODEV) => Missing::new(
            kind.config(),
            format!("a kernel without {name}"),
            String::new(),
        ),
        _ => Missing::new(
            format!("{name} at {point}"),
            found,
            format!("sudo mount -t {name} {name} {point}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn opening_leaves_the_mount_table_as_it_was() {
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let before = mounts();
        let tracefs = KernelFs::open(FileSystem::Tracefs);
        if let Ok(fs) = &tracefs {
            assert!(!fs.read("events/kmem/mm_page_alloc/id").unwrap().is_empty());
        } else {
            skip(Need::Tracefs, tracefs.as_ref().unwrap_err());
        }
        assert_eq!(mounts(), before);
    }

    #[test]
    fn a_file_system_that_the_kernel_lacks_has_no_mending_command() {
        let missing = missing(FileSystem::Tracefs, Errno::ENODEV);
        assert_eq!(missing.needed, "CONFIG_TRACING");
        assert_eq!(missing.mend, "");
    }

    #[test]
    fn a_kernel_without_detached_mounts_is_told_to_mount() {
        let missing = missing(FileSystem::Tracefs, Errno::ENOSYS);
        assert_eq!(
            missing.mend,
            "sudo mount -t tracefs tracefs /sys/kernel/tracing"
        );
    }
}
