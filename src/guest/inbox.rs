//! What a guest has sent so far: checkpoints while the suite runs, and how it ended.

use super::transfer::{Ending, LARGEST, Message, TransferError};
use crate::guest::memory_file::MemoryFile;

/// Takes messages out of the file that QEMU writes a guest's words to.
pub struct Inbox {
    file: MemoryFile,
    /// What lies before this has been taken.
    taken: u64,
    /// The file's length when it was last looked at.
    seen: u64,
    /// The last message that is no checkpoint, or what is wrong with what came last.
    last: Result<Message, TransferError>,
}

impl Inbox {
    /// An empty one.
    ///
    /// # Errors
    /// If the kernel has no memory or no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            file: MemoryFile::new("result")?,
            taken: 0,
            seen: 0,
            last: Err(TransferError::Nothing),
        })
    }

    /// The file that QEMU is to write to.
    pub fn file(&self) -> &MemoryFile {
        &self.file
    }

    /// Takes in what has come since the last time; gives the newest checkpoint in it.
    ///
    /// # Errors
    /// If the file cannot be read, or more lies in it than a message can have.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TransferError> {
        self.read(false)
    }

    /// As [`take`](Self::take) when nothing more will come: gives the newest checkpoint and how the suite ended.
    pub fn close(mut self) -> (Option<Vec<u8>>, Result<Message, TransferError>) {
        match self.read(true) {
            Ok(checkpoint) => (checkpoint, self.last),
            Err(error) => (None, Err(error)),
        }
    }

    fn read(&mut self, closing: bool) -> Result<Option<Vec<u8>>, TransferError> {
        let length = self.file.len()?;
        if length == self.seen && !closing {
            return Ok(None);
        }
        self.seen = length;
        let waiting = length.saturating_sub(self.taken);
        if waiting > LARGEST as u64 {
            return Err(TransferError::TooMuch);
        }
        let bytes = self.file.read_at(self.taken, waiting as usize)?;
        let (mut rest, mut checkpoint) = (&bytes[..], None);
        while !rest.is_empty() {
            match Message::first(rest) {
                Ok((message, length)) => {
                    rest = &rest[length..];
                    match message.ending {
                        Ending::Running => checkpoint = Some(message.run_file),
                        _ => self.last = Ok(message),
                    }
                }
                Err(error) if error.may_be_completed() && !closing => break,
                // Who sent it was ended in its midst: what came behind it may be whole.
                Err(error) => {
                    rest = Message::next(rest);
                    self.last = Err(error);
                }
            }
        }
        let taken = bytes.len() - rest.len();
        self.file.forget(self.taken, taken as u64);
        self.taken += taken as u64;
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ending: Ending, run_file: &str) -> Vec<u8> {
        let run_file = run_file.as_bytes().to_vec();
        Message { ending, run_file }.encode()
    }

    fn write(inbox: &Inbox, bytes: &[u8]) {
        use std::io::Write;
        let file = std::fs::File::options()
            .append(true)
            .open(inbox.file.path());
        file.unwrap().write_all(bytes).unwrap();
    }

    fn text(checkpoint: Option<Vec<u8>>) -> Option<String> {
        checkpoint.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_checkpoint_is_taken_when_it_is_whole_and_once() {
        let mut inbox = Inbox::new().unwrap();
        let (first, second) = (message(Ending::Running, "1"), message(Ending::Running, "2"));
        write(&inbox, &first);
        write(&inbox, &second[..second.len() - 1]);
        assert_eq!(text(inbox.take().unwrap()).as_deref(), Some("1"));
        assert_eq!(inbox.take(), Ok(None));
        write(&inbox, &second[second.len() - 1..]);
        assert_eq!(text(inbox.take().unwrap()).as_deref(), Some("2"));
        write(&inbox, &message(Ending::Exit(0), "3"));
        let (checkpoint, last) = inbox.close();
        assert_eq!(checkpoint, None);
        assert_eq!(last.unwrap().run_file, b"3");
    }

    #[test]
    fn checkpoints_are_no_result_however_many_there_are() {
        let mut inbox = Inbox::new().unwrap();
        write(&inbox, &message(Ending::Running, "1"));
        assert!(inbox.take().unwrap().is_some());
        assert_eq!(inbox.close(), (None, Err(TransferError::Nothing)));
    }

    #[test]
    fn a_message_that_was_cut_short_costs_none_behind_it() {
        let inbox = Inbox::new().unwrap();
        let cut = message(Ending::Running, "a long one, of which half arrives");
        write(&inbox, &cut[..cut.len() / 2]);
        write(&inbox, &message(Ending::Running, "whole"));
        write(&inbox, &message(Ending::Exit(0), "end"));
        let (checkpoint, last) = inbox.close();
        assert_eq!(text(checkpoint).as_deref(), Some("whole"));
        assert_eq!(last.unwrap().run_file, b"end");
    }

    #[test]
    fn what_comes_behind_the_result_spoils_it() {
        let inbox = Inbox::new().unwrap();
        write(&inbox, &message(Ending::Exit(0), "end"));
        write(&inbox, b"noise");
        assert_eq!(inbox.close().1, Err(TransferError::Header));
    }

    #[test]
    fn what_was_taken_takes_no_memory_any_more() {
        use std::os::unix::fs::MetadataExt;
        let mut inbox = Inbox::new().unwrap();
        let megabyte = "x".repeat(1 << 20);
        for _ in 0..8 {
            write(&inbox, &message(Ending::Running, &megabyte));
            assert!(inbox.take().unwrap().is_some());
        }
        let held = std::fs::metadata(inbox.file.path()).unwrap().blocks() * 512;
        assert!(held < 1 << 20, "{held} bytes are held");
    }
}
