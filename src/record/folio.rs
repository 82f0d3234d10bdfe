//! The sizes of folios.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The size of the folios under test.
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
        match self {
            Folio::Page => rustix::param::page_size(),
            Folio::Large(kib) | Folio::Hugetlb(kib) => kib as usize * 1024,
        }
    }
}

impl fmt::Display for Folio {
    /// As `--folio` and run files name it: `4k`, `64k`, `2m`, `hugetlb-2m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Folio::Hugetlb(_)) {
            f.write_str("hugetlb-")?;
        }
        let kib = self.bytes() as u64 / 1024;
        match kib {
            kib if kib.is_multiple_of(1 << 20) => write!(f, "{}g", kib >> 20),
            kib if kib.is_multiple_of(1 << 10) => write!(f, "{}m", kib >> 10),
            kib => write!(f, "{kib}k"),
        }
    }
}

impl FromStr for Folio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a folio size such as 4k, 64k, 2m or hugetlb-2m");
        let (pool, size) = match text.strip_prefix("hugetlb-") {
            Some(size) => (true, size),
            None => (false, text),
        };
        let unit = size.chars().next_back().ok_or_else(wrong)?;
        let shift = match unit {
            'k' => 0,
            'm' => 10,
            'g' => 20,
            _ => return Err(wrong()),
        };
        let number: u64 = size[..size.len() - 1].parse().map_err(|_| wrong())?;
        let kib = number
            .checked_mul(1 << shift)
            .filter(|kib| (1..=1 << 24).contains(kib))
            .ok_or_else(wrong)?;
        let page = Folio::Page.bytes() as u64 / 1024;
        if !kib.is_power_of_two() || kib < page {
            return Err(format!(
                "`{text}` is no folio size: a power of two of at least a page ({page}k) is needed"
            ));
        }
        Ok(if pool {
            Folio::Hugetlb(kib)
        } else if kib as usize * 1024 == Folio::Page.bytes() {
            Folio::Page
        } else {
            Folio::Large(kib)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in [
            "16k",
            "64k",
            "2m",
            "hugetlb-2m",
            "hugetlb-1g",
            "hugetlb-64k",
        ] {
            assert_eq!(text.parse::<Folio>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "k",
            "2",
            "0k",
            "2t",
            "hugetlb-",
            "-2m",
            "99999999999999g",
            "3m",
            "1k",
            "hugetlb-3m",
        ] {
            assert!(text.parse::<Folio>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = text.parse::<Folio>();
        }
    }
}
