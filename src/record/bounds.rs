//! Bounds on every number, list and text of a file that anybody may have written.
//!
//! The check walks what serde writes of the value that was read, so that a number cannot be missed: a key that is added to
//! a type is bounded by what holds for all. Behind it sums over anything in the file fit 64 bits.

mod walk;

use std::fmt;

use serde::ser::{self, Serialize};
use walk::Walk;

/// No number is further from zero, where nothing else is said: so many nanoseconds are three days, so many bytes 256 TiB.
const MOST: u64 = 1 << 48;
/// All numbers of a file add up to no more, so that no sum over some of them overflows, nor over those of 255 files.
const ALL: u64 = 1 << 56;
/// No list or map is longer, where nothing else is said.
const LONGEST: usize = 1 << 14;
/// No text is longer, in bytes, but for histograms.
const TEXT: usize = 1 << 14;

/// The furthest from zero that a number of that struct and key may be.
fn most(holder: &str, key: &str) -> u64 {
    match (holder, key) {
        // It is never counted with.
        (_, "seed") => u64::MAX,
        (_, "threads") => 1 << 12,
        (_, "cpu" | "cpus") => 1 << 16,
        ("Config" | "Measured", "pages") => 1 << 24,
        ("Config", "trials" | "race_trials" | "reps" | "race_reps" | "dear_reps") => 1 << 20,
        ("Measured", "trials") | (_, "index") => 1 << 31,
        // Copies thrown away on one page.
        ("PageTally", "late" | "none") => 1 << 12,
        _ => MOST,
    }
}

/// The most entries that a list or map of that struct and key may have.
fn longest(holder: &str, key: &str) -> usize {
    match (holder, key) {
        ("Measured", "repetitions" | "lost") => 1 << 20,
        // Of a profile: each fault that was followed, and each visit of a function.
        (_, "faults" | "children" | "tree" | "page_table_writes") => 1 << 20,
        _ => LONGEST,
    }
}

/// A number, list or text beyond its bound.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Beyond {
    /// The key, with those that lead to it: `results[3].threads`.
    pub path: String,
    /// What is there and what the most is.
    pub why: String,
}

/// Finds the first number, list or text of `file` that is beyond its bound.
///
/// # Errors
/// Its path, and what is there.
pub fn check(file: &impl Serialize) -> Result<(), Beyond> {
    file.serialize(&mut Walk::default())
}

impl Beyond {
    fn at_last(why: String) -> Self {
        Beyond {
            path: String::new(),
            why,
        }
    }

    /// The same, seen from what holds it under `key`.
    fn under(mut self, key: &str) -> Self {
        let dot = match self.path.as_str() {
            "" => "",
            path if path.starts_with('[') => "",
            _ => ".",
        };
        self.path = format!("{key}{dot}{}", self.path);
        self
    }
}

impl ser::Error for Beyond {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Beyond::at_last(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::{ALL, LONGEST, MOST, TEXT, check};

    #[derive(Default, Serialize)]
    struct File {
        seed: u64,
        threads: Vec<u32>,
        offset: i64,
        share: Option<f64>,
        counters: BTreeMap<String, Vec<Kind>>,
        text: String,
    }

    #[derive(Serialize)]
    enum Kind {
        One(u64),
        Both { a: (f64, u64) },
    }

    fn refused(file: &File) -> String {
        check(file).unwrap_err().to_string()
    }

    #[test]
    fn what_is_beyond_its_bound_is_named_with_its_path() {
        let file = File {
            threads: vec![1, 4_097],
            ..File::default()
        };
        assert_eq!(refused(&file), "threads[1]: 4097 is more than 4096");
        let file = File {
            offset: i64::MIN,
            ..File::default()
        };
        assert!(refused(&file).starts_with("offset: -9223372036854775808 is more than"));
        let within = |kind| File {
            counters: BTreeMap::from([("cycles:k".into(), vec![kind])]),
            ..File::default()
        };
        let path = |kind| check(&within(kind)).unwrap_err().path;
        assert_eq!(path(Kind::One(u64::MAX)), "counters.cycles:k[0].One");
        let pair = |f, n| Kind::Both { a: (f, n) };
        assert_eq!(path(pair(f64::NAN, 1)), "counters.cycles:k[0].a[0]");
        assert_eq!(path(pair(1e308, 1)), "counters.cycles:k[0].a[0]");
        assert_eq!(path(pair(0.5, MOST + 1)), "counters.cycles:k[0].a[1]");
        assert_eq!(check(&within(pair(-0.5, MOST))), Ok(()));
    }

    #[test]
    fn a_seed_may_be_any_number_and_lists_and_texts_have_an_end() {
        let file = File {
            seed: u64::MAX,
            share: Some(-1.0),
            ..File::default()
        };
        assert_eq!(check(&file), Ok(()));
        let file = File {
            threads: vec![1; LONGEST + 1],
            ..File::default()
        };
        assert_eq!(refused(&file), "threads: 16385 entries are more than 16384");
        let file = File {
            text: "x".repeat(TEXT + 1),
            ..File::default()
        };
        assert_eq!(
            refused(&file),
            "text: a text of 16385 bytes is more than 16384"
        );
    }

    #[test]
    fn what_is_within_its_bound_can_be_added_up() {
        let most = vec![MOST; (ALL / MOST) as usize];
        assert_eq!(check(&most), Ok(()));
        let more = [most, vec![1]];
        assert_eq!(check(&more).unwrap_err().path, "[1][0]");
    }
}
