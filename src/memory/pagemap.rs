//! /proc/PID/pagemap, /proc/kpagecount and /proc/kpageflags, read in bulk.
//!
//! Bits as documented in Documentation/admin-guide/mm/pagemap.rst.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::MemoryError;
use super::area::{Area, page_size};
use crate::sys::missing::Missing;
use crate::sys::privilege::Privilege;
use crate::sys::process::folder_of;

/// One 64-bit entry of pagemap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// The page is in memory.
    pub fn present(self) -> bool {
        self.0 >> 63 & 1 == 1
    }

    /// The page is swapped out.
    pub fn swapped(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    /// The page belongs to a file or to shared memory.
    pub fn file(self) -> bool {
        self.0 >> 61 & 1 == 1
    }

    /// Write-protected by userfaultfd.
    pub fn uffd_wp(self) -> bool {
        self.0 >> 57 & 1 == 1
    }

    /// Stored to since the soft-dirty bits were cleared, or since it was mapped.
    pub fn soft_dirty(self) -> bool {
        self.0 >> 55 & 1 == 1
    }

    /// The page is mapped once (mapcount 1). Not the kernel's PageAnonExclusive. Of a large folio whose pages are not counted
    /// (CONFIG_NO_PAGE_MAPCOUNT): only one process maps it, which is not always told of one that three have mapped.
    pub fn mapped_once(self) -> bool {
        self.0 >> 56 & 1 == 1
    }

    /// The page frame number; `None` if nothing is present or the reader may not see it
    /// (it needs CAP_SYS_ADMIN).
    pub fn pfn(self) -> Option<u64> {
        let pfn = self.0 & ((1 << 55) - 1);
        (self.present() && pfn != 0).then_some(pfn)
    }
}

/// What a process's page table says of the area.
pub struct Pagemap(File);

impl Pagemap {
    /// Of this process.
    pub fn own() -> Result<Self, MemoryError> {
        Self::open("/proc/self/pagemap")
    }

    /// Of process `pid`.
    pub fn of(pid: nix::unistd::Pid) -> Result<Self, MemoryError> {
        let folder = folder_of(pid.as_raw()).map_err(MemoryError::missing)?;
        Self::open(&folder.join("pagemap").display().to_string())
    }

    fn open(path: &str) -> Result<Self, MemoryError> {
        let file =
            File::open(path).map_err(|e| MemoryError::refused(format!("opening {path}"), e))?;
        Ok(Pagemap(file))
    }

    /// One entry for each page of `area` (of a large folio the first), in one read.
    pub fn read(&self, area: &Area) -> Result<Vec<Entry>, MemoryError> {
        let step = area.stride() / page_size();
        Ok(self.read_all(area)?.into_iter().step_by(step).collect())
    }

    /// One entry for each 4 KiB page of `area`, whatever the size of its folios, in one read.
    pub fn read_all(&self, area: &Area) -> Result<Vec<Entry>, MemoryError> {
        let words = read_words(
            &self.0,
            area.base() as u64 / page_size() as u64,
            area.len() / page_size(),
        )
        .map_err(|e| MemoryError::refused("reading pagemap", e))?;
        Ok(words.into_iter().map(Entry).collect())
    }
}

fn read_words(file: &File, first: u64, count: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, first * 8)?;
    Ok(bytes
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()))
        .collect())
}

/// Flags of a page frame, from /proc/kpageflags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u64);

impl Flags {
    /// On an LRU list, so not in a CPU's batch.
    pub fn lru(self) -> bool {
        self.0 >> 5 & 1 == 1
    }

    /// Anonymous memory.
    pub fn anon(self) -> bool {
        self.0 >> 12 & 1 == 1
    }

    /// Backed by swap space: anonymous memory, and what is shared by no file.
    pub fn swap_backed(self) -> bool {
        self.0 >> 14 & 1 == 1
    }

    /// Part of a folio of more than one page (compound head or tail).
    pub fn large(self) -> bool {
        self.0 >> 15 & 3 != 0
    }

    /// The first page of a folio of more than one.
    pub fn head(self) -> bool {
        self.0 >> 15 & 1 == 1
    }

    /// Another page of such a folio.
    pub fn tail(self) -> bool {
        self.0 >> 16 & 1 == 1
    }

    /// Of hugetlb's pool.
    pub fn hugetlb(self) -> bool {
        self.0 >> 17 & 1 == 1
    }

    /// Of a transparent folio of more than one page, or of the huge zero folio.
    pub fn thp(self) -> bool {
        self.0 >> 22 & 1 == 1
    }

    /// Merged by ksmd. Linux 6.12 says so of every anonymous page.
    pub fn merged(self) -> bool {
        self.0 >> 21 & 1 == 1
    }

    /// The zero page.
    pub fn zero(self) -> bool {
        self.0 >> 24 & 1 == 1
    }
}

/// The files that tell of page frames. They need CAP_SYS_ADMIN.
pub struct Frames {
    count: File,
    flags: File,
}

impl Frames {
    /// Opens both files.
    pub fn open() -> Result<Self, MemoryError> {
        let open = |path: &str| {
            File::open(path).map_err(|source| MemoryError::Refused {
                what: format!("opening {path}"),
                source,
                mend: Missing::privilege(Privilege::SysAdmin, "it is refused").to_string(),
            })
        };
        Ok(Frames {
            count: open("/proc/kpagecount")?,
            flags: open("/proc/kpageflags")?,
        })
    }

    /// How often each page frame is mapped, and its flags. Of a large folio whose pages are not counted
    /// (CONFIG_NO_PAGE_MAPCOUNT) how often they are on average. Runs of consecutive frames are read at once.
    pub fn read(&self, pfns: &[u64]) -> Result<Vec<(u64, Flags)>, MemoryError> {
        let mut out = Vec::with_capacity(pfns.len());
        let mut start = 0;
        while start < pfns.len() {
            let run = pfns[start..]
                .iter()
                .enumerate()
                .take_while(|&(n, &pfn)| pfn == pfns[start].wrapping_add(n as u64))
                .count();
            let both = read_words(&self.count, pfns[start], run)
                .and_then(|counts| Ok((counts, read_words(&self.flags, pfns[start], run)?)));
            let (counts, flags) =
                both.map_err(|e| MemoryError::refused("reading kpagecount and kpageflags", e))?;
            out.extend(counts.into_iter().zip(flags.into_iter().map(Flags)));
            start += run;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::tests::unforked;
    use crate::skip::{Need, skip};
    use crate::sys::affinity;

    #[test]
    fn an_untouched_page_is_not_present_and_a_touched_one_is() {
        let area = unforked(3);
        let pagemap = Pagemap::own().unwrap();
        assert!(pagemap.read(&area).unwrap().iter().all(|e| !e.present()));
        area.fill(1);
        let entries = pagemap.read(&area).unwrap();
        assert!(
            entries
                .iter()
                .all(|e| e.present() && e.mapped_once() && !e.file())
        );
    }

    #[test]
    fn frames_tell_mapcount_and_flags() {
        // The batch that is drained below is that of the CPU on which it is drained.
        let here = affinity::allowed(0).unwrap()[0];
        affinity::pin(here).unwrap();
        let area = unforked(70);
        area.fill(1);
        let pfns: Option<Vec<u64>> = Pagemap::own()
            .unwrap()
            .read(&area)
            .unwrap()
            .iter()
            .map(|e| e.pfn())
            .collect();
        let (Some(pfns), Ok(frames)) = (pfns, Frames::open()) else {
            skip(Need::Root, "page frame numbers are hidden");
            return;
        };
        crate::memory::area::drain_lru_batch().unwrap();
        for (count, flags) in frames.read(&pfns).unwrap() {
            assert_eq!(count, 1);
            assert!(flags.anon() && flags.lru() && !flags.large() && !flags.zero());
        }
    }
}
