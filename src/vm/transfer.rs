//! How a run's outcome crosses from guest to host: one framed message on a serial port of its own.
//!
//! `cowpath-result 1 STATUS LENGTH CRC32\n`, then LENGTH bytes: the run file, or nothing. STATUS is
//! `exit:CODE` or `signal:NUMBER`, CRC32 (IEEE) covers the payload and is written in hexadecimal.

use std::fmt;

const MAGIC: &str = "cowpath-result 1";
/// No header is longer than this.
const LONGEST_HEADER: usize = 80;

/// The name of the virtio-serial port that carries the message.
pub const PORT: &str = "cowpath.result";

/// How the suite ended inside the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It exited by itself with this code.
    Exit(u8),
    /// A signal killed it.
    Signal(u8),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
        if bytes.is_empty() {
            return Err(TransferError::Nothing);
        }
        let end = bytes
            .iter()
            .take(LONGEST_HEADER)
            .position(|&byte| byte == b'\n');
        let (header, rest) = bytes.split_at(end.ok_or(TransferError::Header)?);
        let (ending, announced, checksum) = parse(header).ok_or(TransferError::Header)?;
        let run_file = &rest[1..];
        if run_file.len() != announced {
            return Err(TransferError::Length {
                announced,
                arrived: run_file.len(),
            });
        }
        if crc32fast::hash(run_file) != checksum {
            return Err(TransferError::Checksum);
        }
        Ok(Self {
            ending,
            run_file: run_file.to_vec(),
        })
    }
}

fn parse(header: &[u8]) -> Option<(Ending, usize, u32)> {
    let mut fields = std::str::from_utf8(header)
        .ok()?
        .strip_prefix(MAGIC)?
        .split_whitespace();
    let ending = match fields.next()?.split_once(':')? {
        ("exit", code) => Ending::Exit(code.parse().ok()?),
        ("signal", number) => Ending::Signal(number.parse().ok()?),
        _ => return None,
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
