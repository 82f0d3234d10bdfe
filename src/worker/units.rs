//! How many pages or folios an area has.

use crate::memory::area::page_size;
use crate::memory::folio::Folio;
use crate::scenario::Scenario;

/// Folios in an area of 2 MiB folios at least: fewer would give too few stores.
const FEWEST_LARGE: usize = 16;

/// The same of hugetlb's pool, which is dear.
const FEWEST_POOLED: usize = 8;

/// How many pages the area has, or folios where they are larger: as many as the pages asked for make up.
pub(super) fn units(scenario: &Scenario, folio: Folio, pages: u32) -> usize {
    let pages = pages as usize;
    let folios = (pages * page_size()).div_ceil(folio.bytes());
    let units = match folio {
        Folio::Page => pages,
        Folio::Large(_) if scenario.timed.is_whole() => folios.max(2 * FEWEST_LARGE),
        Folio::Large(_) => folios.max(FEWEST_LARGE),
        Folio::Hugetlb(_) => folios.clamp(1, FEWEST_POOLED),
    };
    units.min(scenario.max_pages as usize)
}
