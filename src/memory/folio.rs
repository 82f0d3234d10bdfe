//! The kinds of folios that an area consists of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::area::page_size;
use crate::record::folio::FolioSize;

/// The folios under test, as this kernel has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Folio {
    /// One page.
    Page,
    /// An anonymous large folio of this many KiB: a PMD's size, or a multi-size THP.
    Large(u64),
    /// A page of hugetlb's pool of this many KiB.
    Hugetlb(u64),
}

impl Folio {
    /// Its length in bytes.
    pub fn bytes(self) -> usize {
        self.size().kib as usize * 1024
    }

    /// Its size.
    pub fn size(self) -> FolioSize {
        match self {
            Folio::Page => FolioSize::of_kib(page_size() as u64 / 1024),
            Folio::Large(kib) => FolioSize::of_kib(kib),
            Folio::Hugetlb(kib) => FolioSize { kib, pool: true },
        }
    }
}

impl TryFrom<FolioSize> for Folio {
    type Error = String;

    /// What has that size here.
    fn try_from(size: FolioSize) -> Result<Self, String> {
        let page = Folio::Page.size();
        match size {
            FolioSize { kib, .. } if kib < page.kib => Err(format!(
                "`{size}` is no folio size: a power of two of at least a page ({page}) is needed"
            )),
            FolioSize { kib, pool: true } => Ok(Folio::Hugetlb(kib)),
            size if size == page => Ok(Folio::Page),
            FolioSize { kib, .. } => Ok(Folio::Large(kib)),
        }
    }
}

impl fmt::Display for Folio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.size().fmt(f)
    }
}

impl FromStr for Folio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<FolioSize>()?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_page_or_more() {
        let page = Folio::Page.to_string();
        assert_eq!(page.parse(), Ok(Folio::Page));
        assert_eq!("2m".parse(), Ok(Folio::Large(2048)));
        assert_eq!("hugetlb-2m".parse(), Ok(Folio::Hugetlb(2048)));
        let why = "1k".parse::<Folio>().unwrap_err();
        assert!(why.contains(&format!("at least a page ({page})")), "{why}");
    }
}
