//! How a run's outcome crosses from guest to host: framed messages on a serial port of its own. All but the last are
//! checkpoints.
//!
//! `cowpath-result 1 STATUS LENGTH CRC32\n`, then LENGTH bytes: the run file, or nothing. STATUS is `running` in a
//! checkpoint, then `exit:CODE` or `signal:NUMBER`; CRC32 (IEEE) covers the payload and is written in hexadecimal.

use std::fmt;

const MAGIC: &str = "cowpath-result 1";
/// No header is longer than this.
const LONGEST_HEADER: usize = 80;

/// No message is longer than this: the largest run file that is read, and a header.
pub const LARGEST: usize = (256 << 20) + LONGEST_HEADER;

/// The name of the virtio-serial port that carries the message.
pub const PORT: &str = "cowpath.result";

/// How the suite ended inside the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not: the run file is what there is so far.
    Running,
    /// It exited by itself with this code.
    Exit(u8),
    /// A signal killed it.
    Signal(u8),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Exit(code) => write!(f, "exit:{code}"),
            Self::Signal(number) => write!(f, "signal:{number}"),
        }
    }
}

/// What came back from a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How the suite ended.
    pub ending: Ending,
    /// The run file's bytes; empty if the suite wrote none.
    pub run_file: Vec<u8>,
}

/// Why bytes are not a message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The guest sent nothing at all.
    #[error("the guest sent nothing")]
    Nothing,
    /// The header has no end yet.
    #[error("the guest's message ends within its header")]
    Unfinished,
    /// The header is not one of ours.
    #[error("the guest's message has no header that this cowpath knows")]
    Header,
    /// The payload is shorter or longer than announced.
    #[error("{announced} bytes were announced and {arrived} arrived")]
    Length {
        /// Bytes named in the header.
        announced: usize,
        /// Bytes that followed it.
        arrived: usize,
    },
    /// The payload is not what was sent.
    #[error("the run file arrived damaged (its checksum differs)")]
    Checksum,
    /// More has come than any message has.
    #[error("the guest sent more than any run file has")]
    TooMuch,
    /// What came cannot be read.
    #[error("what the guest sent cannot be read: {0}")]
    Unreadable(String),
}

impl TransferError {
    /// Whether the bytes may be the beginning of a message that is still on its way.
    pub(super) fn may_be_completed(&self) -> bool {
        match self {
            Self::Length { announced, arrived } => arrived < announced && *announced < LARGEST,
            Self::Unfinished => true,
            _ => false,
        }
    }
}

impl From<std::io::Error> for TransferError {
    fn from(error: std::io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Message {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (ending, length) = (self.ending, self.run_file.len());
        let checksum = crc32fast::hash(&self.run_file);
        let mut bytes = format!("{MAGIC} {ending} {length} {checksum:08x}\n").into_bytes();
        bytes.extend_from_slice(&self.run_file);
        bytes
    }

    /// Reads a message back.
    ///
    /// # Errors
    /// If anything is missing, left over or altered.
    pub fn decode(bytes: &[u8]) -> Result<Self, TransferError> {
        let (message, length) = Self::first(bytes)?;
        match bytes.len() - length {
            0 => Ok(message),
            more => Err(TransferError::Length {
                announced: message.run_file.len(),
                arrived: message.run_file.len() + more,
            }),
        }
    }

    /// Reads the message that bytes begin with; gives its length, too.
    pub(super) fn first(bytes: &[u8]) -> Result<(Self, usize), TransferError> {
        if bytes.is_empty() {
            return Err(TransferError::Nothing);
        }
        let head = &bytes[..bytes.len().min(LONGEST_HEADER)];
        let Some(end) = head.iter().position(|&byte| byte == b'\n') else {
            let ours = head.len().min(MAGIC.len());
            let begun = head.len() < LONGEST_HEADER && head[..ours] == MAGIC.as_bytes()[..ours];
            return Err(match begun {
                true => TransferError::Unfinished,
                false => TransferError::Header,
            });
        };
        let (ending, announced, checksum) = parse(&bytes[..end]).ok_or(TransferError::Header)?;
        let rest = &bytes[end + 1..];
        let run_file = rest.get(..announced).ok_or(TransferError::Length {
            announced,
            arrived: rest.len(),
        })?;
        if crc32fast::hash(run_file) != checksum {
            return Err(TransferError::Checksum);
        }
        let message = Self {
            ending,
            run_file: run_file.to_vec(),
        };
        Ok((message, end + 1 + announced))
    }

    /// The rest of bytes that begin with no whole message, from where the next one may begin.
    pub(super) fn next(bytes: &[u8]) -> &[u8] {
        let magic = MAGIC.as_bytes();
        let next = bytes
            .windows(magic.len())
            .skip(1)
            .position(|it| it == magic);
        next.map_or(&[], |at| &bytes[at + 1..])
    }
}

fn parse(header: &[u8]) -> Option<(Ending, usize, u32)> {
    let mut fields = std::str::from_utf8(header)
        .ok()?
        .strip_prefix(MAGIC)?
        .split_whitespace();
    let ending = match fields.next()? {
        "running" => Ending::Running,
        status => match status.split_once(':')? {
            ("exit", code) => Ending::Exit(code.parse().ok()?),
            ("signal", number) => Ending::Signal(number.parse().ok()?),
            _ => return None,
        },
    };
    let length = fields.next()?.parse().ok()?;
    let checksum = u32::from_str_radix(fields.next()?, 16).ok()?;
    fields
        .next()
        .is_none()
        .then_some((ending, length, checksum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let ending = prop_oneof![
            Just(Ending::Running),
            any::<u8>().prop_map(Ending::Exit),
            any::<u8>().prop_map(Ending::Signal)
        ];
        (ending, any::<Vec<u8>>()).prop_map(|(ending, run_file)| Message { ending, run_file })
    }

    proptest! {
        #[test]
        fn what_was_sent_arrives(message in message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn one_altered_byte_of_the_run_file_is_noticed(
            message in message(), at in any::<proptest::sample::Index>(), flip in 1u8..,
        ) {
            prop_assume!(!message.run_file.is_empty());
            let mut bytes = message.encode();
            let start = bytes.len() - message.run_file.len();
            bytes[start + at.index(message.run_file.len())] ^= flip;
            prop_assert_eq!(Message::decode(&bytes), Err(TransferError::Checksum));
        }

        #[test]
        fn a_message_cut_short_is_no_message(
            message in message(), at in any::<proptest::sample::Index>(),
        ) {
            let bytes = message.encode();
            prop_assert!(Message::decode(&bytes[..at.index(bytes.len())]).is_err());
        }

        #[test]
        fn noise_is_no_message(bytes in any::<Vec<u8>>()) {
            prop_assert!(Message::decode(&bytes).is_err());
        }
    }
}
