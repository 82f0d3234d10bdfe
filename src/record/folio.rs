//! The sizes of folios.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A size of folios, which is the same on every machine: `4k` is a page on one and nothing on another.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct FolioSize {
    /// KiB, a power of two.
    pub kib: u64,
    /// Whether it is a page of hugetlb's pool.
    pub pool: bool,
}

impl FolioSize {
    /// A folio that no pool holds.
    pub const fn of_kib(kib: u64) -> Self {
        FolioSize { kib, pool: false }
    }
}

impl fmt::Display for FolioSize {
    /// As `--folio` and run files name it: `4k`, `64k`, `2m`, `hugetlb-2m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pool {
            f.write_str("hugetlb-")?;
        }
        match self.kib {
            kib if kib.is_multiple_of(1 << 20) => write!(f, "{}g", kib >> 20),
            kib if kib.is_multiple_of(1 << 10) => write!(f, "{}m", kib >> 10),
            kib => write!(f, "{kib}k"),
        }
    }
}

impl FromStr for FolioSize {
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
        match kib.is_power_of_two() {
            true => Ok(FolioSize { kib, pool }),
            false => Err(format!(
                "`{text}` is no folio size: a power of two is needed"
            )),
        }
    }
}

impl TryFrom<String> for FolioSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FolioSize> for String {
    fn from(size: FolioSize) -> String {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in [
            "1k",
            "4k",
            "64k",
            "2m",
            "hugetlb-2m",
            "hugetlb-1g",
            "hugetlb-64k",
        ] {
            assert_eq!(text.parse::<FolioSize>().unwrap().to_string(), text);
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
            "hugetlb-3m",
        ] {
            assert!(text.parse::<FolioSize>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = text.parse::<FolioSize>();
        }
    }
}
