//! Lists of CPUs as the kernel writes them: `0-3,8`.

use std::num::ParseIntError;

/// Larger ids are refused: no kernel is built for more CPUs (`NR_CPUS` is at most 8192), and a typing error in a
/// range must not fill the memory.
pub const MAX_CPU: u32 = 65_535;

/// A text that is not a list of CPUs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuListError {
    /// A part is not a number.
    #[error("CPU list: {part:?} is not a number ({source})")]
    Number {
        /// The offending part.
        part: String,
        /// Why it is not.
        source: ParseIntError,
    },
    /// A range ends before it begins.
    #[error("CPU list: range {first}-{last} is backwards")]
    Backwards {
        /// Where the range begins.
        first: u32,
        /// Where it ends.
        last: u32,
    },
    /// An id above [`MAX_CPU`].
    #[error("CPU list: {id} is larger than {MAX_CPU}")]
    TooLarge {
        /// The offending id.
        id: u32,
    },
}

/// Parses a list such as `0-3,8` (cpuset(7), "List format"), also with a stride as in `0-31:2/4`, into ascending ids
/// without repetitions. The empty text is the empty list.
///
/// # Errors
/// One [`CpuListError`] for the first part that is wrong.
pub fn parse(text: &str) -> Result<Vec<u32>, CpuListError> {
    let mut cpus = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (range, stride) = part.split_once(':').unwrap_or((part, "1/1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (id(first)?, id(last)?);
        if first > last {
            return Err(CpuListError::Backwards { first, last });
        }
        let (used, group) = stride.split_once('/').unwrap_or((stride, stride));
        let (used, group) = (number(used)?, number(group)?.max(1));
        cpus.extend((first..=last).filter(|cpu| (cpu - first) % group < used));
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Writes ascending ids as the kernel does: `0-3,8`.
pub fn format(cpus: &[u32]) -> String {
    let runs = cpus.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let parts = runs.map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn id(text: &str) -> Result<u32, CpuListError> {
    let id = number(text)?;
    if id > MAX_CPU {
        Err(CpuListError::TooLarge { id })
    } else {
        Ok(id)
    }
}

fn number(text: &str) -> Result<u32, CpuListError> {
    let text = text.trim();
    text.parse().map_err(|source| CpuListError::Number {
        part: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_and_single_ids_are_ascending_without_repetitions() {
        assert_eq!(parse("8,0-3,2\n").unwrap(), [0, 1, 2, 3, 8]);
        assert_eq!(parse("").unwrap(), [0u32; 0]);
        assert_eq!(parse("\n").unwrap(), [0u32; 0]);
    }

    #[test]
    fn a_stride_takes_the_first_of_each_group() {
        assert_eq!(parse("0-7:1/4").unwrap(), [0, 4]);
        assert_eq!(parse("0-7:2/4").unwrap(), [0, 1, 4, 5]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            parse("3-1"),
            Err(CpuListError::Backwards { first: 3, last: 1 })
        );
        assert_eq!(
            parse("0-4000000000"),
            Err(CpuListError::TooLarge { id: 4_000_000_000 })
        );
        let message = parse("0,x").unwrap_err().to_string();
        assert!(message.contains("\"x\" is not a number"), "{message}");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(cpus in prop::collection::btree_set(0..=MAX_CPU, 0..64)) {
            let cpus: Vec<u32> = cpus.into_iter().collect();
            prop_assert_eq!(parse(&format(&cpus)).unwrap(), cpus);
        }

        #[test]
        fn neighbours_are_written_as_one_range(first in 0..1000u32, more in 1..1000u32) {
            let cpus: Vec<u32> = (first..=first + more).collect();
            prop_assert_eq!(format(&cpus), std::format!("{first}-{}", first + more));
        }

        #[test]
        fn no_text_panics_and_every_list_is_ascending(text in "[0-9,:/ x-]{0,24}") {
            if let Ok(cpus) = parse(&text) {
                let sorted: Vec<u32> = cpus.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
                prop_assert_eq!(cpus, sorted);
            }
        }
    }
}
