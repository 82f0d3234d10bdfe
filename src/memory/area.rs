//! The memory that is stored to: one private anonymous mapping, its data and the check of that data.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

use super::MemoryError;

pub use crate::sys::page_size;

/// What a page holds before it is stored to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Zeroes: nothing was ever stored to the page.
    Zero,
    /// The pattern of [`Area::fill`] with this tag.
    Filled(u64),
}

impl Content {
    /// The word that page `page` holds at its start and at its end.
    pub fn word(self, page: usize) -> u64 {
        self.at(page, 0)
    }

    /// The word at the start of cache line `line` of page `page`.
    pub fn at(self, page: usize, line: usize) -> u64 {
        match self {
            Content::Zero => 0,
            Content::Filled(tag) => mix(tag, page).wrapping_add(line as u64),
        }
    }
}

/// Bytes between two words of the pattern: a cache line, so that a page of which a part was not copied is noticed.
pub(super) const LINE: usize = 64;

/// A word that tells page and tag, so that a page in the wrong place is noticed.
fn mix(tag: u64, page: usize) -> u64 {
    (tag.wrapping_add(page as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15))
        | 1
}

/// The word that a timed store with `tag` leaves at the start of page `page`.
#[inline(always)]
pub fn stored_word(tag: u64, page: usize) -> u64 {
    tag.wrapping_add(page as u64)
}

/// A private mapping between inaccessible pages, which keep it from merging with a neighbour. Unmapped on
/// drop. Where its folios are larger than a page, a "page" here is one folio, of whose pages the first is
/// stored to.
pub struct Area {
    base: NonNull<u8>,
    pages: usize,
    page: usize,
    /// Bytes of a folio.
    folio: usize,
    /// Bytes from the start of a folio that hold data.
    data_bytes: usize,
    reserved: NonNull<u8>,
    reserved_len: usize,
}

impl Area {
    /// Maps `pages` anonymous pages without touching them; no huge pages.
    pub fn map(pages: usize) -> Result<Self, MemoryError> {
        let area = Self::reserve(page_size(), pages)?;
        // SAFETY: base and length lie within the mapping just made, which nothing else uses yet.
        unsafe {
            mprotect(
                area.base.cast(),
                area.len(),
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            )
            .map_err(|e| too_much(area.len(), e))?;
        }
        without_huge_pages(&area)?;
        Ok(area)
    }

    /// Reserves inaccessible address space for `pages` units of `page` bytes, aligned to a unit, with an
    /// inaccessible rest at both ends.
    pub(super) fn reserve(page: usize, pages: usize) -> Result<Self, MemoryError> {
        let slack = if page > page_size() {
            2 * page.max(2 << 20)
        } else {
            0
        };
        let align = if slack == 0 { page } else { slack / 2 };
        let reserved_len = pages * page + slack + 2 * page_size();
        let whole = NonZeroUsize::new(reserved_len).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches no memory in use.
        let reserved = unsafe {
            mmap_anonymous(
                None,
                whole,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }
        .map_err(|e| too_much(reserved_len, e))?
        .cast::<u8>();
        let first = reserved.as_ptr() as usize + page_size();
        let offset = first.next_multiple_of(align) - reserved.as_ptr() as usize;
        // SAFETY: at most a page and `align` into a mapping that is longer than that by the area.
        let base = unsafe { reserved.add(offset) };
        Ok(Area {
            base,
            pages,
            page,
            folio: page,
            data_bytes: page,
            reserved,
            reserved_len,
        })
    }

    /// Bytes from one page (or folio) to the next.
    pub fn stride(&self) -> usize {
        self.page
    }

    /// Bytes of a folio, whichever of its pages are stored to.
    pub fn folio_bytes(&self) -> usize {
        self.folio
    }

    /// Where each folio begins, in bytes from the start.
    pub fn folios(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.len()).step_by(self.folio)
    }

    /// Has each 4 KiB page of a folio be a "page" of its own; call it before [`Area::fill`].
    pub fn store_to_every_page(&mut self) {
        self.pages = self.len() / page_size();
        self.page = page_size();
        self.data_bytes = page_size();
    }

    /// Has only the first `data_bytes` bytes of each folio hold data; call it before [`Area::fill`].
    pub fn set_data_bytes(&mut self, data_bytes: usize) {
        self.data_bytes = data_bytes.clamp(16, self.page);
    }

    /// Pages of each folio that hold data, as [`Area::set_data_bytes`] has it: those that are mapped.
    pub fn data_pages(&self) -> usize {
        self.data_bytes.div_ceil(page_size())
    }

    /// Takes the area's write permission away by mprotect(2) and gives it back; tells by `now` how long both calls took.
    pub fn protect_timed(&self, now: impl Fn() -> u64) -> Result<u64, MemoryError> {
        let all = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let start = now();
        // SAFETY: base and length are those of the area, which is private and writable; nobody stores to it between the calls.
        let done = unsafe {
            mprotect(self.base.cast(), self.len(), ProtFlags::PROT_READ)
                .and_then(|()| mprotect(self.base.cast(), self.len(), all))
        };
        let took = now() - start;
        done.map_err(|e| MemoryError::refused("mprotect()", e))?;
        Ok(took)
    }

    /// Unmaps the area and tells by `now` how long that took; the address space stays reserved.
    pub fn unmap_timed(&self, now: impl Fn() -> u64) -> Result<u64, MemoryError> {
        let start = now();
        // SAFETY: base and length are those of the area; nobody uses it afterwards but Drop.
        let unmapped = unsafe { munmap(self.base.cast(), self.len()) };
        let took = now() - start;
        unmapped.map_err(|e| MemoryError::refused("munmap()", e))?;
        let length = NonZeroUsize::new(self.len()).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: the range was unmapped just now and this process has one thread, so nothing lies there.
        unsafe {
            mmap_anonymous(
                std::num::NonZero::new(self.base() as usize),
                length,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED,
            )
        }
        .map_err(|e| MemoryError::refused("reserving address space again", e))?;
        Ok(took)
    }

    /// Address of the first page.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.pages * self.page
    }

    /// True for an area of no pages.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    pub(super) fn first(&self, page: usize) -> *mut u64 {
        debug_assert!(page < self.pages);
        self.base().wrapping_add(page * self.page).cast()
    }

    fn last(&self, page: usize) -> *mut u64 {
        self.first(page).wrapping_add(self.data_bytes / 8 - 1)
    }

    /// The first word of cache line `line` of page `page`.
    pub(super) fn line(&self, page: usize, line: usize) -> *mut u64 {
        self.first(page).wrapping_add(line * LINE / 8)
    }

    /// Cache lines of each page that hold data.
    pub(super) fn lines(&self) -> usize {
        self.data_bytes.div_ceil(LINE)
    }

    /// Stores the pattern with `tag` to every cache line of every page, and to the last word.
    pub fn fill(&self, tag: u64) {
        let content = Content::Filled(tag);
        for page in 0..self.pages {
            for line in 0..self.lines() {
                // SAFETY: the address lies inside page `page` of the mapping that self owns.
                unsafe { self.line(page, line).write_volatile(content.at(page, line)) };
            }
            // SAFETY: as above.
            unsafe { self.last(page).write_volatile(content.word(page)) };
        }
    }

    /// Fills, as [`Area::fill`] does, the memory of so many pages that a file will hold.
    pub(super) fn filled_bytes(tag: u64, pages: usize) -> Vec<u8> {
        let content = Content::Filled(tag);
        let mut data = vec![0; pages * page_size()];
        for (number, page) in data.chunks_exact_mut(page_size()).enumerate() {
            for (line, bytes) in page.chunks_exact_mut(LINE).enumerate() {
                bytes[..8].copy_from_slice(&content.at(number, line).to_ne_bytes());
            }
            let last = page.len() - 8;
            page[last..].copy_from_slice(&content.word(number).to_ne_bytes());
        }
        data
    }

    /// Reads every page once, so that its PTE is present and young.
    pub fn read(&self) {
        for page in 0..self.pages {
            // SAFETY: the address lies inside page `page` of the mapping that self owns.
            unsafe { self.first(page).read_volatile() };
        }
    }

    /// Drops every page: the area reads as zeroes again.
    pub fn drop_pages(&self) -> Result<(), MemoryError> {
        let Some(base) = NonNull::new(self.base()) else {
            return Ok(());
        };
        // SAFETY: base and length lie within the mapping that self owns.
        unsafe { madvise(base.cast(), self.len(), MmapAdvise::MADV_DONTNEED) }
            .map_err(|e| MemoryError::refused("madvise(MADV_DONTNEED)", e))
    }

    /// Stores the word of a timed store with `tag` to every page, untimed.
    pub fn store(&self, tag: u64) {
        for page in 0..self.pages {
            // SAFETY: the address lies inside page `page` of the mapping that self owns.
            unsafe {
                self.first(page).write_volatile(stored_word(tag, page));
            }
        }
    }

    /// Counts the words that are not as they must be: the first word of each page is the store
    /// `stored` where one was made and `content` otherwise, the last word and that of every other cache line
    /// always `content`. Reads [`Area::words_checked`] words.
    pub fn violations(&self, content: Content, stored: Option<u64>) -> u64 {
        let pages = 0..self.pages;
        pages
            .map(|page| self.violations_of(page, content, stored))
            .sum()
    }

    /// The same of one page.
    pub fn violations_of(&self, page: usize, content: Content, stored: Option<u64>) -> u64 {
        let mut wrong = 0;
        for line in 0..self.lines() {
            let due = match (line, stored) {
                (0, Some(tag)) => stored_word(tag, page),
                _ => content.at(page, line),
            };
            // SAFETY: the address lies inside page `page` of the mapping that self owns.
            wrong += u64::from(unsafe { self.line(page, line).read_volatile() } != due);
        }
        // SAFETY: as above.
        let last = unsafe { self.last(page).read_volatile() };
        wrong + u64::from(last != content.word(page))
    }

    /// Pages of which everything behind the first word reads as zeroes, as of one that the kernel has taken away.
    pub fn emptied(&self) -> usize {
        let zero = |page: usize| {
            (1..self.lines()).all(|line| {
                // SAFETY: the address lies inside page `page` of the mapping that self owns.
                unsafe { self.line(page, line).read_volatile() == 0 }
            })
        };
        (0..self.pages).filter(|&page| zero(page)).count()
    }

    /// How many words [`Area::violations`] compares.
    pub fn words_checked(&self) -> u64 {
        (self.pages * (self.lines() + 1)) as u64
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping that `reserve` made and self owns.
        // Failure would only leak address space of a process that is about to end.
        let _ = unsafe { munmap(self.reserved.cast(), self.reserved_len) };
    }
}

/// Asks the kernel for pages of 4 KiB alone.
pub(super) fn without_huge_pages(area: &Area) -> Result<(), MemoryError> {
    // SAFETY: base and length are those of the area's mapping; the advice changes no data.
    match unsafe { madvise(area.base.cast(), area.len(), MmapAdvise::MADV_NOHUGEPAGE) } {
        // EINVAL: a kernel without transparent huge pages has none to avoid.
        Ok(()) | Err(nix::Error::EINVAL) => Ok(()),
        Err(e) => Err(MemoryError::refused("madvise(MADV_NOHUGEPAGE)", e)),
    }
}

fn too_much(bytes: usize, source: nix::Error) -> MemoryError {
    MemoryError::Refused {
        what: format!("mapping {} KiB", bytes / 1024),
        source: source.into(),
        mend: "allow more address space (ulimit -v) or ask for fewer --pages".into(),
    }
}

// SAFETY: the mapping is owned, never moves, and is written to through atomics or by one side at a time.
unsafe impl Sync for SharedWords {}

// SAFETY: what an area's pages hold is read and written with volatile accesses to raw addresses only; the
// fields do not change.
unsafe impl Sync for Area {}

/// Memory that stays shared over fork and is backed before anything is timed: where samples go.
pub struct SharedWords {
    base: NonNull<u64>,
    words: usize,
}

impl SharedWords {
    /// Maps and touches `words` zeroed words.
    pub fn map(words: usize) -> Result<Self, MemoryError> {
        let length = NonZeroUsize::new(words * 8).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: a new anonymous mapping at an address that the kernel chooses touches no memory in use.
        let base = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )
        }
        .map_err(|e| MemoryError::refused("mapping the sample buffer", e))?
        .cast::<u64>();
        let this = SharedWords { base, words };
        this.touch();
        Ok(this)
    }

    /// Writes to every page of the buffer through this process's own page table.
    pub fn touch(&self) {
        for word in (0..self.words).step_by(page_size() / 8) {
            // SAFETY: word < self.words, inside the mapping that self owns.
            unsafe { self.base.as_ptr().add(word).write_volatile(0) };
        }
    }

    /// Reads from every page of the buffer through this process's own page table.
    pub fn read(&self) {
        for word in (0..self.words).step_by(page_size() / 8) {
            // SAFETY: word < self.words, inside the mapping that self owns.
            unsafe { self.base.as_ptr().add(word).read_volatile() };
        }
    }

    /// Address of the first word.
    pub fn as_ptr(&self) -> *mut u64 {
        self.base.as_ptr()
    }

    /// Word `at`, for several threads or processes to use at once.
    ///
    /// # Panics
    /// When there are not so many words.
    #[inline]
    pub fn atomic(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.words);
        // SAFETY: inside the mapping that self owns, aligned; while it is shared, every access to it
        // goes through this function or happens after the other side has finished.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at)) }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.words
    }

    /// True for a buffer of no words.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// Sets every word to zero. Nothing may be using them meanwhile.
    pub fn clear(&self) {
        // SAFETY: base and length are those of the mapping that self owns.
        unsafe { self.base.as_ptr().write_bytes(0, self.words) };
    }

    /// The words. Nothing may be storing to them meanwhile.
    pub fn as_slice(&self) -> &[u64] {
        // SAFETY: the mapping is self.words long and initialised; writers (the timed loop, a sharer
        // that has replied) have finished before a caller can hold this borrow.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping that self owns.
        let _ = unsafe { munmap(self.base.cast(), self.words * 8) };
    }
}

/// Empties this CPU's LRU batch: it holds a reference on each fresh page, and on 5.9 to 5.17 that
/// alone turns a reuse into a copy. Touching more pages than a batch has and unmapping them does it.
pub fn drain_lru_batch() -> Result<(), MemoryError> {
    let ballast = Area::map(64)?;
    ballast.fill(0);
    Ok(())
}

/// How many mappings (VMAs) the area consists of.
pub fn vma_count(area: &Area) -> Result<usize, MemoryError> {
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|e| MemoryError::refused("reading /proc/self/maps", e))?;
    let (start, end) = (area.base() as u64, area.base() as u64 + area.len() as u64);
    let overlaps = |line: &str| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16));
        Some(from.ok()? < end && to.ok()? > start)
    };
    Ok(maps
        .lines()
        .filter(|line| overlaps(line) == Some(true))
        .count())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An area that no process forked by another test shares. Tests are threads of one process: without this,
    /// a fork in one of them makes the pages of all others copy on write.
    pub fn unforked(pages: usize) -> Area {
        let area = Area::map(pages).unwrap();
        let base = NonNull::new(area.base().cast()).unwrap();
        // SAFETY: the whole of a live mapping, whose content the advice does not change.
        unsafe { madvise(base, area.len(), MmapAdvise::MADV_DONTFORK) }.unwrap();
        area
    }

    #[test]
    fn a_filled_area_checks_out_and_a_changed_word_is_noticed() {
        let area = Area::map(8).unwrap();
        assert_eq!(area.violations(Content::Zero, None), 0);
        area.fill(7);
        assert_eq!(area.violations(Content::Filled(7), None), 0);
        assert_eq!(
            area.violations(Content::Filled(8), None),
            area.words_checked()
        );
        area.store(100);
        assert_eq!(area.violations(Content::Filled(7), Some(100)), 0);
        assert_eq!(area.violations(Content::Filled(7), None), 8);
        // SAFETY: the last word of page 3 of a live area, and one in the midst of page 5.
        unsafe {
            area.last(3).write_volatile(0);
            area.line(5, 37).write_volatile(0);
        }
        assert_eq!(area.violations(Content::Filled(7), Some(100)), 2);
        assert_eq!(area.emptied(), 0);
        area.drop_pages().unwrap();
        area.store(100);
        assert_eq!(area.emptied(), 8);
    }

    #[test]
    fn an_area_is_one_vma() {
        let (one, two) = (Area::map(4).unwrap(), Area::map(4).unwrap());
        assert_eq!(vma_count(&one).unwrap(), 1);
        assert_eq!(vma_count(&two).unwrap(), 1);
    }
}
