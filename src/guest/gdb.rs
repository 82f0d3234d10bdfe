//! A client of QEMU's gdb stub: registers, memory, breakpoints and single steps of a guest's CPUs.
//!
//! The protocol is GDB's remote serial protocol (GDB manual, appendix E) as QEMU speaks it: answers
//! are acknowledged, registers come all together, and anything sent to a running guest stops it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::registers::Registers;

/// How long the stub may take over anything but running the guest.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a stub that does not listen yet is tried.
const RETRY: Duration = Duration::from_millis(20);
/// Memory bytes in one packet: QEMU takes packets of 4096 bytes, two digits a byte.
const CHUNK: usize = 0x700;
/// No packet is longer, in bytes: the longest holds all registers, or a chunk of memory.
const LONGEST: usize = 1 << 20;
/// A step runs neither interrupts nor timers (bits of `Qqemu.sstep`: enabled 1, no interrupts 2, no
/// timers 4).
const STEP_HELD: u8 = 7;
/// A step lets interrupts and timers in.
const STEP_FREE: u8 = 1;

/// One of the guest's CPUs; the first is 1, as the stub counts its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vcpu(pub u32);

/// What a CPU does when the guest goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It executes one instruction.
    Step,
    /// It runs until something stops it.
    Run,
}

/// Why the guest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// 5 (SIGTRAP) after a breakpoint or a step, 2 (SIGINT) after [`Gdb::interrupt`].
    pub signal: u8,
    /// The CPU that it is about.
    pub vcpu: Vcpu,
}

/// What went wrong between debugger and guest.
#[derive(Debug, thiserror::Error)]
pub enum GdbError {
    /// Nobody listens on the socket.
    #[error(
        "QEMU's gdb stub was needed on {path} and did not listen within {} s: {source}; a QEMU with `-gdb unix:PATH,server=on` is needed (named with --qemu)",
        within.as_secs()
    )]
    NoStub {
        /// The socket.
        path: String,
        /// How long it was tried.
        within: Duration,
        /// The last answer.
        source: std::io::Error,
    },
    /// The stub went away: QEMU ended.
    #[error("QEMU went away while the debugger waited for {what}")]
    Gone {
        /// What was waited for.
        what: String,
    },
    /// No answer in time.
    #[error("QEMU gave no {what} within {} s", within.as_secs_f64())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
    },
    /// The stub does not know the request.
    #[error("a gdb stub that knows {what} was needed, and this QEMU's does not")]
    Unknown {
        /// The request.
        what: String,
    },
    /// The stub knows the request and refuses it.
    #[error("QEMU refused {what}: {answer}")]
    Refused {
        /// The request.
        what: String,
        /// The stub's answer.
        answer: String,
    },
    /// A text in the guest is longer than any that is expected.
    #[error("the guest says a text of {length} bytes where at most {most} are expected")]
    TooLong {
        /// What it announces.
        length: u64,
        /// What would be read.
        most: u64,
    },
    /// The answer means nothing.
    #[error("the gdb stub's answer to {what} is not valid: {answer}")]
    Garbled {
        /// The request.
        what: String,
        /// The stub's answer.
        answer: String,
    },
    /// The socket failed.
    #[error("talking to QEMU's gdb stub: {0}")]
    Socket(std::io::Error),
}

/// A connection to a gdb stub. The guest stands unless it was resumed and has not stopped since.
#[derive(Debug)]
pub struct Gdb {
    stream: UnixStream,
    /// Bytes that came and are not read yet.
    pending: Vec<u8>,
    /// Whether the last packet that came is still to be acknowledged.
    owed: bool,
    selected: Option<Vcpu>,
}

impl Gdb {
    /// Connects as soon as the stub listens; that stops the guest.
    ///
    /// # Errors
    /// If nobody listens `within` that time, or `alive` says that there is nobody to wait for.
    pub fn connect(
        path: &Path,
        within: Duration,
        alive: impl Fn() -> bool,
    ) -> Result<Self, GdbError> {
        let deadline = Instant::now() + within;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Ok(Self::over(stream)),
                Err(_) if alive() && Instant::now() < deadline => std::thread::sleep(RETRY),
                Err(source) => {
                    return Err(GdbError::NoStub {
                        path: path.display().to_string(),
                        within,
                        source,
                    });
                }
            }
        }
    }

    /// A client over a stream whose other end is a stub.
    pub fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
            owed: false,
            selected: None,
        }
    }

    /// The guest's CPUs.
    ///
    /// # Errors
    /// As [`GdbError`] says; this holds for every request below.
    pub fn vcpus(&mut self) -> Result<Vec<Vcpu>, GdbError> {
        let mut found = Vec::new();
        let mut answer = self.ask("qfThreadInfo")?;
        while let Some(list) = answer.strip_prefix('m') {
            for id in list.split(',') {
                let id = u32::from_str_radix(id, 16).map_err(|_| garbled("qfThreadInfo", &answer));
                found.push(Vcpu(id?));
            }
            answer = self.ask("qsThreadInfo")?;
        }
        Ok(found)
    }

    /// Whether single steps hold interrupts and timers back.
    pub fn hold_interrupts(&mut self, hold: bool) -> Result<(), GdbError> {
        let bits = if hold { STEP_HELD } else { STEP_FREE };
        self.must(&format!("Qqemu.sstep={bits:x}"))
    }

    /// All registers of a CPU.
    pub fn registers(&mut self, vcpu: Vcpu) -> Result<Registers, GdbError> {
        self.select(vcpu)?;
        let answer = self.ask("g")?;
        let bytes = bytes(&answer).ok_or_else(|| garbled("g", &answer))?;
        Registers::from_packet(bytes).ok_or_else(|| garbled("g", &answer))
    }

    /// Sets all registers of a CPU.
    pub fn set_registers(&mut self, vcpu: Vcpu, to: &Registers) -> Result<(), GdbError> {
        self.select(vcpu)?;
        self.must(&format!("G{}", digits(to.packet())))
    }

    /// Reads memory at a virtual address, as the CPU's page table has it now.
    pub fn read(&mut self, vcpu: Vcpu, address: u64, length: usize) -> Result<Vec<u8>, GdbError> {
        self.select(vcpu)?;
        let mut found = Vec::with_capacity(length);
        while found.len() < length {
            let wanted = (length - found.len()).min(CHUNK);
            let what = format!("m{:x},{wanted:x}", address + found.len() as u64);
            let answer = self.ask(&what)?;
            let part = bytes(&answer).filter(|part| part.len() == wanted);
            found.extend(part.ok_or_else(|| garbled(&what, &answer))?);
        }
        Ok(found)
    }

    /// Reads physical memory.
    pub fn read_physical(
        &mut self,
        vcpu: Vcpu,
        at: u64,
        length: usize,
    ) -> Result<Vec<u8>, GdbError> {
        self.must("Qqemu.PhyMemMode:1")?;
        let read = self.read(vcpu, at, length);
        self.must("Qqemu.PhyMemMode:0")?;
        read
    }

    /// Writes physical memory.
    pub fn write_physical(&mut self, vcpu: Vcpu, at: u64, what: &[u8]) -> Result<(), GdbError> {
        self.must("Qqemu.PhyMemMode:1")?;
        let written = self.write(vcpu, at, what);
        self.must("Qqemu.PhyMemMode:0")?;
        written
    }

    /// Writes memory at a virtual address, whatever its protection.
    pub fn write(&mut self, vcpu: Vcpu, address: u64, what: &[u8]) -> Result<(), GdbError> {
        self.select(vcpu)?;
        let mut at = address;
        for part in what.chunks(CHUNK) {
            self.must(&format!("M{at:x},{:x}:{}", part.len(), digits(part)))?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Stops any CPU that is about to execute the instruction at this virtual address.
    ///
    /// A CPU that stands at a breakpoint and is told to run stops at it again: clear it, step, and
    /// set it once more.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<(), GdbError> {
        self.must(&format!("Z1,{address:x},1"))
    }

    /// Removes a breakpoint.
    pub fn clear_breakpoint(&mut self, address: u64) -> Result<(), GdbError> {
        self.must(&format!("z1,{address:x},1"))
    }

    /// Lets the guest go on: each of these CPUs in its own way, the others not at all. Follow it with
    /// [`wait`](Self::wait) or [`interrupt`](Self::interrupt).
    pub fn resume(&mut self, plan: &[(Vcpu, Go)]) -> Result<(), GdbError> {
        let mut packet = "vCont".to_owned();
        for (vcpu, go) in plan {
            let go = match go {
                Go::Step => 's',
                Go::Run => 'c',
            };
            packet += &format!(";{go}:{:x}", vcpu.0);
        }
        self.send(&packet)
    }

    /// Lets every CPU run.
    pub fn resume_all(&mut self) -> Result<(), GdbError> {
        self.send("vCont;c")
    }

    /// Waits until the guest stands.
    pub fn wait(&mut self, within: Duration) -> Result<Stop, GdbError> {
        let answer = self.receive("stop", within)?;
        if answer.starts_with(['W', 'X']) {
            // QEMU says so as it ends.
            return Err(GdbError::Gone {
                what: "the guest to stop".into(),
            });
        }
        stop(&answer).ok_or_else(|| garbled("vCont", &answer))
    }

    /// Has one CPU execute one instruction while the others stand.
    pub fn step(&mut self, vcpu: Vcpu) -> Result<Stop, GdbError> {
        self.resume(&[(vcpu, Go::Step)])?;
        self.wait(PATIENCE)
    }

    /// Stops a running guest.
    pub fn interrupt(&mut self) -> Result<Stop, GdbError> {
        self.stream.write_all(&[3]).map_err(GdbError::Socket)?;
        self.wait(PATIENCE)
    }

    /// The CPU that registers and memory are asked of.
    fn select(&mut self, vcpu: Vcpu) -> Result<(), GdbError> {
        if self.selected != Some(vcpu) {
            self.must(&format!("Hg{:x}", vcpu.0))?;
            self.selected = Some(vcpu);
        }
        Ok(())
    }

    fn must(&mut self, request: &str) -> Result<(), GdbError> {
        match self.ask(request)?.as_str() {
            "OK" => Ok(()),
            other => Err(garbled(request, other)),
        }
    }

    /// Sends a request and takes the answer to it.
    fn ask(&mut self, request: &str) -> Result<String, GdbError> {
        self.send(request)?;
        let what = || brief(request).to_owned();
        let answer = self.receive(&format!("answer to {}", what()), PATIENCE)?;
        let error = answer.strip_prefix('E');
        if answer.is_empty() {
            Err(GdbError::Unknown { what: what() })
        } else if error.is_some_and(|code| code.len() == 2) {
            Err(GdbError::Refused {
                what: what(),
                answer,
            })
        } else {
            Ok(answer)
        }
    }

    fn send(&mut self, packet: &str) -> Result<(), GdbError> {
        let ack = if std::mem::take(&mut self.owed) {
            "+"
        } else {
            ""
        };
        let framed = format!("{ack}${packet}#{:02x}", checksum(packet.as_bytes()));
        match self.stream.write_all(framed.as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(GdbError::Gone {
                what: format!("room for {}", brief(packet)),
            }),
            Err(error) => Err(GdbError::Socket(error)),
        }
    }

    /// The next packet; damaged ones are asked for again.
    fn receive(&mut self, what: &str, within: Duration) -> Result<String, GdbError> {
        let deadline = Instant::now() + within;
        loop {
            match take_packet(&mut self.pending) {
                Some(Ok(packet)) => {
                    self.owed = true;
                    return Ok(packet);
                }
                Some(Err(Damaged)) => self.stream.write_all(b"-").map_err(GdbError::Socket)?,
                None => self.fill(what, deadline, within)?,
            }
        }
    }

    fn fill(&mut self, what: &str, deadline: Instant, within: Duration) -> Result<(), GdbError> {
        let late = || GdbError::Late {
            what: what.to_owned(),
            within,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        self.stream
            .set_read_timeout(Some(left))
            .map_err(GdbError::Socket)?;
        let mut chunk = [0; 0x2000];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(GdbError::Gone {
                what: what.to_owned(),
            }),
            Ok(_) if self.pending.len() > LONGEST => Err(garbled(what, "it does not end")),
            Ok(length) => {
                self.pending.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(late()),
                ErrorKind::ConnectionReset => Err(GdbError::Gone {
                    what: what.to_owned(),
                }),
                _ => Err(GdbError::Socket(error)),
            },
        }
    }
}

/// A packet whose checksum does not fit.
#[derive(Debug, PartialEq, Eq)]
struct Damaged;

/// Takes the first whole packet off what came, with everything before it.
fn take_packet(pending: &mut Vec<u8>) -> Option<Result<String, Damaged>> {
    let start = pending.iter().position(|&byte| byte == b'$')? + 1;
    let end = start + pending[start..].iter().position(|&byte| byte == b'#')?;
    let sum = pending.get(end + 1..end + 3)?;
    let told = std::str::from_utf8(sum)
        .ok()
        .and_then(|text| u8::from_str_radix(text, 16).ok());
    let body = &pending[start..end];
    let packet = match (told == Some(checksum(body)), std::str::from_utf8(body)) {
        (true, Ok(text)) => Ok(text.to_owned()),
        _ => Err(Damaged),
    };
    pending.drain(..end + 3);
    Some(packet)
}

fn checksum(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// A stop reply: `T05thread:01;` or `S05`.
fn stop(answer: &str) -> Option<Stop> {
    let rest = answer.strip_prefix(['T', 'S'])?;
    let signal = u8::from_str_radix(rest.get(..2)?, 16).ok()?;
    let thread = rest[2..]
        .split(';')
        .find_map(|field| field.strip_prefix("thread:"));
    let vcpu = match thread {
        Some(id) => u32::from_str_radix(id, 16).ok()?,
        None => 1,
    };
    Some(Stop {
        signal,
        vcpu: Vcpu(vcpu),
    })
}

fn digits(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            &[high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

/// As much of a packet as names it.
fn brief(packet: &str) -> &str {
    packet.get(..24).unwrap_or(packet)
}

fn garbled(what: &str, answer: &str) -> GdbError {
    GdbError::Garbled {
        what: brief(what).to_owned(),
        answer: format!("{:?}", brief(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client, and a stub that answers each packet with the next of `answers`, sent as they are;
    /// the stub's thread gives what it was sent.
    fn against(answers: &'static [&'static [u8]]) -> (Gdb, std::thread::JoinHandle<Vec<u8>>) {
        let (client, mut stub) = UnixStream::pair().unwrap();
        let stub = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for answer in answers {
                let mut chunk = [0; 0x4000];
                let length = stub.read(&mut chunk).unwrap();
                heard.extend_from_slice(&chunk[..length]);
                stub.write_all(answer).unwrap();
            }
            heard
        });
        (Gdb::over(client), stub)
    }

    #[test]
    fn a_request_carries_its_checksum_and_the_next_one_acknowledges_the_answer() {
        let (mut gdb, stub) = against(&[b"+$OK#9a", b"+$OK#9a"]);
        gdb.set_breakpoint(0x1000).unwrap();
        gdb.clear_breakpoint(0x1000).unwrap();
        drop(gdb);
        assert_eq!(stub.join().unwrap(), b"$Z1,1000,1#d5+$z1,1000,1#f5");
    }

    #[test]
    fn an_answer_may_come_in_pieces_and_a_damaged_one_is_asked_for_again() {
        let (mut gdb, stub) = against(&[b"+$OK#00", b"$OK#9a"]);
        gdb.set_breakpoint(1).unwrap();
        drop(gdb);
        assert!(stub.join().unwrap().ends_with(b"-"));
        let mut pending = b"+$T05thr".to_vec();
        assert_eq!(take_packet(&mut pending), None);
        pending.extend_from_slice(b"ead:02;#08");
        assert_eq!(
            take_packet(&mut pending),
            Some(Ok("T05thread:02;".to_owned()))
        );
        assert_eq!(pending, b"");
    }

    #[test]
    fn memory_beyond_a_packet_is_read_in_parts() {
        let (client, mut stub) = UnixStream::pair().unwrap();
        let answering = std::thread::spawn(move || {
            let mut asked = Vec::new();
            let mut chunk = [0; 0x100];
            while let Ok(length @ 1..) = stub.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..length]).into_owned();
                let body = text.trim_start_matches(['+', '$']).split('#').next();
                let body = body.unwrap().to_owned();
                let answer = match body.split_once(',') {
                    Some((_, length)) => "5a".repeat(usize::from_str_radix(length, 16).unwrap()),
                    None => "OK".to_owned(),
                };
                let sum = checksum(answer.as_bytes());
                stub.write_all(format!("+${answer}#{sum:02x}").as_bytes())
                    .unwrap();
                asked.push(body);
            }
            asked
        });
        let mut gdb = Gdb::over(client);
        assert_eq!(gdb.read(Vcpu(2), 0x1000, 0x800).unwrap(), [0x5a; 0x800]);
        drop(gdb);
        assert_eq!(answering.join().unwrap(), ["Hg2", "m1000,700", "m1700,100"]);
    }

    #[test]
    fn each_cpu_goes_on_in_its_own_way_and_a_stop_names_its_cpu() {
        let (mut gdb, stub) = against(&[b"+$T05thread:02;#08"]);
        gdb.resume(&[(Vcpu(1), Go::Run), (Vcpu(2), Go::Step)])
            .unwrap();
        let stop = gdb.wait(Duration::from_secs(5)).unwrap();
        assert_eq!((stop.signal, stop.vcpu), (5, Vcpu(2)));
        drop(gdb);
        assert!(stub.join().unwrap().starts_with(b"$vCont;c:1;s:2#"));
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let (mut gdb, _stub) = against(&[b"+$#00", b"+$E14#aa", b"+"]);
        let unknown = gdb.hold_interrupts(true).unwrap_err().to_string();
        assert!(unknown.contains("Qqemu.sstep=7"), "{unknown}");
        let refused = gdb.set_breakpoint(1).unwrap_err();
        assert!(matches!(refused, GdbError::Refused { .. }), "{refused}");
        let gone = gdb.step(Vcpu(1)).unwrap_err();
        assert!(matches!(gone, GdbError::Gone { .. }), "{gone}");
    }

    #[test]
    fn a_packet_without_an_end_is_not_kept() {
        let (client, mut stub) = UnixStream::pair().unwrap();
        let talking = std::thread::spawn(move || {
            let endless = [vec![b'$'], vec![b'x'; 4 * LONGEST]].concat();
            stub.write_all(&endless)
        });
        let mut gdb = Gdb::over(client);
        let garbled = gdb.wait(Duration::from_secs(20)).unwrap_err();
        assert!(matches!(garbled, GdbError::Garbled { .. }), "{garbled}");
        drop(gdb);
        assert!(
            talking.join().unwrap().is_err(),
            "nobody listens to its end"
        );
    }

    #[test]
    fn a_qemu_that_says_that_it_ends_is_gone() {
        let (mut gdb, _stub) = against(&[b"+$W00#b7"]);
        gdb.resume_all().unwrap();
        let gone = gdb.wait(Duration::from_secs(5)).unwrap_err();
        assert!(matches!(gone, GdbError::Gone { .. }), "{gone}");
    }

    #[test]
    fn a_guest_that_does_not_stop_is_late_not_waited_for() {
        let (client, _silent) = UnixStream::pair().unwrap();
        let mut gdb = Gdb::over(client);
        let late = gdb.wait(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(late, GdbError::Late { .. }), "{late}");
    }

    #[test]
    fn where_nobody_listens_connecting_ends_in_time() {
        let nowhere = Path::new("/nonexistent/cowpath");
        let none = Gdb::connect(nowhere, Duration::from_millis(50), || true).unwrap_err();
        assert!(none.to_string().contains("gdb stub"), "{none}");
    }
}
