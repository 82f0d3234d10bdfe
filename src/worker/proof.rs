//! Proofs of page states that concern more than one 4 KiB page: folios, files, merged and swapped pages.

use nix::unistd::Pid;

use crate::machine::folios::thp_allowed;
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
        let told = match mapping {
            Mapping::Folio(times) => MapCount::tells(mapped, times.into(), count, count, *entry),
            Mapping::PteMapped(times) => {
                let mapped_pages = witness.area.data_pages();
                MapCount::tells(mapped, times.into(), mapped_pages, count, *entry)
            }
            _ => Some(MapCount::OfThePage),
        };
        let pool = matches!(witness.folio, Folio::Hugetlb(_));
        let Some(told) = told.filter(|_| flags.anon() && flags.hugetlb() == pool) else {
            return not(format!("mapcount {mapped}, {flags:x?}"));
        };
        by = by.max(told);
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

/// What kpagecount has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MapCount {
    /// How often the page is mapped.
    OfThePage,
    /// How often the folio's pages are mapped on average: kernels with CONFIG_NO_PAGE_MAPCOUNT (6.15) know no more. Whether
    /// only one process maps the folio is told by pagemap then.
    Average,
}

impl MapCount {
    /// Whether `found` is the count of a folio of `pages` pages of which so many processes map `mapped` pages each, the one
    /// of `entry` among them.
    fn tells(
        found: u64,
        processes: u64,
        mapped: usize,
        pages: usize,
        entry: Entry,
    ) -> Option<Self> {
        // folio_average_page_mapcount(), fs/proc/internal.h of 7.2 and 7.3: rounded, and 1 at least.
        let average = ((processes * mapped as u64 + pages as u64 / 2) / pages as u64).max(1);
        if entry.mapped_once() != (processes == 1) {
            return None;
        }
        match found {
            _ if found == processes => Some(Self::OfThePage),
            _ if found == average => Some(Self::Average),
            _ => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::OfThePage => "",
            Self::Average => " (of the folio on average) and pagemap",
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
    let by_pmds = expected_huge(area, folio, mapping).is_some_and(|huge| huge > 0);
    if reused == 0 || !by_pmds {
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

/// How much of the area one PMD each must map; `None` where smaps does not tell.
fn expected_huge(area: &Area, folio: Folio, mapping: Mapping) -> Option<u64> {
    let whole = area.len() as u64 / 1024;
    match (folio, mapping) {
        (Folio::Large(_), Mapping::PteMapped(_)) => Some(0),
        (Folio::Large(kib), _) if Some(kib) == crate::machine::folios::pmd_kib() => Some(whole),
        (Folio::Large(_), _) => Some(0),
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
        Mapping::None | Mapping::Swapped | Mapping::Folio(_) | Mapping::PteMapped(_) => true,
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
        Mapping::Anon(times) => {
            entry.present() && !entry.file() && entry.mapped_once() == (times == 1)
        }
        Mapping::Merged(_) | Mapping::Folio(_) | Mapping::PteMapped(_) => {
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

    #[test]
    fn a_count_of_the_page_or_of_its_folio_on_average_tells_how_often_it_is_mapped() {
        let (once, shared) = (Entry(1 << 63 | 1 << 56), Entry(1 << 63));
        let tells =
            |found, processes, mapped, entry| MapCount::tells(found, processes, mapped, 512, entry);
        let (page, average) = (Some(MapCount::OfThePage), Some(MapCount::Average));
        assert_eq!(tells(2, 2, 512, shared), page);
        // Half of it in each of two processes: 512 mappings of 512 pages.
        assert_eq!(tells(2, 2, 256, shared), page);
        assert_eq!(tells(1, 2, 256, shared), average);
        assert_eq!(tells(1, 2, 256, once), None, "one process maps it");
        assert_eq!(tells(1, 2, 512, shared), None);
        assert_eq!(tells(2, 1, 512, shared), None);
        // One page in one process counts as one, however large the folio is.
        assert_eq!(tells(1, 1, 1, once), page);
        assert_eq!(
            tells(1, 1, 1, shared),
            None,
            "an average of 1 of two processes"
        );
        assert_eq!(tells(1, 3, 1, shared), average);
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
