//! Whether taskstats tells how many copies a task has finished (`wpcopy_count`).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::unistd::gettid;

use crate::machine::capability::name::Probe;
use crate::machine::settings;
use crate::sys::missing::{Missing, errno, is_denied};
use crate::sys::privilege::Privilege;
use crate::sys::zero_page::copy_often;

/// `struct taskstats` has `wpcopy_count` from this version on: Linux 6.1.
const VERSION_WITH_WPCOPY: u16 = 13;

/// Where `wpcopy_count` lies in it (versions 13 to 16); [`Reader::open`] proves it.
const WPCOPY_COUNT: usize = 400;
/// Copies that the proof makes.
const PROOF: u64 = 5;
/// How often the proof is tried. The first time touches what the others need. A copy is left out where the scheduler's
/// clock did not advance during it, as it may on a virtual processor that has just been away.
const PROOFS: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_PID: u16 = 1;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_PID: u16 = 4;
/// Length of `nlmsghdr` and `genlmsghdr` together.
const HEADERS: usize = 20;

/// Asks the kernel for this thread's statistics.
pub(super) fn probe() -> Probe {
    let needed = "taskstats with wpcopy_count (Linux 6.1, CONFIG_TASK_DELAY_ACCT)";
    let version = version().map_err(|error| {
        if is_denied(&error) {
            Missing::privilege(Privilege::NetAdmin, format!("taskstats: {}", errno(&error)))
        } else {
            Missing::new(needed, format!("taskstats: {}", errno(&error)), "")
        }
    })?;
    if version < VERSION_WITH_WPCOPY {
        return Err(Missing::new(
            needed,
            format!("taskstats version {version}"),
            "",
        ));
    }
    match settings::sysctl("kernel.task_delayacct").as_deref() {
        Some("1") => Ok(format!("taskstats version {version}, accounting on")),
        Some(value) => Err(Missing::new(
            "kernel.task_delayacct = 1",
            format!("kernel.task_delayacct is {value}"),
            "sudo sysctl kernel.task_delayacct=1",
        )),
        None => Err(Missing::new(
            "CONFIG_TASK_DELAY_ACCT",
            "no kernel.task_delayacct",
            "",
        )),
    }
}

/// The version of `struct taskstats` in the kernel's answer for the calling thread.
fn version() -> io::Result<u16> {
    let stats = Link::open()?.stats()?;
    u16_at_start(&stats).ok_or_else(foreign)
}

fn foreign() -> io::Error {
    io::Error::from_raw_os_error(libc::EPROTO)
}

/// A netlink socket and the family's number.
struct Link {
    netlink: OwnedFd,
    family: u16,
}

impl Link {
    fn open() -> io::Result<Self> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )?;
        let mut link = Link {
            netlink,
            family: GENL_ID_CTRL,
        };
        let answer = link.ask(CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0")?;
        link.family = find(&answer, CTRL_ATTR_FAMILY_ID)
            .and_then(u16_at_start)
            .ok_or_else(foreign)?;
        Ok(link)
    }

    fn ask(&self, command: u8, attribute: u16, value: &[u8]) -> io::Result<Vec<u8>> {
        let message = request(self.family, command, attribute, value);
        let fd = self.netlink.as_raw_fd();
        sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = vec![0; 4096];
        // The kernel answers within sendto(2): either the answer is there or there is none.
        let length = recv(fd, &mut answer, MsgFlags::MSG_DONTWAIT)?;
        answer.truncate(length);
        attributes(&answer).map(<[u8]>::to_vec)
    }

    /// `struct taskstats` of the calling thread.
    fn stats(&self) -> io::Result<Vec<u8>> {
        let thread = gettid().as_raw();
        let answer = self.ask(
            TASKSTATS_CMD_GET,
            TASKSTATS_CMD_ATTR_PID,
            &thread.to_ne_bytes(),
        )?;
        let stats = find(&answer, TASKSTATS_TYPE_AGGR_PID)
            .and_then(|both| find(both, TASKSTATS_TYPE_STATS))
            .ok_or_else(foreign)?;
        Ok(stats.to_vec())
    }
}

/// Whether a reader of this process has been proven.
static PROVEN: AtomicBool = AtomicBool::new(false);

/// Reads how many copies the calling thread has finished, discarded ones included.
pub struct Reader(Link);

impl Reader {
    /// Opens it. The accounting must have been switched on before the process was started. Where the count lies is proven
    /// once in a process.
    ///
    /// # Errors
    /// What is missing and what mends it.
    pub fn open() -> Result<Self, Missing> {
        probe()?;
        let cannot = |error: io::Error| Missing::new("taskstats", errno(&error), "");
        let reader = Reader(Link::open().map_err(cannot)?);
        if PROVEN.load(Ordering::Relaxed) {
            return Ok(reader);
        }
        prove(|| {
            let before = reader.copies().map_err(cannot)?;
            copy_often(PROOF as usize).map_err(cannot)?;
            Ok(reader.copies().map_err(cannot)?.wrapping_sub(before))
        })?;
        PROVEN.store(true, Ordering::Relaxed);
        Ok(reader)
    }

    /// Copies finished by the calling thread so far.
    ///
    /// # Errors
    /// Those of the netlink socket.
    pub fn copies(&self) -> io::Result<u64> {
        let stats = self.0.stats()?;
        let word = stats
            .get(WPCOPY_COUNT..)
            .and_then(|rest| rest.first_chunk());
        word.map(|word| u64::from_ne_bytes(*word))
            .ok_or_else(foreign)
    }
}

/// Tries the proof, after a first time that does not count, until `counted` tells what was copied.
fn prove(mut counted: impl FnMut() -> Result<u64, Missing>) -> Result<(), Missing> {
    let mut seen = counted()?;
    for _ in 1..PROOFS {
        seen = counted()?;
        if seen == PROOF {
            return Ok(());
        }
    }
    Err(Missing::new(
        "a struct taskstats whose wpcopy_count is where Linux 6.1 has it",
        format!("{seen} copies counted where there were {PROOF}, the last of {PROOFS} times"),
        "",
    ))
}

/// A generic netlink request with one attribute.
fn request(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let attribute_length = 4 + value.len();
    let length = HEADERS + attribute_length.next_multiple_of(4);
    let mut message = Vec::with_capacity(length);
    message.extend(u32::try_from(length).unwrap_or(0).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence number, port
    message.extend([command, 1, 0, 0]); // version 1
    message.extend(u16::try_from(attribute_length).unwrap_or(0).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(length, 0);
    message
}

/// The attributes of an answer, or the error that it carries.
fn attributes(answer: &[u8]) -> io::Result<&[u8]> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let kind = answer.get(4..).and_then(u16_at_start).ok_or_else(short)?;
    let body = answer.get(HEADERS..).ok_or_else(short)?;
    if kind == NLMSG_ERROR {
        // The error number stands where other answers have the second header.
        let code = answer[16..20]
            .first_chunk()
            .map_or(0, |code| i32::from_ne_bytes(*code));
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok(body)
}

/// The value of the first attribute of this kind.
fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at_start(attributes)?);
        let value = attributes.get(4..length)?;
        if u16_at_start(attributes.get(2..)?)? == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at_start(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn the_kernel_answers_or_refuses_for_lack_of_privilege() {
        match version() {
            Ok(version) => assert!(version >= 8, "{version}"),
            Err(error) => skip(Need::Taskstats, error),
        }
    }

    #[test]
    fn a_reader_counts_this_threads_copies_or_says_what_it_needs() {
        match Reader::open() {
            Ok(reader) => {
                let before = reader.copies().unwrap();
                copy_often(PROOF as usize).unwrap();
                assert_eq!(reader.copies().unwrap() - before, PROOF);
            }
            // `--tune` switches it on; tests/races.rs has it count then.
            Err(missing) if missing.needed == "kernel.task_delayacct = 1" => {
                assert_eq!(missing.mend, "sudo sysctl kernel.task_delayacct=1");
            }
            Err(missing) => skip(Need::Taskstats, missing),
        }
    }

    #[test]
    fn a_copy_that_is_left_out_once_is_no_reason_to_do_without() {
        let tell = |seen: &[u64]| {
            let mut seen = seen.iter().copied().cycle();
            prove(|| Ok(seen.next().unwrap()))
        };
        assert!(tell(&[7, 4, 5]).is_ok());
        assert!(tell(&[5, 4]).is_ok());
        let why = tell(&[0]).unwrap_err().to_string();
        assert!(why.contains("0 copies counted where there were 5"), "{why}");
    }

    #[test]
    fn an_error_in_an_answer_is_returned() {
        let mut answer = request(NLMSG_ERROR, 0, 0, &[]);
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(
            attributes(&answer).unwrap_err().raw_os_error(),
            Some(libc::EPERM)
        );
    }

    proptest! {
        #[test]
        fn an_attribute_is_found_again(kind in 1..100u16, value in prop::collection::vec(any::<u8>(), 0..64)) {
            let message = request(20, 1, kind, &value);
            let attributes = attributes(&message).unwrap();
            prop_assert_eq!(find(attributes, kind), Some(&value[..]));
            prop_assert_eq!(find(attributes, kind + 1), None);
        }

        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(0..8u8, 0..64)) {
            if let Ok(attributes) = attributes(&bytes) {
                find(attributes, 3);
            }
        }
    }
}
