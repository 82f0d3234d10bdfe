//! Reading the small files of /proc and /sys, any of which may be absent.

use std::fs;
use std::path::Path;

/// What the kernel prints for a list that nobody has set, such as nohz_full's.
pub(crate) const NULL: &str = "(null)";

/// The file's text without surrounding white space, empty where the kernel has printed a null pointer; `None` when
/// the file is absent or may not be read.
pub(crate) fn read(path: impl AsRef<Path>) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    Some(if text == NULL { "" } else { text }.to_owned())
}

/// The word in brackets, as in `always [madvise] never`; a text without brackets is its own choice.
pub(crate) fn selected(text: &str) -> &str {
    let inner = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    inner.map_or(text, |(word, _)| word)
}

/// Names in a directory, sorted; empty when it is absent or may not be read.
pub(crate) fn names(path: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_word_is_the_one_in_brackets() {
        assert_eq!(selected("always [madvise] never"), "madvise");
        assert_eq!(selected("performance"), "performance");
        assert_eq!(selected("broken [word"), "broken [word");
    }

    #[test]
    fn a_null_pointer_that_the_kernel_prints_reads_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nohz_full");
        fs::write(&path, "  (null)\n").unwrap();
        assert_eq!(read(&path).as_deref(), Some(""));
    }

    #[test]
    fn an_absent_file_reads_as_none_and_an_absent_directory_as_empty() {
        assert_eq!(read("/proc/no/such/file"), None);
        assert!(names("/proc/no/such/directory").is_empty());
    }
}
