//! Tracepoint ids and probe-able functions, looked up in tracefs.

use std::io::{self, BufRead, BufReader};

use rustix::thread::CapabilitySet;

use super::kernelfs::{KernelFs, Kind};
use super::missing::{Missing, errno, is_denied};

/// The id by which `perf_event_open(2)` knows the tracepoint `category:name`, such as `kmem:mm_page_alloc`.
///
/// # Errors
/// [`Missing`] when tracefs cannot be read or the kernel has no such tracepoint.
pub fn tracepoint_id(category: &str, name: &str) -> Result<u64, Missing> {
    id_in(&KernelFs::open(Kind::Tracefs)?, category, name)
}

/// As [`tracepoint_id`], in a tracefs that is already open.
///
/// # Errors
/// [`Missing`] when the kernel has no such tracepoint or its id may not be read.
pub fn id_in(tracefs: &KernelFs, category: &str, name: &str) -> Result<u64, Missing> {
    let needed = format!("tracepoint {category}:{name}");
    let text = tracefs
        .read(&format!("events/{category}/{name}/id"))
        .map_err(|error| {
            if is_denied(&error) {
                Missing::privilege(
                    CapabilitySet::SYS_ADMIN,
                    format!("{needed}: {}", errno(&error)),
                )
            } else {
                Missing::new(
                    &needed,
                    format!("not in this kernel's events ({})", errno(&error)),
                    "",
                )
            }
        })?;
    text.parse()
        .map_err(|_| Missing::new(&needed, format!("an id that reads {text:?}"), ""))
}

/// Whether ftrace, and so a kprobe on its first instruction, can attach to the kernel function `function`.
///
/// Reads `available_filter_functions`, which takes tens of milliseconds.
///
/// # Errors
/// [`Missing`] when tracefs cannot be read or the kernel lists no functions.
pub fn has_function(function: &str) -> Result<bool, Missing> {
    let tracefs = KernelFs::open(Kind::Tracefs)?;
    let cannot =
        |error: io::Error| Missing::new("available_filter_functions in tracefs", errno(&error), "");
    let file = tracefs.file("available_filter_functions").map_err(cannot)?;
    for line in BufReader::new(file).lines() {
        // A line is `name` or `name [module]`.
        if line.map_err(cannot)?.split_whitespace().next() == Some(function) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracepoint_of_every_kernel_has_an_id() {
        match tracepoint_id("kmem", "mm_page_alloc") {
            Ok(id) => assert!(id > 0),
            Err(missing) => println!("\nskipped: {missing}"),
        }
    }

    #[test]
    fn an_unknown_tracepoint_is_named() {
        if let Err(missing) = KernelFs::open(Kind::Tracefs) {
            println!("\nskipped: {missing}");
            return;
        }
        let missing = tracepoint_id("kmem", "no_such_event").unwrap_err();
        assert_eq!(missing.needed, "tracepoint kmem:no_such_event");
        assert_eq!(missing.mend, "");
    }

    #[test]
    fn functions_are_found_by_their_whole_name() {
        match has_function("handle_mm_fault") {
            Ok(found) => {
                assert!(found);
                assert_eq!(has_function("handle_mm_faul"), Ok(false));
            }
            Err(missing) => println!("\nskipped: {missing}"),
        }
    }
}
