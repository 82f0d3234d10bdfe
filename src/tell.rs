//! Lines for a person, on standard error.

/// Prints a line to standard error as `eprintln!` does; a stream that is closed or full is no reason to stop.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write;
        let line = format!($($text)*) + "\n";
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }};
}
