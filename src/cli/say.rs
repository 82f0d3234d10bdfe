//! Words to standard output, and what a failure is told as.

/// The error and its causes. One whose text says its cause already is not followed by it again; what a file says must not
/// move a terminal's cursor.
pub(super) fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        match line.is_empty() {
            true => line = cause,
            false if line.contains(&cause) => {}
            false => line += &format!(": {cause}"),
        }
    }
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    line.chars().map(shown).collect()
}

pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes to standard output; unlike `println!`, a reader that has gone is an error and no panic.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
