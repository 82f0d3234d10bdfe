//! One thread of a race: where it stands, when it acts, and the loop over the pages.

use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork};

use super::accesses::{
    Act, DontNeed, Mprotect, Pin, RacingCaller, Read, ReadAndRelease, ReadLocked, Store,
    StoreLocked, UffdWp, Unmap,
};
use super::context::RaceContext;
use super::exit_tracker::ExitTracker;
use super::forker::{ThreadsLeft, fork_at_rate};
use super::shared::{Orders, RaceShared, ThreadRecord, Watching};
use crate::machine::capability::taskstats;
use crate::measure::clock::{Cntvct, MonotonicRaw, Ticks, Tsc};
use crate::measure::discards::AllocationWatch;
use crate::measure::locks::LockWatch;
use crate::measure::probes::Probes;
use crate::memory::area::{Area, page_size};
use crate::memory::pipe::PipeHold;
use crate::memory::protect::protector;
use crate::memory::sigsegv::Survivor;
use crate::record::clock::ClockSource;
use crate::record::race::WaitedFor;
use crate::scenario::workload::{Access, Actor, OtherProcess, Rendezvous};
use crate::sys::affinity::pin_from_elsewhere;
use crate::sys::missing::errno;
use crate::sys::uffd::Uffd;
use crate::sys::usage::ThreadUsage;
use crate::worker::stack::{AFTER_FORK, OF_A_THREAD, OwnStack, touch_stack};

/// Bytes of a thread's stack.
const STACK: usize = 512 << 10;
/// Allocations and frees per page that a watch has room for.
const EVENTS: usize = 6;

impl RaceContext<'_> {
    /// Takes this process's part in the race: as the one whose threads race, or as the `forked`
    /// other process. Tells the number of complaints, which are in the shared memory.
    pub fn race(&self, area: &Area, pipe: Option<&PipeHold>, forked: bool) -> u64 {
        let race = &self.shared.race;
        if forked && race.within == Actor::Parent && race.other_process == OtherProcess::Unmaps {
            unmap(self, area)
        } else {
            run(self, area, pipe)
        }
    }
}

/// Runs the race in this process: one thread for each place in the line-up. Returns the number of
/// complaints.
fn run(context: &RaceContext, area: &Area, pipe: Option<&PipeHold>) -> u64 {
    let shared = context.shared;
    match set_up_and_race(context, area, pipe) {
        Ok(()) => {}
        Err(why) => shared.complain(0, &why),
    }
    u64::from(shared.aborted())
}

fn set_up_and_race(
    context: &RaceContext,
    area: &Area,
    pipe: Option<&PipeHold>,
) -> Result<(), String> {
    let shared = context.shared;
    let any = |access| (0..shared.threads()).any(|n| shared.race.access(n) == access);
    let uffd = if any(Access::UffdWp) {
        Some(protector(area).map_err(|e| e.to_string())?)
    } else {
        None
    };
    let survivor = if any(Access::Mprotect) {
        Some(Survivor::install(area).map_err(|e| e.to_string())?)
    } else {
        None
    };
    let pages = RacedPages {
        area,
        pipe,
        uffd: uffd.as_ref(),
    };
    let left = &ThreadsLeft::new(shared.threads());
    std::thread::scope(|scope| {
        let forking = shared.race.forks_meanwhile();
        for number in 0..shared.threads() + usize::from(forking) {
            let pages = &pages;
            let started =
                std::thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || {
                        let done = match number == shared.other_process() {
                            true => fork_at_rate(context, left),
                            false => take_part(context, pages, number),
                        };
                        if let Err(why) = done {
                            shared.complain(number, &why);
                        }
                        left.one_less();
                    });
            if let Err(e) = started {
                shared.complain(number, &format!("starting a thread: {e}"));
                left.one_less();
            }
        }
    });
    shared.count(0, survivor.map_or(0, |survivor| survivor.survived()));
    Ok(())
}

/// The pages that are raced for, and what the threads do to them with.
struct RacedPages<'a> {
    area: &'a Area,
    /// The pipe that holds them, if one does.
    pipe: Option<&'a PipeHold>,
    /// Write-protects them, where a thread does.
    uffd: Option<&'a Uffd>,
}

fn take_part(context: &RaceContext, pages: &RacedPages, number: usize) -> Result<(), String> {
    let shared = context.shared;
    pin_from_elsewhere(shared.placement.cpus[number]).map_err(|e| e.to_string())?;
    // A fork must not make the stack copy-on-write: the next word spilled there would fault in the timed window.
    let _own = match shared.race.forks_meanwhile() {
        true => Some(OwnStack::kept()?),
        false => None,
    };
    touch_stack::<OF_A_THREAD>();
    let mut racer = RaceThread {
        taskstats: taskstats::Reader::open().map_err(|missing| missing.to_string()),
        ..RaceThread::unwatched(shared, number)
    };
    racer.watch(context)?;
    if number == 0 && shared.race.other_process != OtherProcess::Rests {
        let edge = ExitTracker::new(pages.area, context.tick_ns);
        racer.edge = Some(edge.map_err(|e| format!("/proc/self/pagemap: {e}"))?);
    }
    racer.take_turns(pages)
}

/// The other process's part in a process that shares the area and unmaps it page by page.
fn unmap(context: &RaceContext, area: &Area) -> u64 {
    let shared = context.shared;
    let number = shared.other_process();
    if let Err(e) = pin_from_elsewhere(shared.placement.other_process) {
        shared.complain(number, &e.to_string());
    }
    touch_stack::<OF_A_THREAD>();
    let racer = RaceThread::unwatched(shared, number);
    let caller = RacingCaller {
        area,
        shared,
        thread: number,
        called: Ok(()),
    };
    let record = &shared.records[number];
    if let Err(why) = racer.run(shared.orders(), Unmap { caller, record }) {
        shared.complain(number, &why);
    }
    u64::from(shared.aborted())
}

/// A thread that is about to go over the pages.
struct RaceThread<'a> {
    shared: &'a RaceShared,
    record: &'a ThreadRecord,
    number: usize,
    watch: Option<AllocationWatch>,
    locks: Vec<(WaitedFor, LockWatch)>,
    probes: Option<Probes>,
    edge: Option<ExitTracker>,
    taskstats: Result<taskstats::Reader, String>,
}

impl<'a> RaceThread<'a> {
    fn unwatched(shared: &'a RaceShared, number: usize) -> Self {
        RaceThread {
            shared,
            record: &shared.records[number],
            number,
            watch: None,
            locks: Vec::new(),
            probes: None,
            edge: None,
            taskstats: Err("only racing threads are asked".into()),
        }
    }

    /// Opens what this trial is watched by.
    fn watch(&mut self, context: &RaceContext) -> Result<(), String> {
        let shared = self.shared;
        let events = EVENTS * shared.race.page_divisor() as usize * shared.pages;
        match shared.orders().watching {
            Watching::Nothing => {}
            Watching::Allocations => {
                let open = |t| AllocationWatch::open(t, events, events);
                self.watch = context.tracepoints.map(open).transpose()?;
                // Where none can be had, the track stays empty.
                self.probes = context.probes.then(|| Probes::open().ok()).flatten();
            }
            Watching::Locks => {
                let watched = match shared.race.forks {
                    Some(_) => &[WaitedFor::Locks, WaitedFor::MmapLock][..],
                    None => &[WaitedFor::Locks],
                };
                self.locks = context.wait_watches(watched, events);
            }
        }
        Ok(())
    }

    /// Goes over the pages with this thread's access.
    fn take_turns(self, pages: &RacedPages) -> Result<(), String> {
        let (shared, record, thread) = (self.shared, self.record, self.number);
        let (area, saw) = (pages.area, [0; 2]);
        let orders = shared.orders();
        let caller = RacingCaller {
            area,
            shared,
            thread,
            called: Ok(()),
        };
        match shared.race.access(thread) {
            Access::Store if thread == 1 && shared.race.other_process == OtherProcess::Exits => {
                let act = StoreAfterExit {
                    store: Store::new(area, thread, orders.tag),
                    shared,
                    record: &shared.records[shared.other_process()],
                    area,
                    child: None,
                };
                self.run(orders, act)
            }
            Access::Store => self.run(orders, Store::new(area, thread, orders.tag)),
            Access::Read => self.run(orders, Read { area, record, saw }),
            Access::Pin => {
                let pid = std::process::id() as i32;
                let act = Pin {
                    area,
                    record,
                    shared,
                    thread,
                    saw,
                    pid,
                };
                self.run(orders, act)
            }
            Access::Mprotect => self.run(orders, Mprotect(caller)),
            Access::UffdWp => {
                let stores = |&n: &usize| shared.race.access(n) == Access::Store;
                let act = UffdWp {
                    area,
                    uffd: pages.uffd.ok_or("no userfaultfd")?,
                    shared,
                    thread,
                    sleepers: (0..shared.threads()).filter(stores).collect(),
                    patience: 2000,
                    refused: None,
                };
                self.run(orders, act)
            }
            Access::DontNeed => self.run(orders, DontNeed(caller)),
            Access::StoreLocked => self.run(orders, StoreLocked::new(area, shared)),
            Access::ReadLocked => self.run(orders, ReadLocked::new(area, shared, thread)),
            Access::ReadAndRelease => {
                let Some(pipe) = pages.pipe else {
                    return self.run(orders, Read { area, record, saw });
                };
                let act = ReadAndRelease {
                    area,
                    record,
                    shared,
                    thread,
                    pipe,
                    buffer: vec![1; page_size()],
                    saw,
                    released: false,
                };
                self.run(orders, act)
            }
        }
    }

    fn run(mut self, orders: Orders, act: impl Act) -> Result<(), String> {
        let shared = self.shared;
        let everybody = shared.parties();
        let copies = |reader: &Result<taskstats::Reader, String>| {
            let reader = reader.as_ref().map_err(String::clone)?;
            // Asked twice: the first answer touches what the second needs.
            let copies = reader.copies().and_then(|_| reader.copies());
            copies.map_err(|error| format!("taskstats: {}", errno(&error)))
        };
        let before = copies(&self.taskstats);
        if let Some(watch) = &mut self.watch {
            watch
                .start()
                .map_err(|e| format!("starting the tracepoints: {e}"))?;
        }
        if let Some(probes) = &mut self.probes {
            probes.start()?;
        }
        for (_, watch) in &mut self.locks {
            watch
                .start()
                .map_err(|e| format!("starting the tracepoints: {e}"))?;
        }
        if !shared.gather(everybody) {
            return Ok(());
        }
        let usage = ThreadUsage::now();
        match shared.source {
            ClockSource::Tsc => self.go::<Tsc>(orders, act),
            ClockSource::Cntvct => self.go::<Cntvct>(orders, act),
            ClockSource::MonotonicRaw => self.go::<MonotonicRaw>(orders, act),
        }
        self.record.used(usage.until_now());
        if let Some(watch) = self.watch.take() {
            watch.finish(&self.record.events)?;
        }
        if let Some(mut probes) = self.probes.take() {
            self.record.probed(probes.late()?);
        }
        self.record.note_waits(std::mem::take(&mut self.locks));
        match before.and_then(|before| Ok(copies(&self.taskstats)?.wrapping_sub(before))) {
            Ok(finished) => self.record.copied(finished),
            Err(why) => self.record.uncounted(&why),
        }
        Ok(())
    }

    fn go<T: Ticks>(&mut self, orders: Orders, mut act: impl Act) {
        match self.shared.race.rendezvous {
            Rendezvous::Free => self.sweep::<T>(&mut act),
            _ => self.meet::<T>(orders, &mut act),
        }
    }

    /// As fast as it can, without waiting for anybody.
    fn sweep<T: Ticks>(&mut self, act: &mut impl Act) {
        for page in self.shared.pages_of(self.number) {
            self.mark(page, 0);
            let begin = T::now();
            act.act(page);
            let end = T::now();
            self.mark(page, 1);
            self.record.stamp(page, begin, end);
        }
    }

    /// At a common deadline for each page.
    fn meet<T: Ticks>(&mut self, orders: Orders, act: &mut impl Act) {
        let (shared, number) = (self.shared, self.number);
        for page in 0..shared.pages {
            if !act.prepare(page) || !self.come_together::<T>(page, orders) {
                return;
            }
            let begin = match self.turn(page) {
                Some(target) => shared.spin_to::<T>(number, target),
                None => {
                    act.follow();
                    T::now()
                }
            };
            act.act(page);
            let end = T::now();
            shared.done(number, page);
            self.mark(page, 1);
            self.record.stamp(page, begin, end);
            act.after(page);
            if let Some(edge) = &mut self.edge {
                edge.learn(page);
            }
        }
    }

    /// Whether this thread acts as soon as the other process has acted, on the CPU that they share.
    fn follows_other_process(&self) -> bool {
        let shared = self.shared;
        self.number != shared.other_process()
            && shared.race.other_process != OtherProcess::Rests
            && shared.placement.cpus[self.number] == shared.placement.other_process
    }

    /// Announces the deadline (thread 0) or waits for it. False if the race is off.
    fn come_together<T: Ticks>(&mut self, page: usize, orders: Orders) -> bool {
        let (shared, number) = (self.shared, self.number);
        let crowded = shared.placement.crowded();
        let threads = shared.threads();
        let other_process = shared.race.other_process != OtherProcess::Rests;
        if number == 0 {
            let others = threads + usize::from(other_process);
            for other in 1..others {
                if !shared.wait(crowded, || shared.is_ready(other, page)) {
                    return false;
                }
            }
            // A fork has made the stack read-only.
            if shared.race.other_process == OtherProcess::Exits {
                touch_stack::<AFTER_FORK>();
            }
            let edge = match &mut self.edge {
                Some(edge) => edge.next(page, orders.lead),
                None => 0,
            };
            self.mark(page, 0);
            shared.announce(page, T::now() + orders.lead, edge);
            return true;
        }
        let sharing = other_process && shared.placement.other_process_shares();
        if number == shared.other_process() && sharing {
            // Whoever shares this CPU gets ready first, and then lets the other process have it.
            for other in 1..threads {
                let same = shared.placement.cpus[other] == shared.placement.other_process;
                if same && !shared.wait(true, || shared.is_ready(other, page)) {
                    return false;
                }
            }
        }
        self.mark(page, 0);
        shared.ready(number, page);
        if self.follows_other_process() {
            return match shared.race.other_process {
                // Reaped by the access itself.
                OtherProcess::Exits => true,
                _ => shared.wait(true, || shared.is_done(shared.other_process(), page)),
            };
        }
        shared.wait(crowded, || shared.deadline(page).0 != 0)
    }

    /// The tick at which to act; `None`: at once.
    fn turn(&self, page: usize) -> Option<u64> {
        let shared = self.shared;
        if self.follows_other_process() {
            return None;
        }
        let (deadline, edge) = shared.deadline(page);
        let skew = if self.number == 0 {
            (-shared.skew).max(0)
        } else {
            shared.skew.max(0)
        };
        let own = if self.number == shared.other_process() {
            shared.orders().lead
        } else {
            let swept = if self.number > 0 {
                swept(page, shared.sweep)
            } else {
                0
            };
            edge + skew as u64 + swept
        };
        Some(deadline + own)
    }

    #[inline]
    fn mark(&self, page: usize, side: usize) {
        if let Some(mark) = self.watch.as_ref().and_then(AllocationWatch::mark) {
            self.record.mark(page, side, mark);
        }
    }
}

/// Where in the sweep `page` lies: pages are spread evenly over it, neighbours far apart.
pub(super) fn swept(page: usize, sweep: u64) -> u64 {
    let spread = (page as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (spread * sweep) >> 32
}

/// Forks a process that exits while the page is raced, and stores.
struct StoreAfterExit<'a> {
    store: Store<'a>,
    shared: &'a RaceShared,
    record: &'a ThreadRecord,
    area: &'a Area,
    child: Option<Pid>,
}

impl StoreAfterExit<'_> {
    /// Reaps the child that exits; its parent is woken as soon as its memory is gone.
    #[inline]
    fn reap(&mut self) {
        if let Some(child) = self.child.take() {
            let mut status = 0;
            // SAFETY: the status lives across the call; the child is this process's own.
            unsafe { libc::waitpid(child.as_raw(), &mut status, libc::__WALL) };
        }
    }
}

impl Act for StoreAfterExit<'_> {
    fn prepare(&mut self, page: usize) -> bool {
        let runner = nix::unistd::getpid();
        // SAFETY: the child makes system calls, touches memory that exists and ends by _exit.
        match unsafe { fork() } {
            Ok(ForkResult::Parent { child }) => self.child = Some(child),
            Ok(ForkResult::Child) => {
                self.exit_in_time(page, runner);
                // SAFETY: _exit has no preconditions.
                unsafe { libc::_exit(0) }
            }
            Err(e) => {
                self.shared
                    .complain(self.store.thread, &format!("fork(): {e}"));
                return false;
            }
        }
        touch_stack::<AFTER_FORK>();
        true
    }

    fn follow(&mut self) {
        self.reap();
    }

    #[inline(always)]
    fn act(&mut self, page: usize) {
        self.store.act(page);
    }

    fn after(&mut self, _page: usize) {
        self.reap();
    }
}

impl StoreAfterExit<'_> {
    /// The child's life.
    fn exit_in_time(&self, page: usize, parent: Pid) {
        let (shared, number) = (self.shared, self.shared.other_process());
        if nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_err()
            || nix::unistd::getppid() != parent
        {
            return;
        }
        if !shared.placement.other_process_shares() {
            let _ = pin_from_elsewhere(shared.placement.other_process);
        }
        let mut read = Read {
            area: self.area,
            record: self.record,
            saw: [0; 2],
        };
        read.act(page);
        read.after(page);
        // The rival shares the CPU and is about to sleep until this process ends.
        let sharing = shared.placement.other_process_shares();
        if sharing && !shared.wait(true, || shared.is_ready(1, page)) {
            return;
        }
        shared.ready(number, page);
        if !shared.wait(false, || shared.deadline(page).0 != 0) {
            return;
        }
        let target = shared.deadline(page).0 + shared.orders().lead;
        let begin = match shared.source {
            ClockSource::Tsc => shared.spin_to::<Tsc>(number, target),
            ClockSource::Cntvct => shared.spin_to::<Cntvct>(number, target),
            ClockSource::MonotonicRaw => shared.spin_to::<MonotonicRaw>(number, target),
        };
        self.record.stamp(page, begin, begin);
    }
}
