//! Every free page of hugetlb's pool, so that a fault which wants another finds none.

use super::MemoryError;
use super::area::Area;
use super::backing::{Memory, map};
use super::folio::Folio;
use crate::machine::folios::free;

/// The pages that were free. Given back on drop.
pub struct DryPool {
    _taken: Option<Area>,
}

impl DryPool {
    /// Takes what is left of the pool of `folio`.
    ///
    /// # Errors
    /// Where somebody else takes pages or gives some back meanwhile.
    pub fn of(folio: Folio) -> Result<Self, MemoryError> {
        let Folio::Hugetlb(kib) = folio else {
            let why = format!("needs a pool of hugetlb's; found: pages of {folio}");
            return Err(MemoryError::Unsupported(why));
        };
        let left = || free(kib).unwrap_or(0) as usize;
        let taken = match left() {
            0 => None,
            pages => {
                let area = map(Memory::Hugetlb, folio, pages, 0)?;
                area.store(0);
                Some(area)
            }
        };
        match left() {
            0 => Ok(DryPool { _taken: taken }),
            pages => Err(MemoryError::NotReached {
                page: 0,
                expected: format!("an empty pool of {folio}"),
                found: format!("{pages} free pages"),
            }),
        }
    }
}
