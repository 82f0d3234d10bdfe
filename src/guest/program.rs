//! The program that becomes a guest's init, with the shared libraries it cannot do without.

use std::path::{Path, PathBuf};
use std::process::Command;

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};

use super::arch::Arch;
use super::cpio::Archive;
use crate::guest::error::VmError;

/// Packs a program as `/init`, and its ELF interpreter and libraries under their own paths.
///
/// A static program needs nothing else. The libraries of a dynamic one are those that its own
/// interpreter (ld.so) names on this machine.
///
/// # Errors
/// If the program or a library cannot be read, is not a 64-bit little-endian ELF file, or not one of `arch`.
pub fn pack(program: &Path, arch: Arch, archive: &mut Archive) -> Result<(), VmError> {
    let bytes = read(program)?;
    let (machine, interpreter) = parse(&bytes).map_err(|why| VmError::Program {
        path: program.to_owned(),
        found: format!("no 64-bit little-endian ELF file ({why})"),
    })?;
    if machine != arch.elf_machine() {
        return Err(VmError::OtherProgram {
            path: program.to_owned(),
            arch: arch.name(),
        });
    }
    archive.file("/init", &bytes);
    if let Some(interpreter) = interpreter {
        pack_file(&interpreter, archive)?;
        for library in libraries(program, &interpreter)? {
            pack_file(&library, archive)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, VmError> {
    std::fs::read(path).map_err(|source| VmError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

fn pack_file(path: &Path, archive: &mut Archive) -> Result<(), VmError> {
    archive.file(&path.to_string_lossy(), &read(path)?);
    Ok(())
}

/// The architecture that an ELF file is for (`e_machine`), and the path in PT_INTERP: `None` for a static program.
fn parse(elf: &[u8]) -> object::read::Result<(u16, Option<PathBuf>)> {
    let header = FileHeader64::<LittleEndian>::parse(elf)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, elf)? {
        if let Some(path) = segment.interpreter(endian, elf)? {
            let path = String::from_utf8_lossy(path).into_owned();
            return Ok((header.e_machine(endian), Some(path.into())));
        }
    }
    Ok((header.e_machine(endian), None))
}

fn libraries(program: &Path, interpreter: &Path) -> Result<Vec<PathBuf>, VmError> {
    let failed = |found: String| VmError::Program {
        path: program.to_owned(),
        found,
    };
    let listing = Command::new(interpreter)
        .arg("--list")
        .arg(program)
        .output()
        .map_err(|error| {
            failed(format!(
                "its interpreter {} ({error})",
                interpreter.display()
            ))
        })?;
    let text = String::from_utf8_lossy(&listing.stdout);
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        return Err(failed(format!("a missing library: {}", missing.trim())));
    }
    if !listing.status.success() {
        let why = String::from_utf8_lossy(&listing.stderr).trim().to_owned();
        return Err(failed(format!(
            "libraries that {} cannot list: {why}",
            interpreter.display()
        )));
    }
    Ok(listed(&text))
}

/// The paths in a listing by ld.so: `name => /path (0x...)`, or `/path (0x...)`.
fn listed(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let target = line.split_once(" => ").map_or(line, |(_, target)| target);
            let path = target.rsplit_once(" (").map_or(target, |(path, _)| path);
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_the_interpreter_lists() {
        let text = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(listed(text), expected.map(PathBuf::from));
    }

    #[test]
    fn this_test_program_names_an_interpreter_that_exists_or_none() {
        let elf = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if let (_, Some(path)) = parse(&elf).unwrap() {
            assert!(path.exists(), "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(parse(b"#!/bin/sh\n").is_err());
        assert!(parse(b"\x7fELF\x02\x01").is_err());
    }
}
