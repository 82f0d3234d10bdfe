//! What an area can be made of, and areas of other things than anonymous 4 KiB pages: files, memfds, transparent huge pages, hugetlb.

use std::fs::File;
use std::io::Write;
use std::num::NonZero;
use std::os::fd::AsFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, mmap, mmap_anonymous, mprotect};
use schemars::JsonSchema;
use serde::Serialize;

use super::MemoryError;
use super::advice::advise;
use super::area::{Area, page_size, without_huge_pages};
use crate::memory::folio::Folio;

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// What the area is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Private anonymous memory without huge pages.
    Small,
    /// Shared anonymous memory without huge pages.
    SharedAnonymous,
    /// A private mapping of a file.
    PrivateFile,
    /// A private mapping of a memfd.
    PrivateMemfd,
    /// Transparent huge pages of a PMD's size.
    Thp,
    /// Anonymous folios of each size between a page and a PMD that the kernel offers.
    Mthp,
    /// Pages of hugetlb's pool.
    Hugetlb,
    /// A private mapping of a memfd whose pages are of hugetlb's pool.
    PooledMemfd,
    /// Anonymous memory in every folio size that is to be had.
    Every,
}

impl Memory {
    /// What it needs of the machine; empty for most.
    pub fn needs(self) -> &'static str {
        match self {
            Memory::Small
            | Memory::SharedAnonymous
            | Memory::PrivateFile
            | Memory::PrivateMemfd
            | Memory::Every => "",
            Memory::Thp => "transparent huge pages at madvise or always; PFNs (root) for the proof",
            Memory::Mthp => {
                "Linux 6.8 and a multi-size THP size at madvise or always (--tune sets it); PFNs (root)"
            }
            Memory::Hugetlb | Memory::PooledMemfd => {
                "free pages in hugetlb's pool (--tune reserves some)"
            }
        }
    }
}

/// Maps `count` pages (or folios) of `memory`; a file holds the pattern with `tag`.
pub fn map(memory: Memory, folio: Folio, count: usize, tag: u64) -> Result<Area, MemoryError> {
    match (memory, folio) {
        (Memory::SharedAnonymous, _) => shared(count),
        (Memory::PrivateFile, _) => {
            let folder = std::env::temp_dir();
            let file = tempfile::tempfile_in(&folder).map_err(|e| {
                MemoryError::refused(format!("making a file in {}", folder.display()), e)
            })?;
            file_backed(file, count, tag)
        }
        (Memory::PrivateMemfd, _) => {
            let memfd = memfd_create("cowpath", MFdFlags::MFD_CLOEXEC)
                .map_err(|e| MemoryError::refused("memfd_create()", e))?;
            file_backed(File::from(memfd), count, tag)
        }
        (Memory::PooledMemfd, Folio::Hugetlb(kib)) => pooled_file(folio, kib, count, tag),
        (_, Folio::Page) => Area::map(count),
        (_, Folio::Large(_)) => transparent(folio, count),
        (_, Folio::Hugetlb(kib)) => pooled(folio, kib, count),
    }
}

fn shared(count: usize) -> Result<Area, MemoryError> {
    let area = Area::reserve(page_size(), count)?;
    let (address, _) = start(&area);
    let length = NonZero::new(area.len()).unwrap_or(NonZero::<usize>::MIN);
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: the range is inaccessible address space that `reserve` made and nothing uses.
    unsafe { mmap_anonymous(address, length, READ_WRITE, flags) }
        .map_err(|e| MemoryError::refused("mapping shared memory", e))?;
    without_huge_pages(&area)?;
    Ok(area)
}

fn transparent(folio: Folio, count: usize) -> Result<Area, MemoryError> {
    let area = Area::reserve(folio.bytes(), count)?;
    // SAFETY: the range is address space that `reserve` made and nothing uses yet.
    unsafe { mprotect(start(&area).1, area.len(), READ_WRITE) }
        .map_err(|e| MemoryError::refused("mprotect()", e))?;
    advise(&area, MmapAdvise::MADV_HUGEPAGE, "MADV_HUGEPAGE")?;
    Ok(area)
}

/// Maps a file privately that holds the pattern with `tag` in pages of the pool.
fn pooled_file(folio: Folio, kib: u64, count: usize, tag: u64) -> Result<Area, MemoryError> {
    let size = (kib * 1024).trailing_zeros() << libc::MFD_HUGE_SHIFT;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::from_bits_retain(size);
    let file = memfd_create("cowpath", flags)
        .map(File::from)
        .map_err(|e| MemoryError::refused("memfd_create(MFD_HUGETLB)", e))?;
    file.set_len((count * folio.bytes()) as u64)
        .map_err(|e| MemoryError::refused("making a file of the pool's pages", e))?;
    // Such a file takes no write(2).
    map_file(&file, folio, count, MapFlags::MAP_SHARED)?.fill(tag);
    map_file(&file, folio, count, MapFlags::MAP_PRIVATE)
}

fn map_file(file: &File, folio: Folio, count: usize, how: MapFlags) -> Result<Area, MemoryError> {
    let area = Area::reserve(folio.bytes(), count)?;
    let (address, _) = start(&area);
    let length = NonZero::new(area.len()).unwrap_or(NonZero::<usize>::MIN);
    // SAFETY: the range is inaccessible address space that `reserve` made and nothing uses.
    unsafe {
        mmap(
            address,
            length,
            READ_WRITE,
            how | MapFlags::MAP_FIXED,
            file.as_fd(),
            0,
        )
    }
    .map_err(|error| of_the_pool(folio, count, error))?;
    Ok(area)
}

fn of_the_pool(folio: Folio, count: usize, source: nix::Error) -> MemoryError {
    MemoryError::Refused {
        what: format!("mapping {count} pages of {folio}"),
        source: source.into(),
        mend: "mend with: --tune, which reserves them for the time of the run, or sysctl vm.nr_hugepages".into(),
    }
}

fn pooled(folio: Folio, kib: u64, count: usize) -> Result<Area, MemoryError> {
    let area = Area::reserve(folio.bytes(), count)?;
    let size = (kib * 1024).trailing_zeros() as i32;
    let flags = MapFlags::MAP_PRIVATE
        | MapFlags::MAP_FIXED
        | MapFlags::MAP_HUGETLB
        | MapFlags::from_bits_retain(size << libc::MAP_HUGE_SHIFT);
    let (address, _) = start(&area);
    let length = NonZero::new(area.len()).unwrap_or(NonZero::<usize>::MIN);
    // SAFETY: the range is inaccessible address space that `reserve` made and nothing uses.
    unsafe { mmap_anonymous(address, length, READ_WRITE, flags) }
        .map_err(|error| of_the_pool(folio, count, error))?;
    Ok(area)
}

/// Maps a file privately that holds the pattern with `tag` and lies in the page cache.
fn file_backed(mut file: File, count: usize, tag: u64) -> Result<Area, MemoryError> {
    let page = page_size();
    file.write_all(&Area::filled_bytes(tag, count))
        .map_err(|e| MemoryError::refused("writing the file to be mapped", e))?;
    let area = Area::reserve(page, count)?;
    let (address, _) = start(&area);
    let length = NonZero::new(area.len()).unwrap_or(NonZero::<usize>::MIN);
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
    // SAFETY: the range is inaccessible address space that `reserve` made and nothing uses.
    unsafe { mmap(address, length, READ_WRITE, flags, file.as_fd(), 0) }
        .map_err(|e| MemoryError::refused("mapping the file", e))?;
    Ok(area)
}

fn start(area: &Area) -> (Option<NonZero<usize>>, std::ptr::NonNull<libc::c_void>) {
    let pointer =
        std::ptr::NonNull::new(area.base().cast()).unwrap_or(std::ptr::NonNull::dangling());
    (NonZero::new(area.base() as usize), pointer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Content;

    #[test]
    fn shared_memory_is_one_with_its_child_s() {
        use nix::sys::wait::waitpid;
        use nix::unistd::{ForkResult, fork};

        let area = map(Memory::SharedAnonymous, Folio::Page, 8, 0).unwrap();
        area.fill(5);
        // SAFETY: the child stores to the area and ends, without any of the other threads' locks.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                area.store(90);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        };
        assert_eq!(area.violations(Content::Filled(5), Some(90)), 0);
    }

    #[test]
    fn a_file_holds_the_pattern_and_takes_private_stores() {
        for memory in [Memory::PrivateFile, Memory::PrivateMemfd] {
            let area = map(memory, Folio::Page, 8, 3).unwrap();
            assert_eq!(area.violations(Content::Filled(3), None), 0);
            area.store(90);
            assert_eq!(area.violations(Content::Filled(3), Some(90)), 0);
        }
    }

    #[test]
    fn a_folio_area_is_aligned_and_keeps_its_data_at_both_ends_of_each_folio() {
        let area = map(Memory::Thp, Folio::Large(2048), 2, 0).unwrap();
        assert_eq!(area.base() as usize % (2 << 20), 0);
        area.fill(5);
        assert_eq!(area.violations(Content::Filled(5), None), 0);
        assert_eq!((area.len(), area.pages()), (4 << 20, 2));
    }
}
