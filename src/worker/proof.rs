//! Proofs of page states that concern more than one 4 KiB page: folios, files, merged and swapped pages.

use nix::unistd::Pid;

use crate::machine::folios::thp_allowed;
use crate::machine::kernel::counts_pages_of_folios;
use crate::memory::MemoryError;
use crate::memory::area::{Area, page_size};
use crate::memory::folio::Folio;
use crate::memory::pagemap::{Entry, Flags, Frames};
use crate::memory::smaps::huge_mapped;
use crate::scenario::Mapping;
use crate::sys::missing::Missing;
use crate::sys::privilege::Privilege;

/// What is known of the pages to be proven.
pub struct PageFacts<'a> {
    /// The pages.
    pub area: &'a Area,
    /// The size of their folios.
    pub folio: Folio,
    /// The process that maps them, where it is not this one.
    pub pid: Option<Pid>,
    /// Its pagemap, of each folio the first page.
    pub entries: &'a [Entry],
    /// The files that tell of page frames.
    pub frames: &'a Frames,
    /// What the page tables of this process and of the one that shares the area say of each 4 KiB page of it, where that is
    /// part of the state.
    pub both: Option<(&'a [Entry], &'a [Entry])>,
}

/// Proves that folios are of the size under test, as a whole and at their place, and mapped as `mapping`
/// says; tells what was proven.
///
/// A large folio shows in kpageflags as one head followed by tails; whether one PMD maps it shows in smaps.
///
/// # Errors
/// The first folio that is otherwise.
pub fn folios(witness: &PageFacts, mapping: Mapping) -> Result<String, MemoryError> {
    let count = witness.folio.bytes() / page_size();
    let mut by = MapCount::OfThePage;
    for (page, entry) in witness.entries.iter().enumerate() {
        let not = |found: String| {
            Err(MemoryError::NotReached {
                page,
                expected: format!("{} ({})", mapping.label(), witness.folio),
                found,
            })
        };
        let Some(pfn) = entry.pfn() else {
            return not("no page frame number (needs CAP_SYS_ADMIN)".into());
        };
        // One frame more, to see that the folio ends where it should.
        let run: Vec<u64> = (pfn..=pfn + count as u64).collect();
        let frames = witness.frames.read(&run)?;
        let found = size(&frames);
        if found != count {
            let right = format!(
                "a folio of {} KiB{}",
                found * page_size() / 1024,
                larger(witness.folio)
            );
            return not(right);
        }
        let (mapped, flags) = frames[0];
        let tells = |times: u32, pages| {
            let due = Mapped {
                processes: times.into(),
                pages,
                of: count,
            };
            MapCount::tells(mapped, due, *entry, counts_pages_of_folios())
        };
        let told = match mapping {
            Mapping::Folio(times) => tells(times, count),
            Mapping::PteMapped(times) => tells(times, witness.area.data_pages()),
            // The page tables of both processes tell.
            _ => Some(MapCount::OfThePage),
        };
        let pool = matches!(witness.folio, Folio::Hugetlb(_));
        let Some(told) = told.filter(|_| flags.anon() && flags.hugetlb() == pool) else {
            let once = entry.mapped_once();
            return not(format!("mapcount {mapped}, mapped once {once}, {flags:x?}"));
        };
        by = by.max(told);
    }
    if mapping == Mapping::HalfShared {
        half_shared(witness, mapping, count)?;
    }
    let mut proven = format!(
        "kpageflags: whole folios of {}; kpagecount{}: {}",
        witness.folio,
        by.label(),
        mapping.label()
    );
    if let Some(huge) = expected_huge(witness.area, witness.folio, mapping) {
        let found = huge_mapped(witness.area, witness.pid)?;
        if found != huge {
            return Err(MemoryError::NotReached {
                page: 0,
                expected: format!("{huge} KiB mapped by PMDs"),
                found: format!("{found} KiB"),
            });
        }
        proven += &format!("; smaps: {huge} KiB mapped by PMDs");
    }
    Ok(proven)
}

/// That of each folio of `count` pages the process that shares the area maps the second half, and nothing of the first.
fn half_shared(witness: &PageFacts, mapping: Mapping, count: usize) -> Result<(), MemoryError> {
    let (own, others) = witness.both.unwrap_or_default();
    for (page, (own, other)) in own.iter().zip(others).enumerate() {
        let fits = match page % count < count / 2 {
            true => own.present() && !other.present(),
            false => own.present() && own.pfn().is_some() && own.pfn() == other.pfn(),
        };
        if !fits {
            return Err(MemoryError::NotReached {
                page: page / count,
                expected: mapping.label(),
                found: format!(
                    "4 KiB page {} of it present {}, in the other process {}",
                    page % count,
                    own.present(),
                    other.present()
                ),
            });
        }
    }
    match own.is_empty() || own.len() != others.len() {
        true => Err(MemoryError::Unsupported(format!(
            "{} needs another process's page table; found: none",
            mapping.label()
        ))),
        false => Ok(()),
    }
}

/// What kpagecount has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MapCount {
    /// How often the page is mapped.
    OfThePage,
    /// How often the page is mapped, or the folio's pages on average: which of them the kernel does not say, and both are this.
    OfEither,
    /// How often the folio's pages are mapped on average: kernels with CONFIG_NO_PAGE_MAPCOUNT (6.15) know no more. Whether
    /// only one process maps the folio is told by pagemap then.
    Average,
    /// The same, and pagemap cannot tell that only one process maps the folio: the kernel keeps account of two processes, and a
    /// third had mapped it (folio_maybe_mapped_shared(), include/linux/mm.h of 7.2). One more that maps as much of it would
    /// show in the average.
    AverageAlone,
}

/// A folio and how it is to be mapped.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    /// Processes that map it.
    processes: u64,
    /// Pages of it that each maps.
    pages: usize,
    /// Pages that it has.
    of: usize,
}

impl Mapped {
    /// What kpagecount says where it counts no page of a large folio: folio_average_page_mapcount(), fs/proc/internal.h of
    /// 7.2 and 7.3, rounded, and 1 at least.
    fn average(self) -> u64 {
        let of = self.of as u64;
        ((self.processes * self.pages as u64 + of / 2) / of).max(1)
    }

    /// Whether one process more would be seen.
    fn is_apart(self) -> bool {
        let processes = self.processes + 1;
        Mapped { processes, ..self }.average() > self.average()
    }
}

impl MapCount {
    /// Whether `found` is the count of a folio that is mapped so, by the process of `entry` among others, on a kernel that does
    /// or does not count the pages of folios.
    fn tells(found: u64, mapped: Mapped, entry: Entry, counts_pages: Option<bool>) -> Option<Self> {
        let alone = mapped.processes == 1;
        let agrees = entry.mapped_once() == alone;
        let of_page = found == mapped.processes && counts_pages != Some(false);
        let average = found == mapped.average() && counts_pages != Some(true);
        match (of_page, average) {
            (true, true) if agrees => Some(Self::OfEither),
            (true, false) if agrees => Some(Self::OfThePage),
            (false, true) if agrees => Some(Self::Average),
            (false, true) if alone && mapped.is_apart() => Some(Self::AverageAlone),
            _ => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::OfThePage => "",
            Self::OfEither => " (of the page, or of the folio on average) and pagemap",
            Self::Average => " (of the folio on average) and pagemap",
            Self::AverageAlone => {
                " (of the folio on average; to pagemap it is perhaps shared, as after a third process)"
            }
        }
    }
}

/// Proves that stores to untouched memory were given whole folios of the size under test: what a fill made can only be
/// seen afterwards. Tells what was proven. Without page frame numbers smaps tells of folios that one PMD maps.
///
/// # Errors
/// The first folio that is otherwise, or that nothing tells.
pub fn filled(
    area: &Area,
    folio: Folio,
    pid: Option<Pid>,
    after: &[Entry],
    frames: &Result<Frames, MemoryError>,
) -> Result<String, MemoryError> {
    let seen = after.iter().all(|entry| entry.pfn().is_some());
    if let (Ok(frames), true) = (frames, seen) {
        let facts = PageFacts {
            area,
            folio,
            pid,
            entries: after,
            frames,
            both: None,
        };
        let proven = folios(&facts, Mapping::Folio(1))?;
        return Ok(format!("after the stores: {proven}"));
    }
    match folio {
        Folio::Large(kib) if Some(kib) == crate::machine::folios::pmd_kib() => {
            let whole = area.len() as u64 / 1024;
            match huge_mapped(area, pid)? {
                huge if huge == whole => Ok(format!(
                    "after the stores: smaps: {huge} KiB mapped by PMDs"
                )),
                huge => Err(MemoryError::NotReached {
                    page: 0,
                    expected: format!("folios of {folio}, {whole} KiB mapped by PMDs"),
                    found: format!("{huge} KiB{}", larger(folio)),
                }),
            }
        }
        // The pool has pages of this one size.
        Folio::Hugetlb(_) => Ok("the mapping is of hugetlb's pool".into()),
        _ => Err(MemoryError::Unsupported(format!(
            "what size the folios of {folio} have that the stores made cannot be told without page frame numbers: {}",
            no_frames()
        ))),
    }
}

/// Proves that `reused` folios are still mapped by PMDs, if PMDs mapped them: a PMD that was split first was reused by
/// another path than do_huge_pmd_wp_page().
///
/// # Errors
/// That PMDs map less.
pub fn still_huge(
    area: &Area,
    folio: Folio,
    mapping: Mapping,
    pid: Option<Pid>,
    reused: usize,
) -> Result<(), MemoryError> {
    if reused == 0 || !by_pmds(area, folio, mapping) {
        return Ok(());
    }
    let least = (reused * folio.bytes() / 1024) as u64;
    match huge_mapped(area, pid)? {
        huge if huge >= least => Ok(()),
        huge => Err(MemoryError::NotReached {
            page: 0,
            expected: format!("what was reused, {least} KiB, still mapped by PMDs"),
            found: format!("{huge} KiB: PMDs were split"),
        }),
    }
}

/// Whether PMDs map the area before the stores.
pub fn by_pmds(area: &Area, folio: Folio, mapping: Mapping) -> bool {
    expected_huge(area, folio, mapping).is_some_and(|huge| huge > 0)
}

/// How much of the area one PMD each must map; `None` where smaps does not tell.
fn expected_huge(area: &Area, folio: Folio, mapping: Mapping) -> Option<u64> {
    let whole = area.len() as u64 / 1024;
    match (folio, mapping) {
        (Folio::Large(_), Mapping::PteMapped(_) | Mapping::HalfShared) => Some(0),
        (Folio::Large(kib), Mapping::Folio(_))
            if Some(kib) == crate::machine::folios::pmd_kib() =>
        {
            Some(whole)
        }
        (Folio::Large(_), Mapping::Folio(_)) => Some(0),
        _ => None,
    }
}

/// Pages of the folio whose first frame is the first of `frames`; 1 for a small one, 0 inside one.
fn size(frames: &[(u64, Flags)]) -> usize {
    match frames.split_first() {
        Some(((_, first), rest)) if first.head() => {
            1 + rest.iter().take_while(|(_, flags)| flags.tail()).count()
        }
        Some(((_, first), _)) if first.tail() => 0,
        _ => 1,
    }
}

/// Why page frame numbers cannot be seen.
pub(super) fn no_frames() -> Missing {
    Missing::privilege(Privilege::SysAdmin, "pagemap shows no page frame number")
}

/// Why a folio may be of another size than the one asked for.
pub(super) fn larger(folio: Folio) -> String {
    match (folio, thp_allowed()) {
        (Folio::Hugetlb(_), _) => String::new(),
        (_, Err(missing)) => format!(" ({missing})"),
        _ => " (the size must be at madvise or always in /sys/kernel/mm/transparent_hugepage, larger ones at never: --tune sees to that)".into(),
    }
}

/// Whether a page's entry, mapcount and flags are those of `mapping`; for states of single pages.
pub fn single(mapping: Mapping, count: u64, flags: Flags) -> bool {
    match mapping {
        Mapping::Anon(times) => {
            count == u64::from(times) && flags.anon() && flags.lru() && !flags.large()
        }
        Mapping::AnonOfAnySize(times) => count == u64::from(times) && flags.anon() && flags.lru(),
        Mapping::InBatch | Mapping::StaysInBatch => {
            count == 1 && flags.anon() && !flags.lru() && !flags.large()
        }
        Mapping::Merged(times) => count == u64::from(times) && flags.anon() && flags.merged(),
        // The page cache may hold the file in folios of any size.
        Mapping::File => !flags.anon() && !flags.zero(),
        Mapping::Shared => count == 1 && flags.swap_backed() && !flags.anon() && !flags.large(),
        // The huge zero folio has both flags, fs/proc/page.c.
        Mapping::ZeroPage => flags.zero() && !flags.thp(),
        Mapping::HugeZero => flags.zero() && flags.thp(),
        Mapping::None
        | Mapping::Swapped
        | Mapping::Folio(_)
        | Mapping::PteMapped(_)
        | Mapping::HalfShared => true,
    }
}

/// Whether a pagemap entry agrees with `mapping`, as far as anyone may see.
pub fn visible(mapping: Mapping, entry: Entry) -> bool {
    match mapping {
        Mapping::None => !entry.present() && !entry.swapped(),
        Mapping::Swapped => entry.swapped(),
        Mapping::ZeroPage => entry.present() && !entry.mapped_once(),
        Mapping::HugeZero => entry.present(),
        Mapping::File => entry.present() && entry.file(),
        Mapping::Shared => entry.present() && entry.file() && entry.mapped_once(),
        Mapping::InBatch | Mapping::StaysInBatch => {
            entry.present() && !entry.file() && entry.mapped_once()
        }
        Mapping::Anon(times) | Mapping::AnonOfAnySize(times) => {
            entry.present() && !entry.file() && entry.mapped_once() == (times == 1)
        }
        Mapping::Merged(_) | Mapping::Folio(_) | Mapping::PteMapped(_) | Mapping::HalfShared => {
            entry.present() && !entry.file()
        }
    }
}

/// Whether a state is worth nothing without the files that tell of page frames.
pub fn must_be_seen(mapping: Mapping) -> bool {
    matches!(
        mapping,
        Mapping::InBatch
            | Mapping::StaysInBatch
            | Mapping::Merged(_)
            | Mapping::Folio(_)
            | Mapping::PteMapped(_)
            | Mapping::HalfShared
            | Mapping::HugeZero
    )
}

#[cfg(test)]
mod tests {
    use nix::sys::mman::MmapAdvise;

    use super::*;
    use crate::memory::advice::advise;
    use crate::memory::backing::{self, Memory};
    use crate::memory::protect::Protection;
    use crate::skip::{Need, skip};

    /// An area that PMDs map, which no test's child shares.
    fn huge(count: usize) -> Option<(Area, Folio)> {
        let Some(folio) = crate::machine::folios::pmd_kib().map(Folio::Large) else {
            skip(Need::Thp, "no PMD size");
            return None;
        };
        let area = backing::map(Memory::Thp, folio, count, 0).unwrap();
        advise(&area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK").unwrap();
        area.fill(1);
        if huge_mapped(&area, None).unwrap() * 1024 < area.len() as u64 {
            skip(Need::Thp, "no huge pages were given");
            return None;
        }
        Some((area, folio))
    }

    #[test]
    fn a_pmd_that_its_store_splits_is_noticed() {
        let Some((area, folio)) = huge(2) else { return };
        let reused = |count| still_huge(&area, folio, Mapping::Folio(1), None, count);
        assert!(reused(2).is_ok());
        let protection = match Protection::by_uffd(&area) {
            Ok(protection) => protection,
            Err(why) => return skip(Need::UffdWpAsync, why),
        };
        assert!(reused(2).is_ok(), "{} splits nothing", protection.by());
        area.store(9);
        assert!(reused(1).is_err() && reused(0).is_ok());
    }

    #[test]
    fn what_pmds_map_is_protected_without_being_split() {
        let Some((area, folio)) = huge(2) else { return };
        match Protection::apply(&area) {
            Ok(protection) => {
                assert_eq!(protection.by(), "soft-dirty");
                area.store(9);
                still_huge(&area, folio, Mapping::Folio(1), None, 2).unwrap();
            }
            Err(why) => assert!(why.to_string().contains("soft-dirty"), "{why}"),
        }
    }

    const ONCE: Entry = Entry(1 << 63 | 1 << 56);
    const SHARED: Entry = Entry(1 << 63);

    fn tells(
        found: u64,
        processes: u64,
        pages: usize,
        entry: Entry,
        counts_pages: Option<bool>,
    ) -> Option<MapCount> {
        let mapped = Mapped {
            processes,
            pages,
            of: 512,
        };
        MapCount::tells(found, mapped, entry, counts_pages)
    }

    #[test]
    fn the_count_of_a_page_is_how_often_it_is_mapped() {
        let tells = |found, processes, pages, entry| {
            tells(found, processes, pages, entry, Some(true)).is_some()
        };
        assert!(tells(2, 2, 512, SHARED) && tells(2, 2, 256, SHARED) && tells(1, 1, 1, ONCE));
        assert!(!tells(1, 2, 256, SHARED), "an average is no count");
        assert!(!tells(1, 1, 512, SHARED), "pagemap says otherwise");
        assert!(!tells(2, 1, 512, SHARED) && !tells(1, 2, 512, ONCE));
    }

    #[test]
    fn an_average_tells_how_often_a_folio_is_mapped_where_pagemap_agrees() {
        let tells =
            |found, processes, pages, entry| tells(found, processes, pages, entry, Some(false));
        let average = Some(MapCount::Average);
        assert_eq!(tells(2, 2, 512, SHARED), average);
        // Half of it in each of two processes: 512 mappings of 512 pages.
        assert_eq!(tells(1, 2, 256, SHARED), average);
        assert_eq!(tells(2, 2, 256, SHARED), None, "a count is no average");
        assert_eq!(tells(1, 2, 256, ONCE), None, "one process maps it");
        assert_eq!(tells(1, 2, 512, SHARED), None);
        // One page in one process counts as one, however large the folio is.
        assert_eq!(tells(1, 1, 1, ONCE), average);
        assert_eq!(tells(1, 3, 1, SHARED), average);
    }

    #[test]
    fn a_folio_that_pagemap_takes_for_shared_is_one_process_s_if_the_average_would_show_another() {
        let tells = |found, pages| tells(found, 1, pages, SHARED, Some(false));
        assert_eq!(tells(1, 512), Some(MapCount::AverageAlone));
        assert_eq!(tells(2, 512), None, "two processes map it");
        // Another that maps half of it, too, leaves the average at 1.
        assert_eq!(tells(1, 256), None);
        assert_eq!(tells(1, 1), None);
    }

    #[test]
    fn what_the_kernel_counts_is_left_open_where_it_does_not_say() {
        let tells = |found, processes, pages, entry| tells(found, processes, pages, entry, None);
        assert_eq!(tells(2, 2, 512, SHARED), Some(MapCount::OfEither));
        assert_eq!(tells(2, 2, 256, SHARED), Some(MapCount::OfThePage));
        assert_eq!(tells(1, 2, 256, SHARED), Some(MapCount::Average));
        assert_eq!(tells(1, 1, 512, SHARED), None);
    }

    #[test]
    fn the_small_zero_page_is_not_the_huge_zero_folio() {
        let (small, huge) = (Flags(1 << 24), Flags(1 << 24 | 1 << 22));
        assert!(single(Mapping::ZeroPage, 1, small) && !single(Mapping::ZeroPage, 1, huge));
        assert!(single(Mapping::HugeZero, 1, huge) && !single(Mapping::HugeZero, 1, small));
    }

    #[test]
    fn a_folio_is_a_head_and_the_tails_that_follow() {
        let (head, tail, small) = (Flags(1 << 15), Flags(1 << 16), Flags(0));
        let sized = |flags: &[Flags]| {
            let frames: Vec<_> = flags.iter().map(|&flags| (1, flags)).collect();
            size(&frames)
        };
        assert_eq!(sized(&[head, tail, tail, tail, head]), 4);
        assert_eq!(sized(&[head, tail, tail, tail, tail]), 5);
        assert_eq!(sized(&[small, small]), 1);
        assert_eq!(sized(&[tail, tail]), 0);
    }
}
