//! Bounds on every number, list and text of a file that anybody may have written.
//!
//! The check walks what serde writes of the value that was read, so that a number cannot be missed: a key that is added to
//! a type is bounded by what holds for all. Behind it sums over anything in the file fit 64 bits.

mod limits;
mod walk;

use serde::ser::Serialize;
use walk::Walk;

pub use walk::Beyond;

/// Finds the first number, list or text of `file` that is beyond its bound.
///
/// # Errors
/// Its path, and what is there.
pub fn check(file: &impl Serialize) -> Result<(), Beyond> {
    file.serialize(&mut Walk::default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::check;
    use super::limits::{ALL, LONGEST, MOST, TEXT};

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
