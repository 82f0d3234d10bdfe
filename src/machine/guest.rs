//! Whether this kernel was booted by cowpath as a guest, which holds nothing of value.

/// The word on a guest kernel's command line, and the variable in the environment of its init.
pub const MARKER: &str = "COWPATH_GUEST";

/// True if cowpath booted this kernel. The kernel's command line tells, which no user can forge.
pub fn is_guest() -> bool {
    std::fs::read_to_string("/proc/cmdline").is_ok_and(|words| is_marked(&words))
}

fn is_marked(words: &str) -> bool {
    let marked = |word: &str| word.strip_prefix(MARKER) == Some("=1");
    words.split_whitespace().any(marked)
}

/// Why something that only a guest may do is refused elsewhere; `what` it would do.
pub fn only_in_a_guest(what: &str) -> Result<(), String> {
    match is_guest() {
        true => Ok(()),
        false => Err(format!(
            "{what}: needs a kernel that cowpath booted as a guest; found: none (no {MARKER}=1 in /proc/cmdline)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_by_a_whole_word_of_the_kernels_command_line() {
        assert!(is_marked("quiet COWPATH_GUEST=1 panic=-1\n"));
        assert!(!is_marked("COWPATH_GUEST=10"));
        assert!(!is_marked("quiet NOT_COWPATH_GUEST=1"));
    }
}
