//! What the controller in the guest asks of the scheduler outside, and the answers.

use serde::{Deserialize, Serialize};

use crate::memory::trampoline::Trampolines;
use crate::record::moves::HoldPoint;
use crate::record::schema::{RunFile, Skipped};
use crate::record::staged::{HeldAt, Pte, StagedResult};

/// An answer, with the zero behind it, is no longer than this.
pub const ROOM: usize = 16 << 10;

/// What the controller asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ControllerRequest {
    /// Here is the run file that results belong to.
    Begin(Box<RunFile>),
    /// Hold thread 1 at this point in the write fault of its next store to the page.
    Hold {
        /// Where.
        point: HoldPoint,
        /// Address of the page.
        page: u64,
    },
    /// Is it held?
    IsHeld,
    /// Let it go on; or, if it is not held, do not hold it.
    Release,
    /// Thread 1 has made its store: did the copy that was held stay?
    Kept,
    /// Read A's page table entry for this address.
    Look(u64),
    /// Where is this CPU? Of one that has gone to sleep for a lock since thread 1 is held: where it did.
    Where(u32),
    /// A race has been played.
    Played(Box<StagedResult>),
    /// A race cannot be played here.
    Skipped(Skipped),
    /// How far a sweep is.
    Note(String),
}

/// The scheduler's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchedulerReply {
    /// Done, or noted.
    Done,
    /// Not on this kernel; the reason.
    Impossible(String),
    /// Thread 1 has not come to the hold point yet.
    NotYet,
    /// Thread 1 is held here.
    Held(HeldAt),
    /// It stayed, or it was thrown away; nothing where that cannot be told.
    Kept(Option<bool>),
    /// The entry; nothing where no page table leads to it.
    Entry(Option<Pte>),
    /// Functions, innermost first; empty in user mode.
    Functions(Vec<String>),
}

/// The controller's line to the scheduler.
pub struct Channel(Trampolines);

impl Channel {
    /// A line through the trampoline for words.
    pub fn new(trampolines: Trampolines) -> Self {
        Channel(trampolines)
    }

    /// The trampolines that it goes through.
    pub fn trampolines(&self) -> Trampolines {
        self.0
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If the answer means nothing.
    pub fn ask(&self, request: &ControllerRequest) -> Result<SchedulerReply, String> {
        let mut text = serde_json::to_vec(request).map_err(|e| e.to_string())?;
        let length = text.len();
        text.resize(length.max(ROOM) + 1, 0);
        self.0.ask(&mut text, length);
        parse(&text).map_err(|e| format!("the scheduler's answer means nothing: {e}"))
    }
}

/// Reads a message that ends with a zero byte, or with the text.
///
/// # Errors
/// If it is no such message.
pub fn parse<T: for<'a> Deserialize<'a>>(text: &[u8]) -> Result<T, serde_json::Error> {
    let end = text.iter().position(|&byte| byte == 0);
    serde_json::from_slice(&text[..end.unwrap_or(text.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_written_over_a_longer_request_is_read_back() {
        let request = serde_json::to_vec(&ControllerRequest::Look(u64::MAX)).unwrap();
        let mut text = [request, vec![b'x'; 100]].concat();
        let answer = serde_json::to_vec(&SchedulerReply::Entry(Some(Pte::of(0x1067)))).unwrap();
        text[..answer.len()].copy_from_slice(&answer);
        text[answer.len()] = 0;
        let reply: SchedulerReply = parse(&text).unwrap();
        assert_eq!(reply, SchedulerReply::Entry(Some(Pte::of(0x1067))));
        assert!(parse::<SchedulerReply>(b"{}").is_err());
    }
}
