//! How many pages or folios an area has.

use crate::memory::area::page_size;
use crate::memory::folio::Folio;
use crate::scenario::Scenario;

/// Folios in an area of 2 MiB folios at least: fewer would give too few stores.
const FEWEST_LARGE: usize = 16;

/// The same of hugetlb's pool, which is dear.
const FEWEST_POOLED: usize = 8;

/// How many pages the area has, or folios where they are larger and one page of each is stored to: as many as the pages
/// asked for make up.
pub fn units(scenario: &Scenario, folio: Folio, pages: u32) -> usize {
    let pages = pages as usize;
    let folios = (pages * page_size()).div_ceil(folio.bytes());
    let units = match folio {
        _ if scenario.every_page.is_some() => folios * (folio.bytes() / page_size()),
        Folio::Page => pages,
        Folio::Large(_) if scenario.timed.is_whole() => folios.max(2 * FEWEST_LARGE),
        Folio::Large(_) => folios.max(FEWEST_LARGE),
        Folio::Hugetlb(_) => folios.clamp(1, FEWEST_POOLED),
    };
    units
        .max(scenario.min_pages as usize)
        .min(scenario.max_pages as usize)
}

/// Bytes from one of them to the next.
pub fn stride(scenario: &Scenario, folio: Folio) -> usize {
    match scenario.every_page {
        Some(_) => page_size(),
        None => folio.bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue::find;

    #[test]
    fn an_area_is_of_whole_folios_whichever_of_their_pages_are_stored_to() {
        let of = |id, pages| {
            let (scenario, folio) = (find(id).unwrap(), Folio::Large(2048));
            let units = units(scenario, folio, pages);
            (units, units * stride(scenario, folio))
        };
        assert_eq!(of("thp/every-page-child-alive", 600), (1024, 4 << 20));
        assert_eq!(of("thp/child-alive", 600), (16, 32 << 20));
    }
}
