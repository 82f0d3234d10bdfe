//! Swap devices: the header that makes one of a block device, swapon(2) and swapoff(2).

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::page_size;

/// Where the header's version lies in the first page; the last page's number follows it.
const VERSION_AT: usize = 1024;
/// Where the header's label lies, and the one that this program writes.
const LABEL_AT: usize = VERSION_AT + 28;
const LABEL: &[u8; 16] = b"cowpath\0\0\0\0\0\0\0\0\0";
/// What the first page ends with.
const MAGIC: &[u8] = b"SWAPSPACE2";

/// Where pages go that are swapped out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SwapKind {
    /// A zram device: memory, from which pages come back in one go and past the swap cache.
    Zram,
    /// Another block device.
    Device,
    /// A file.
    File,
}

impl SwapKind {
    /// Those that are not memory.
    pub const SLOW: [SwapKind; 2] = [SwapKind::Device, SwapKind::File];

    /// In words, as a set-up names it.
    pub fn label(self) -> &'static str {
        match self {
            SwapKind::Zram => "swap on zram",
            SwapKind::Device => "swap on a block device",
            SwapKind::File => "swap in a file",
        }
    }

    /// Every kind of swap space that is in use, each once; none where there is none.
    pub fn in_use() -> Vec<SwapKind> {
        kinds(&std::fs::read_to_string("/proc/swaps").unwrap_or_default())
    }
}

/// As the text of /proc/swaps has them: a heading, then path and type.
fn kinds(swaps: &str) -> Vec<SwapKind> {
    let kind = |line: &str| {
        let mut fields = line.split_whitespace();
        let (path, kind) = (fields.next()?, fields.next()?);
        Some(match kind {
            "file" => SwapKind::File,
            _ if path.starts_with("/dev/zram") || path.starts_with("/zram") => SwapKind::Zram,
            _ => SwapKind::Device,
        })
    };
    let mut kinds: Vec<SwapKind> = swaps.lines().skip(1).filter_map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The first page of a swap device of so many pages: `union swap_header` of the kernel's linux/swap.h.
fn header(pages: u32, page_size: usize) -> Vec<u8> {
    let mut page = vec![0; page_size];
    page[VERSION_AT..VERSION_AT + 4].copy_from_slice(&1u32.to_ne_bytes());
    page[VERSION_AT + 4..VERSION_AT + 8].copy_from_slice(&(pages - 1).to_ne_bytes());
    page[LABEL_AT..LABEL_AT + LABEL.len()].copy_from_slice(LABEL);
    page[page_size - MAGIC.len()..].copy_from_slice(MAGIC);
    page
}

/// Makes a swap device of the whole block device at `device`, whose content is lost, and swaps to it.
///
/// # Errors
/// When it has less than two pages, cannot be written or the kernel refuses it.
pub fn swap_on(device: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(device)?;
    let pages = file.seek(SeekFrom::End(0))? / page_size() as u64;
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    if pages < 2 {
        return Err(io::Error::other(format!("needs two pages, found {pages}")));
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(pages, page_size()))?;
    file.sync_all()?;
    drop(file);
    let path = name(device)?;
    // SAFETY: the path is a string that ends in NUL and lives on.
    answer(unsafe { libc::swapon(path.as_ptr(), 0) })
}

/// Whether [`swap_on`] wrote the header of `device`, or nobody wrote any.
///
/// # Errors
/// When it cannot be read.
pub fn is_marked(device: &Path) -> io::Result<bool> {
    let mut page = vec![0; page_size()];
    File::open(device)?.read_exact(&mut page)?;
    Ok(&page[LABEL_AT..LABEL_AT + LABEL.len()] == LABEL || page.iter().all(|&byte| byte == 0))
}

/// Swaps to `device` no longer; returns when all of it is read back.
///
/// # Errors
/// When the kernel refuses, for one because memory would not suffice.
pub fn swap_off(device: &Path) -> io::Result<()> {
    let path = name(device)?;
    // SAFETY: the path is a string that ends in NUL and lives on.
    answer(unsafe { libc::swapoff(path.as_ptr()) })
}

fn name(device: &Path) -> io::Result<CString> {
    Ok(CString::new(device.as_os_str().as_bytes())?)
}

fn answer(code: libc::c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_space_is_told_by_where_it_lies() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let of = |lines: &str| kinds(&format!("{heading}{lines}"));
        assert_eq!(of(""), []);
        let zram = "/dev/zram0   partition\t262140\t0\t-2\n";
        assert_eq!(of(zram), [SwapKind::Zram]);
        let disk = "/dev/vda2    partition\t262140\t0\t-3\n";
        let file = "/zram-file    file\t262140\t0\t-4\n/other file 1 0 -5\n";
        assert_eq!(
            of(&[file, disk].concat()),
            [SwapKind::Device, SwapKind::File]
        );
    }

    #[test]
    fn a_header_ends_with_the_magic_and_names_the_last_page() {
        let page = header(256, 4096);
        assert_eq!(page.len(), 4096);
        assert_eq!(&page[4086..], b"SWAPSPACE2");
        assert_eq!(page[1028..1032], 255u32.to_ne_bytes());
        assert_eq!(&page[1052..1060], b"cowpath\0");
    }
}
