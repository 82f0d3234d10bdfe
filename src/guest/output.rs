//! What a guest and QEMU say, line by line: bounded, so that no guest fills the host's memory, disk or terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a line that are kept; the kernel's own are at most 1 KiB.
const LINE: usize = 8 << 10;
/// Lines that wait to be looked at: a guest that says more has to wait itself.
const WAITING: usize = 256;
/// Bytes of a console that its log keeps, from the beginning on.
const KEPT: u64 = 16 << 20;

/// Lines on their way from a guest to who watches it.
pub(super) fn queue() -> (SyncSender<String>, Receiver<String>) {
    sync_channel(WAITING)
}

/// Passes on the lines of `from`, each after `prefix`, until it ends or nobody listens any more.
pub(super) fn forward(
    from: impl Read + Send + 'static,
    prefix: &'static str,
    to: SyncSender<String>,
) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        while let Some(line) = next(&mut from) {
            if to.send(format!("{prefix}{line}")).is_err() {
                break;
            }
        }
    });
}

/// The next line without its end, with a note where it was cut; nothing at the end.
fn next(from: &mut impl BufRead) -> Option<String> {
    let (mut line, mut cut, mut read) = (Vec::new(), 0, 0);
    loop {
        let some = match from.fill_buf() {
            Ok([]) => break,
            Ok(some) => some,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let end = some.iter().position(|&byte| byte == b'\n');
        let part = &some[..end.unwrap_or(some.len())];
        let kept = part.len().min(LINE - line.len());
        line.extend_from_slice(&part[..kept]);
        cut += (part.len() - kept) as u64;
        let taken = part.len() + usize::from(end.is_some());
        from.consume(taken);
        read += taken;
        if end.is_some() {
            break;
        }
    }
    if read == 0 {
        return None;
    }
    let text = String::from_utf8_lossy(&line);
    let text = text.trim_end_matches('\r');
    Some(match cut {
        0 => text.to_owned(),
        _ => format!("{text} [{cut} more bytes of this line were cut]"),
    })
}

/// A console's log, which ends where it would become too long and says so.
pub(super) struct Log<W = File> {
    to: W,
    /// Bytes that there is room for; nothing once it was cut.
    left: Option<u64>,
}

impl<W: Write> Log<W> {
    pub(super) fn new(to: W) -> Self {
        Log {
            to,
            left: Some(KEPT),
        }
    }

    /// Writes a line. A full disk must not cost the result; the tail is kept in memory.
    pub(super) fn line(&mut self, line: &str) {
        let Some(left) = self.left else { return };
        self.left = left.checked_sub(line.len() as u64 + 1);
        let _ = match self.left {
            Some(_) => writeln!(self.to, "{line}"),
            None => writeln!(
                self.to,
                "[cowpath: this log was cut here, at {KEPT} bytes; the guest said more]"
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut from = BufReader::with_capacity(100, Cursor::new(text.to_vec()));
        std::iter::from_fn(|| next(&mut from)).collect()
    }

    #[test]
    fn lines_come_as_they_are_said_and_the_last_needs_no_end() {
        assert_eq!(
            lines(b"one\r\n\ntwo\xff\nthree"),
            ["one", "", "two\u{fffd}", "three"]
        );
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_the_next_is_whole() {
        let text = [vec![b'x'; LINE + 1_000], b"\nnext\n".to_vec()].concat();
        let found = lines(&text);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(&"x".repeat(LINE)));
        assert!(found[0].ends_with(" [1000 more bytes of this line were cut]"));
        assert_eq!(found[1], "next");
    }

    #[test]
    fn a_log_says_once_where_it_was_cut() {
        let mut log = Log::new(Vec::new());
        let line = "y".repeat(LINE - 1);
        for _ in 0..2 * KEPT / LINE as u64 {
            log.line(&line);
        }
        log.line("short");
        let text = String::from_utf8(log.to).unwrap();
        assert!(text.len() as u64 <= KEPT + 100);
        assert_eq!(text.matches("[cowpath: this log was cut here").count(), 1);
        assert!(text.ends_with("the guest said more]\n"));
    }
}
