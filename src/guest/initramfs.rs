//! The guest's root file system, made in memory and handed to QEMU without a file of its own.

use std::path::Path;

use super::arch::Arch;
use super::cpio::Archive;
use super::init::{ARGUMENTS, MODULES};
use super::{modules, program};
use crate::guest::error::VmError;
use crate::guest::image::Image;
use crate::guest::memory_file::MemoryFile;

/// What every guest of a lab gets: the program as init, and the words of its command line there.
///
/// # Errors
/// If the program or a library that it needs cannot be read.
pub fn base(program: &Path, arch: Arch, arguments: &[String]) -> Result<Archive, VmError> {
    let mut archive = Archive::new();
    for directory in ["proc", "sys", "tmp", "run", "root"] {
        archive.directory(directory);
    }
    // Without it the kernel gives init no console.
    archive.character_device("dev/console", 5, 1);
    program::pack(program, arch, &mut archive)?;
    let words: String = arguments.iter().map(|word| format!("{word}\0")).collect();
    archive.file(ARGUMENTS, words.as_bytes());
    Ok(archive)
}

/// Adds one kernel's configuration, where it would lie after a boot from disk, and its modules, and gives the whole as a file that QEMU can open.
///
/// # Errors
/// If a module cannot be read, or there is no memory for the file.
pub fn complete(
    mut archive: Archive,
    image: &Image,
    modules: Option<&Path>,
) -> Result<MemoryFile, VmError> {
    if let Some(config) = image.config() {
        archive.file(&format!("boot/config-{}", image.release), &config);
    }
    if let Some(tree) = modules {
        for (index, module) in modules::wanted(tree)?.iter().enumerate() {
            archive.file(
                &format!("{MODULES}/{index:02}-{}.ko", module.name),
                &module.bytes,
            );
        }
    }
    MemoryFile::with("initramfs", &archive.finish()).map_err(|source| VmError::Io {
        what: "write",
        path: "the initramfs".into(),
        source,
    })
}
