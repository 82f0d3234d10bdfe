//! Why a lab could not be run at all.

use std::path::PathBuf;

use crate::exit;
use crate::record::output::WriteError;

/// Why a lab could not be run at all; what befalls single guests is in their results.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// A run file cannot be written.
    #[error(transparent)]
    RunFile(#[from] WriteError),
    /// A kernel cannot be booted.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImageError,
    },
    /// There is no QEMU.
    #[error(
        "{looked_for} was needed and is not on PATH; on Debian: `apt install {package}`, or name it with --qemu"
    )]
    QemuMissing {
        /// The program's name.
        looked_for: String,
        /// Debian's package of it.
        package: &'static str,
    },
    /// QEMU is there and does not run.
    #[error("a working QEMU was needed, {}: {found}", path.display())]
    QemuUnusable {
        /// The program.
        path: PathBuf,
        /// What happened.
        found: String,
    },
    /// KVM was asked for and runs no guest.
    #[error("KVM was asked for and runs no guest here: {reason}; --accel tcg or exact needs none")]
    KvmUnusable {
        /// What happened.
        reason: String,
    },
    /// The program cannot become a guest's init.
    #[error("a program that can be init was needed, {} is or has {found}; a static build needs no libraries: `RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --release --target x86_64-unknown-linux-gnu`", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// The program is for another processor than the guest's.
    #[error("a program for {arch} was needed as the guest's init, {} is for another processor: name a cowpath built for {arch} with --init (`cargo build --release --target {arch}-unknown-linux-gnu`)", path.display())]
    OtherProgram {
        /// The program.
        path: PathBuf,
        /// What it should be for.
        arch: &'static str,
    },
    /// A kernel module cannot be packed.
    #[error("a kernel module (ELF, or that packed by xz, zstd or gzip) was needed, {} is {found}", path.display())]
    Module {
        /// The module.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// Words for kernels' command lines that do not go with the kernels.
    #[error(
        "--append was needed once, or once for each of the {kernels} kernels, and was given {given} times"
    )]
    Words {
        /// Kernels to be booted.
        kernels: usize,
        /// Texts that were given.
        given: usize,
    },
    /// The named directory holds no modules for a kernel.
    #[error("modules of {release} were needed, {} has neither kernel/ nor {release}/kernel/", path.display())]
    NoModules {
        /// The directory named.
        path: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, `list` or `create`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The user stopped the lab; results that were there already stand in the output directory.
    #[error("interrupted")]
    Interrupted,
}

impl VmError {
    /// The exit code that goes with the error: 130 after an interrupt, 3 where there is no QEMU that runs, else 2, for
    /// what was asked for and cannot be had.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => exit::INTERRUPTED,
            Self::QemuMissing { .. } | Self::QemuUnusable { .. } => exit::IMPOSSIBLE,
            _ => exit::USAGE,
        }
    }
}

/// Why a file cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be read.
    #[error(
        "a kernel image was needed and cannot be read: {0}; scripts/fetch-kernels gets some, and /boot has installed ones"
    )]
    Unreadable(#[from] std::io::Error),
    /// The file is no boot image.
    #[error(
        "not a kernel image: an x86-64 bzImage or an arm64 Image was needed (such as /boot/vmlinuz-*), {found} was found"
    )]
    NotAnImage {
        /// What the file looks like.
        found: &'static str,
    },
    /// The kernel is for another processor than is wanted.
    #[error("an image for {wanted} was needed, this one is for {found}")]
    OtherArch {
        /// What was wanted.
        wanted: &'static str,
        /// What the image is for.
        found: &'static str,
    },
}
