//! The scheduler outside the guest: holds thread 1 where it is told to, and reads what no program in the
//! guest can see. The kernel is not changed: a held CPU is sent to a few bytes between two functions,
//! where it turns in a circle with interrupts served, and back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::channel::{self, ControllerRequest, Numbered, SchedulerReply, parse};
use super::hold::spots;
use super::parking::{self, PageTable};
use super::schedule::{CopyFate, Decision, HoldRequest, Passing, Way};
use super::stack;
use crate::guest::gdb::{Gdb, GdbError, Go, Stop, Vcpu};
use crate::guest::registers::{Register, Registers};
use crate::guest::rendezvous::{Said, leave, said, shown};
use crate::guest::symbols::{Symbols, SymbolsError};
use crate::memory::trampoline::{STORE_LENGTH, Word, store_address, word_address};
use crate::record::schema::{RunFile, Skipped};
use crate::record::staged::{HeldAt, Pte, StagedResult};
use crate::worker::actors::STORE_TRAMPOLINE;

/// How long a guest may take to boot and say its first word.
const BOOT_PATIENCE: Duration = Duration::from_secs(180);
/// How long it may say nothing afterwards: its controller asks far more often.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a released CPU may take to come back from an interrupt.
const RETURN: Duration = Duration::from_secs(10);
/// Where a task goes to sleep for a lock; its stack tells there which lock, and no more when it sleeps,
/// since the kernel leaves such functions out of /proc/PID/stack.
const SLEEPS: [&str; 2] = ["rwsem_down_write_slowpath", "rwsem_down_read_slowpath"];
/// Where a copy is kept, and where a fault on the page begins anew: which of the two a thread comes by
/// first tells whether its copy stayed.
const KEEPS: &str = "ptep_clear_flush";
/// Where the one is inlined, the next is the function that it is part of (do_wp_page() in lean builds of 5.7).
const BEGINS: [&str; 3] = ["do_wp_page", "handle_pte_fault", "__handle_mm_fault"];
/// Bytes that all requests of a guest may have together; a sweep's have some 1 MB.
const HEARD: usize = 16 << 20;

/// What the guest has to tell.
#[derive(Debug)]
pub enum StageEvent {
    /// The run file that results belong to.
    Begin(Box<RunFile>),
    /// A race was played.
    Played(Box<StagedResult>),
    /// A race cannot be played on this kernel.
    Skipped(Skipped),
    /// How far a sweep is.
    Note(String),
}

impl StageEvent {
    /// What a person is told of it.
    pub fn line(&self) -> Option<String> {
        match self {
            Self::Begin(_) => None,
            Self::Played(result) => {
                Some(format!("{}: {}", result.scenario, result.verdict.label()))
            }
            Self::Skipped(skip) => Some(format!("{}: skipped: {}", skip.scenario, skip.reason)),
            Self::Note(how_far) => Some(how_far.clone()),
        }
    }
}

/// A guest that could not be directed to its end.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The debugger failed.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// The kernel's symbols are of no use.
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    /// The guest's side gave up.
    #[error("the parties could not be set up: {0}")]
    Refused(String),
    /// The guest's side asks without end.
    #[error("the guest's requests have more than {HEARD} bytes")]
    Endless,
    /// The memory that a request came from is not mapped any more.
    #[error("a request cannot be answered: {0:#x} is not mapped any more")]
    Unanswerable(u64),
    /// The guest's side asked for nothing that makes sense.
    #[error("the guest's request means nothing: {0}")]
    Garbled(#[from] serde_json::Error),
}

/// How far thread 1 is.
enum State {
    /// Nobody wants it held.
    Free,
    /// Its next store to the page is to be held.
    Armed(HoldRequest),
    /// It is on its way from the store to the hold point.
    OnItsWay(Way),
    /// It turns in a circle.
    Parked(Parked),
    /// It did not come by; why.
    Missed(String),
    /// It has not come by in time.
    Late,
}

/// A CPU that turns in a circle.
struct Parked {
    held: HeldAt,
    vcpu: Vcpu,
    page: u64,
    /// Where it is to go on.
    back: u64,
    /// Where it is parked, and what lay there.
    at: u64,
    bytes: Vec<u8>,
}

/// A CPU that stands where it was held.
struct Unparked {
    vcpu: Vcpu,
    page: u64,
    back: u64,
}

/// Where thread 1 stands when its store is made.
fn stored() -> u64 {
    store_address(STORE_TRAMPOLINE) + STORE_LENGTH
}

/// The page table that a CPU uses.
fn page_table(registers: &Registers) -> PageTable {
    PageTable::of(registers.get(Register::Cr3), registers.get(Register::Cr4))
}

/// The scheduler at work.
pub struct Scheduler<'a> {
    gdb: Gdb,
    symbols: Option<Symbols>,
    table: Option<PageTable>,
    state: State,
    /// Where CPUs have gone to sleep for a lock since thread 1 is held.
    sleepers: BTreeMap<Vcpu, Vec<String>>,
    copied: Option<CopyFate>,
    /// Bytes of the requests so far.
    heard: usize,
    tell: &'a mut dyn FnMut(StageEvent),
}

impl<'a> Scheduler<'a> {
    /// A scheduler of the guest at the other end of `gdb`, which stands at its reset vector.
    pub fn new(gdb: Gdb, tell: &'a mut dyn FnMut(StageEvent)) -> Self {
        Scheduler {
            gdb,
            symbols: None,
            table: None,
            state: State::Free,
            sleepers: BTreeMap::new(),
            copied: None,
            heard: 0,
            tell,
        }
    }

    /// Lets the guest run and serves it until it says that everything is played.
    ///
    /// # Errors
    /// If the guest goes away, says nothing for too long, or gives up.
    pub fn direct(mut self) -> Result<(), SchedulerError> {
        self.gdb.set_breakpoint(word_address())?;
        self.gdb.set_breakpoint(store_address(STORE_TRAMPOLINE))?;
        loop {
            let stop = self.run()?;
            let Some(stop) = stop else { continue };
            let registers = self.gdb.registers(stop.vcpu)?;
            let rip = registers.rip();
            if rip == word_address() {
                if let Some(said) = said(&mut self.gdb, stop)?
                    && self.heard(said)?
                {
                    return Ok(());
                }
            } else if rip == store_address(STORE_TRAMPOLINE) && registers.user() {
                self.store(stop.vcpu, &registers)?;
            } else if rip == stored() && registers.user() {
                self.miss("its store was done without coming by")?;
            } else {
                self.passed(stop.vcpu, &registers)?;
            }
        }
    }

    /// Lets the guest run until it stops; nothing if thread 1 was given up on its way.
    fn run(&mut self) -> Result<Option<Stop>, SchedulerError> {
        let (alone, within) = match &self.state {
            State::OnItsWay(way) => way.turn(Instant::now()),
            _ if self.symbols.is_none() => (None, BOOT_PATIENCE),
            _ => (None, PATIENCE),
        };
        match alone {
            Some(vcpu) => self.gdb.resume(&[(vcpu, Go::Run)])?,
            None => self.gdb.resume_all()?,
        }
        let late = match self.gdb.wait(within) {
            Ok(stop) => return Ok(Some(stop)),
            Err(late @ GdbError::Late { .. }) => late,
            Err(error) => return Err(error.into()),
        };
        let State::OnItsWay(way) = &mut self.state else {
            return Err(late.into());
        };
        let stop = self.gdb.interrupt()?;
        if !way.extend(Instant::now()) {
            self.clear_way()?;
            self.state = State::Late;
        }
        // A breakpoint may have been met at the very moment.
        Ok((stop.signal == 5).then_some(stop))
    }

    /// A party has something to say; true if that was the last word.
    fn heard(&mut self, heard: Said) -> Result<bool, SchedulerError> {
        let vcpu = heard.vcpu;
        match heard.word {
            Word::Ready => {
                let text = String::from_utf8_lossy(&heard.text);
                self.symbols = Some(Symbols::parse(&text)?);
                leave(&mut self.gdb, vcpu)?;
            }
            Word::Refused => {
                return Err(SchedulerError::Refused(shown(&heard.text)));
            }
            Word::Done => return Ok(true),
            Word::Ask => {
                self.heard += heard.text.len();
                if self.heard > HEARD {
                    return Err(SchedulerError::Endless);
                }
                let registers = self.gdb.registers(vcpu)?;
                let at = registers.get(Register::Rsi);
                let table = page_table(&registers);
                // Past the breakpoint first: it may have to run on while the answer is found. It waits for the answer's
                // number, and its CPU may have gone on to another process meanwhile.
                leave(&mut self.gdb, vcpu)?;
                let Numbered { number, request } = parse(&heard.text)?;
                let reply = self.answer(request)?;
                let answer = channel::answer(number, &reply)?;
                if !table.write(&mut self.gdb, vcpu, at, &answer)? {
                    return Err(SchedulerError::Unanswerable(at));
                }
            }
        }
        Ok(false)
    }

    fn answer(&mut self, request: ControllerRequest) -> Result<SchedulerReply, SchedulerError> {
        match request {
            ControllerRequest::Begin(file) => (self.tell)(StageEvent::Begin(file)),
            ControllerRequest::Played(result) => (self.tell)(StageEvent::Played(result)),
            ControllerRequest::Skipped(skipped) => (self.tell)(StageEvent::Skipped(skipped)),
            ControllerRequest::Note(how_far) => (self.tell)(StageEvent::Note(how_far)),
            ControllerRequest::Hold { point, page } => {
                let Some(symbols) = &self.symbols else {
                    return Ok(SchedulerReply::Impossible("there are no symbols".into()));
                };
                let order = match spots(point, symbols) {
                    Ok(spots) => HoldRequest { point, page, spots },
                    Err(why) => return Ok(SchedulerReply::Impossible(why.to_string())),
                };
                match self.unpark()? {
                    Some(from) => self.further(from, order)?,
                    None => self.state = State::Armed(order),
                }
            }
            ControllerRequest::IsHeld => {
                return Ok(match &self.state {
                    State::Parked(parked) => SchedulerReply::Held(parked.held.clone()),
                    State::Missed(why) => SchedulerReply::Impossible(why.clone()),
                    State::Late => SchedulerReply::Late,
                    _ => SchedulerReply::NotYet,
                });
            }
            ControllerRequest::Release => self.release()?,
            ControllerRequest::Kept => return Ok(SchedulerReply::Kept(self.kept()?)),
            ControllerRequest::Look(address) => {
                let Some(table) = self.table else {
                    return Ok(SchedulerReply::Entry(None));
                };
                let entry = table.read(&mut self.gdb, Vcpu(1), address)?;
                return Ok(SchedulerReply::Entry(entry.map(Pte::of)));
            }
            ControllerRequest::Where(cpu) => {
                let vcpu = Vcpu(cpu.saturating_add(1));
                let functions = match self.sleepers.get(&vcpu) {
                    Some(functions) => functions.clone(),
                    None => self.functions(vcpu)?,
                };
                return Ok(SchedulerReply::Functions(functions));
            }
        }
        Ok(SchedulerReply::Done)
    }

    /// A thread is about to store through the trampoline.
    fn store(&mut self, vcpu: Vcpu, registers: &Registers) -> Result<(), SchedulerError> {
        self.table = Some(page_table(registers));
        let page = registers.get(Register::Rdi) & !0xfff;
        match std::mem::replace(&mut self.state, State::Free) {
            State::Armed(order) if order.wants(vcpu, page) => self.watch(order, vcpu, None),
            other => {
                self.state = other;
                self.step_past(vcpu, store_address(STORE_TRAMPOLINE))
            }
        }
    }

    /// Has thread 1 go on from where it was held to a later hold point of the same fault.
    fn further(&mut self, from: Unparked, order: HoldRequest) -> Result<(), SchedulerError> {
        // Off the hold point first: it may be where faults begin.
        self.gdb.step(from.vcpu)?;
        let anew = self.begins();
        self.watch(order, from.vcpu, anew)
    }

    /// Thread 1 is on its way to a hold point from here on.
    fn watch(
        &mut self,
        order: HoldRequest,
        vcpu: Vcpu,
        anew: Option<u64>,
    ) -> Result<(), SchedulerError> {
        self.gdb.clear_breakpoint(store_address(STORE_TRAMPOLINE))?;
        self.gdb.set_breakpoint(stored())?;
        let way = Way::new(order, vcpu, anew, Instant::now());
        for address in way.watched() {
            self.gdb.set_breakpoint(address)?;
        }
        self.state = State::OnItsWay(way);
        Ok(())
    }

    /// A CPU has stopped somewhere in the kernel.
    fn passed(&mut self, vcpu: Vcpu, registers: &Registers) -> Result<(), SchedulerError> {
        let rip = registers.rip();
        let page = registers.get(Register::Cr2) & !0xfff;
        let at = Passing { vcpu, rip, page };
        let State::OnItsWay(way) = &mut self.state else {
            return self.passed_meanwhile(at);
        };
        let rsp = registers.get(Register::Rsp);
        let gdb = &mut self.gdb;
        let caller = || -> Result<u64, GdbError> {
            let word = gdb.read(vcpu, rsp, 8)?;
            Ok(word.try_into().map_or(0, u64::from_le_bytes))
        };
        match way.passed(at, caller)? {
            Decision::Leave => Ok(()),
            Decision::GoOn => self.step_past(vcpu, rip),
            Decision::Park { spot, caller } => self.park(vcpu, rip, spot, caller),
            Decision::Miss(why) => self.miss(why),
            Decision::AwaitReturn(address) => {
                self.gdb.set_breakpoint(address)?;
                self.step_past(vcpu, rip)
            }
        }
    }

    /// As [`Scheduler::passed`], while thread 1 is on no way to a hold point.
    fn passed_meanwhile(&mut self, at: Passing) -> Result<(), SchedulerError> {
        let copied = self.copied.as_mut();
        if copied.is_some_and(|copied| copied.passed(at)) {
            return self.step_past(at.vcpu, at.rip);
        }
        if self.beds().contains(&at.rip) {
            let functions = self.functions(at.vcpu)?;
            self.sleepers.insert(at.vcpu, functions);
            return self.step_past(at.vcpu, at.rip);
        }
        Ok(())
    }

    /// Sends thread 1's CPU, which stands at the hold point, to its parking place.
    fn park(
        &mut self,
        vcpu: Vcpu,
        back: u64,
        spot: usize,
        caller: u64,
    ) -> Result<(), SchedulerError> {
        let State::OnItsWay(Way { order, .. }) = &self.state else {
            return Ok(());
        };
        let (point, page) = (order.point, order.page);
        let spot = order.spots[spot].clone();
        self.clear_way()?;
        let Some(symbols) = &self.symbols else {
            return Ok(());
        };
        let Some(at) = parking::find(&mut self.gdb, vcpu, symbols, back)? else {
            self.state =
                State::Missed("no room between two functions, where a CPU could be parked".into());
            return Ok(());
        };
        let name = symbols.at(caller).map(|symbol| {
            let offset = caller - symbol.address;
            format!("{}+{offset:#x}", symbol.name)
        });
        let bytes = self.gdb.read(vcpu, at, parking::LOOP.len())?;
        self.gdb.write(vcpu, at, &parking::LOOP)?;
        let mut registers = self.gdb.registers(vcpu)?;
        registers.set(Register::Rip, at);
        self.gdb.set_registers(vcpu, &registers)?;
        self.sleepers.clear();
        for address in self.beds() {
            self.gdb.set_breakpoint(address)?;
        }
        self.state = State::Parked(Parked {
            held: HeldAt {
                point,
                function: spot.function,
                caller: name.unwrap_or_default(),
            },
            vcpu,
            page,
            back,
            at,
            bytes,
        });
        Ok(())
    }

    /// Takes the breakpoints of a hold away and puts that of stores back.
    fn clear_way(&mut self) -> Result<(), SchedulerError> {
        if let State::OnItsWay(way) = &self.state {
            for address in way.watched().into_iter().chain([stored()]) {
                self.gdb.clear_breakpoint(address)?;
            }
            self.gdb.set_breakpoint(store_address(STORE_TRAMPOLINE))?;
        }
        Ok(())
    }

    fn miss(&mut self, why: &str) -> Result<(), SchedulerError> {
        self.clear_way()?;
        self.state = State::Missed(why.to_owned());
        Ok(())
    }

    /// Lets thread 1 go on where it was held.
    fn release(&mut self) -> Result<(), SchedulerError> {
        self.clear_way()?;
        let Some(from) = self.unpark()? else {
            return Ok(());
        };
        if let (Some(keeps), Some(begins)) = (self.address(KEEPS), self.begins())
            && begins != from.back
        {
            self.gdb.set_breakpoint(keeps)?;
            self.gdb.set_breakpoint(begins)?;
            self.copied = Some(CopyFate::new(from.vcpu, from.page, keeps, begins));
        }
        Ok(())
    }

    /// Takes a held CPU from its parking place back to where it was held; nothing if none is held.
    fn unpark(&mut self) -> Result<Option<Unparked>, SchedulerError> {
        let State::Parked(parked) = std::mem::replace(&mut self.state, State::Free) else {
            return Ok(None);
        };
        let Parked {
            vcpu,
            page,
            back,
            at,
            bytes,
            ..
        } = parked;
        for address in self.beds() {
            self.gdb.clear_breakpoint(address)?;
        }
        // Only the held thread can come by: it may be in an interrupt, or set aside for another one.
        self.gdb.set_breakpoint(at)?;
        let until = Instant::now() + RETURN;
        let mut alone = true;
        let mut registers = self.gdb.registers(vcpu)?;
        while registers.rip() != at {
            let left = until.saturating_duration_since(Instant::now());
            let within = if alone { left / 4 } else { left };
            match alone {
                true => self.gdb.resume(&[(vcpu, Go::Run)])?,
                false => self.gdb.resume_all()?,
            }
            match self.gdb.wait(within.max(Duration::from_millis(1))) {
                Ok(_) => {}
                Err(GdbError::Late { .. }) if alone => {
                    alone = false;
                    self.gdb.interrupt()?;
                }
                Err(error) => return Err(error.into()),
            }
            registers = self.gdb.registers(vcpu)?;
        }
        self.gdb.clear_breakpoint(at)?;
        self.gdb.write(vcpu, at, &bytes)?;
        registers.set(Register::Rip, back);
        self.gdb.set_registers(vcpu, &registers)?;
        Ok(Some(Unparked { vcpu, page, back }))
    }

    /// The address of a kernel function.
    fn address(&self, name: &str) -> Option<u64> {
        self.symbols.as_ref().and_then(|all| all.address(name))
    }

    /// Where a fault begins anew: the first of [`BEGINS`] that is a function here.
    fn begins(&self) -> Option<u64> {
        BEGINS.iter().find_map(|name| self.address(name))
    }

    /// Whether the copy that was held has stayed; thread 1 must have made its store.
    fn kept(&mut self) -> Result<Option<bool>, SchedulerError> {
        let Some(copied) = self.copied.take() else {
            return Ok(None);
        };
        self.gdb.clear_breakpoint(copied.keeps)?;
        self.gdb.clear_breakpoint(copied.begins)?;
        Ok(Some(copied.stayed()))
    }

    /// The addresses of [`SLEEPS`].
    fn beds(&self) -> Vec<u64> {
        let symbols = self.symbols.iter();
        symbols
            .flat_map(|symbols| SLEEPS.iter().filter_map(|name| symbols.address(name)))
            .collect()
    }

    /// Has a CPU that stands at a breakpoint execute what lies there.
    fn step_past(&mut self, vcpu: Vcpu, address: u64) -> Result<(), SchedulerError> {
        self.gdb.clear_breakpoint(address)?;
        self.gdb.step(vcpu)?;
        Ok(self.gdb.set_breakpoint(address)?)
    }

    /// The kernel functions that a CPU is in, innermost first: the one that it executes, and those that
    /// calls on its stack will return to.
    fn functions(&mut self, vcpu: Vcpu) -> Result<Vec<String>, SchedulerError> {
        let registers = self.gdb.registers(vcpu)?;
        let Some(symbols) = self.symbols.as_ref().filter(|_| !registers.user()) else {
            return Ok(Vec::new());
        };
        let rsp = registers.get(Register::Rsp);
        let words = self.gdb.read(vcpu, rsp, stack::length(rsp))?;
        let gdb = &mut self.gdb;
        let is_call = |address: u64| {
            let opcode = gdb.read(vcpu, address - stack::CALL, 1);
            opcode.is_ok_and(|opcode| opcode == [stack::CALL_OPCODE])
        };
        Ok(stack::functions(registers.rip(), &words, symbols, is_call))
    }
}
