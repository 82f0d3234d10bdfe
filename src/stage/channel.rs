//! What the controller in the guest asks of the scheduler outside, and the answers.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::memory::trampoline::Trampolines;
use crate::record::moves::HoldPoint;
use crate::record::schema::{RunFile, Skipped};
use crate::record::staged::{HeldAt, Pte, StagedResult};

/// An answer, with the zero behind it, is no longer than this; the number of its request follows there.
pub const ROOM: usize = 16 << 10;
/// How long an answer is waited for between two looks.
const TURN: Duration = Duration::from_micros(200);

/// A request with its number, which its answer bears too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbered {
    /// Counted from 1.
    pub number: u64,
    /// What is asked for.
    pub request: ControllerRequest,
}

/// How long an answer may take: longer than the scheduler lets the guest say nothing.
const PATIENCE: Duration = Duration::from_secs(600);

/// Controller and scheduler are out of step, and no result is worth anything any more.
#[derive(Debug, thiserror::Error)]
pub enum OutOfStep {
    /// An answer that means nothing.
    #[error("the scheduler's answer means nothing: {0}")]
    Garbled(#[from] serde_json::Error),
    /// No answer.
    #[error("the scheduler has not answered in {} s", PATIENCE.as_secs())]
    Silent,
}

impl From<OutOfStep> for String {
    fn from(why: OutOfStep) -> Self {
        why.to_string()
    }
}

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
    /// Thread 1 has not come to the hold point in time.
    Late,
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
pub struct Channel {
    trampolines: Trampolines,
    /// The number of the last request.
    asked: Cell<u64>,
}

impl Channel {
    /// A line through the trampoline for words.
    pub fn new(trampolines: Trampolines) -> Self {
        Channel {
            trampolines,
            asked: Cell::new(0),
        }
    }

    /// The trampolines that it goes through.
    pub fn trampolines(&self) -> Trampolines {
        self.trampolines
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If the answer means nothing.
    pub fn ask(&self, request: ControllerRequest) -> Result<SchedulerReply, OutOfStep> {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let text = serde_json::to_vec(&Numbered { number, request })?;
        let words = words(&text);
        self.trampolines.ask(&words, text.len());
        // The guest may run while the answer is found, and this process with it.
        let until = Instant::now() + PATIENCE;
        while words[ROOM / 8].load(Acquire) != number {
            if Instant::now() > until {
                return Err(OutOfStep::Silent);
            }
            std::thread::sleep(TURN);
        }
        let answer: Vec<u8> = words[..ROOM / 8]
            .iter()
            .flat_map(|word| word.load(Acquire).to_ne_bytes())
            .collect();
        Ok(parse(&answer)?)
    }
}

/// A text, and room for an answer and its number. Where the number will be there is none yet: neither a request's text nor
/// what fills the room has zero bytes.
fn words(text: &[u8]) -> Vec<AtomicU64> {
    let length = text.len().max(ROOM + 8).next_multiple_of(8);
    let mut bytes = text.to_vec();
    bytes.resize(length, b' ');
    let word = |chunk: &[u8]| AtomicU64::new(chunk.try_into().map_or(0, u64::from_ne_bytes));
    bytes.chunks_exact(8).map(word).collect()
}

/// An answer as the scheduler writes it: the text, a zero, and at [`ROOM`] the number of the request.
///
/// # Errors
/// If it cannot be written down.
pub fn answer(number: u64, reply: &SchedulerReply) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = serde_json::to_vec(reply)?;
    if text.len() >= ROOM {
        let why = format!(
            "the answer has {} bytes, and {ROOM} are expected at most",
            text.len()
        );
        text = serde_json::to_vec(&SchedulerReply::Impossible(why))?;
    }
    text.resize(ROOM, 0);
    text.extend(number.to_le_bytes());
    Ok(text)
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
        let mut text = vec![b'x'; 2 * ROOM];
        let reply = SchedulerReply::Entry(Some(Pte::of(0x1067)));
        let answer = answer(7, &reply).unwrap();
        text[..answer.len()].copy_from_slice(&answer);
        assert_eq!(parse::<SchedulerReply>(&text).unwrap(), reply);
        assert_eq!(text[ROOM..ROOM + 8], 7_u64.to_ne_bytes());
        assert!(parse::<SchedulerReply>(b"{}").is_err());
    }

    #[test]
    fn an_answer_that_is_too_long_is_an_answer_all_the_same() {
        let long = SchedulerReply::Functions(vec!["f".repeat(100); ROOM / 50]);
        let read: SchedulerReply = parse(&answer(1, &long).unwrap()).unwrap();
        assert!(matches!(read, SchedulerReply::Impossible(_)), "{read:?}");
    }

    #[test]
    fn a_request_of_any_length_leaves_room_for_its_answer_and_bears_no_number_there() {
        for length in [1, ROOM, ROOM + 3, 5 * ROOM] {
            let words = words(&vec![b'7'; length]);
            assert!(words.len() > ROOM / 8);
            let there = words[ROOM / 8].load(Acquire);
            assert!(there > 1 << 56, "{there:#x}");
        }
    }
}
