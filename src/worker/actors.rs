//! The processes of a staged race: A with its two threads, and B, which shares A's page.
//!
//! Each party waits for orders on a board that all share, and leaves there what came of them. Waiting
//! sleeps, so that a guest whose CPUs take turns loses no time over it, and nothing that a party does
//! between orders needs a lock of A's address space.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::mman::MmapAdvise;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, gettid};

use crate::memory::MemoryError;
use crate::memory::advice::{advise, executable_and_back};
use crate::memory::area::{Area, SharedWords, drain_lru_batch, page_size};
use crate::memory::gup::{LongPin, Pinner};
use crate::memory::pin::read_pinned;
use crate::memory::pipe::PipeHold;
use crate::memory::protect::protector;
use crate::memory::spawn::{child, exit_now, fork_timed};
use crate::memory::trampoline::Trampolines;
use crate::record::moves::Party;
use crate::record::staged::{Observation, Witness, WordContent};
use crate::scenario::staged::{Action, Staged};
use crate::sys::affinity::pin_from_elsewhere;
use crate::sys::uffd::Uffd;

/// The trampoline through which thread 1 stores.
pub const STORE_TRAMPOLINE: u32 = 0;
/// Turns of a party's waiting loop.
const TURN: Duration = Duration::from_micros(200);
/// How long the parties may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every word of the page holds in the beginning.
const OLD: u64 = 0x0101_0101_0101_0101;
/// What party 0 stores; the others' words follow.
const STORED: u64 = 0xc0c0_0000_0000_0001;

/// Words that one party has on the board.
const WORDS: usize = 16;
const ORDER: usize = 0;
const DONE: usize = 1;
const TASK: usize = 3;
const FAULTS: usize = 4;
const SEEN: usize = 5;
/// Words behind the parties': A's page, and a complaint.
const PAGE: usize = 3 * WORDS;
const COMPLAINT: usize = PAGE + 1;
const COMPLAINT_WORDS: usize = 32;

/// Orders beside actions.
const LOOK: u64 = 100;

/// The memory that all parties share.
struct SharedBoard(SharedWords);

impl SharedBoard {
    fn word(&self, party: Party, word: usize) -> &std::sync::atomic::AtomicU64 {
        self.0.atomic(party as usize * WORDS + word)
    }

    /// Keeps the first complaint.
    fn complain(&self, what: &str) {
        let mut bytes = [0; COMPLAINT_WORDS * 8];
        let length = what.len().min(bytes.len() - 1);
        bytes[..length].copy_from_slice(&what.as_bytes()[..length]);
        if self.0.atomic(COMPLAINT).load(Acquire) == 0 {
            for (at, word) in bytes.chunks_exact(8).enumerate().rev() {
                let word = u64::from_ne_bytes(word.try_into().unwrap_or_default());
                self.0.atomic(COMPLAINT + at).store(word, Release);
            }
        }
    }

    fn complaint(&self) -> Option<String> {
        let words = (0..COMPLAINT_WORDS).map(|at| self.0.atomic(COMPLAINT + at).load(Acquire));
        let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

/// The parties, ready to be told what to do. Their processes end when this is dropped.
pub struct Actors {
    shared_board: SharedBoard,
    a: Pid,
}

impl Actors {
    /// Has process A map and fill a page and fork B; returns when every party is ready.
    ///
    /// # Errors
    /// If something that the race needs cannot be had on this kernel.
    pub fn gather(trampolines: Trampolines, staged: &Staged) -> Result<Self, MemoryError> {
        let shared_board = SharedBoard(SharedWords::map(COMPLAINT + COMPLAINT_WORDS)?);
        let act = || {
            if let Err(why) = act_a(&shared_board, trampolines, staged) {
                shared_board.complain(&why.to_string());
            }
            1
        };
        // SAFETY: the controller has one thread.
        let a = unsafe { child(act) }?;
        let actors = Actors { shared_board, a };
        let deadline = Instant::now() + PATIENCE;
        while !Party::ALL.into_iter().all(|party| actors.task(party) != 0) {
            if let Some(why) = actors.shared_board.complaint() {
                return Err(MemoryError::Unsupported(why));
            }
            if Instant::now() > deadline {
                return Err(MemoryError::Unsupported(
                    "the parties were not ready in time".into(),
                ));
            }
            std::thread::sleep(TURN);
        }
        Ok(actors)
    }

    /// Process A.
    pub fn a(&self) -> Pid {
        self.a
    }

    /// The party's thread id; B's is that of its process.
    pub fn task(&self, party: Party) -> u64 {
        self.shared_board.word(party, TASK).load(Acquire)
    }

    /// Address of A's page.
    pub fn page(&self) -> u64 {
        self.shared_board.0.atomic(PAGE).load(Acquire)
    }

    /// Has a party do something; [`Actors::done`] tells when it has.
    pub fn order(&self, party: Party, action: Action) {
        self.give(party, number(action));
    }

    /// Has a party look at the page through `witness`.
    pub fn observe(&self, party: Party, witness: Witness) {
        self.give(party, LOOK + witness as u64);
    }

    fn give(&self, party: Party, order: u64) {
        let next = (self.shared_board.word(party, ORDER).load(Relaxed) >> 40) + 1;
        self.shared_board
            .word(party, ORDER)
            .store(next << 40 | order, Release);
    }

    /// Whether a party has carried out its last order.
    ///
    /// # Errors
    /// If it could not, with what it complains about.
    pub fn done(&self, party: Party) -> Result<bool, String> {
        if let Some(why) = self.shared_board.complaint() {
            return Err(why);
        }
        let order = self.shared_board.word(party, ORDER).load(Acquire);
        Ok(self.shared_board.word(party, DONE).load(Acquire) == order >> 40)
    }

    /// Faults that the party's last action took.
    pub fn faults(&self, party: Party) -> u64 {
        self.shared_board.word(party, FAULTS).load(Acquire)
    }

    /// What the party saw when it last looked.
    pub fn seen(&self, party: Party, through: Witness) -> Observation {
        let word = |at: usize| self.shared_board.word(party, SEEN + at).load(Acquire);
        let data = |at: usize| match word(at) {
            OLD => WordContent::Old,
            0 => WordContent::Zero,
            found if at < 3 && found == STORED + at as u64 => WordContent::Stored,
            _ => WordContent::Other,
        };
        Observation {
            through,
            one: data(0),
            two: data(1),
            sharer: data(2),
            rest: data(3),
        }
    }
}

impl Drop for Actors {
    fn drop(&mut self) {
        // B is killed with A by the kernel; both are reaped here, where this process adopts B.
        let _ = kill(self.a, Signal::SIGKILL);
        let _ = waitpid(self.a, None);
        let sharer = self.task(Party::Sharer) as i32;
        if sharer > 0 {
            let _ = kill(Pid::from_raw(sharer), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(sharer), None);
        }
    }
}

fn number(action: Action) -> u64 {
    Action::ALL
        .iter()
        .position(|&one| one == action)
        .unwrap_or(0) as u64
}

/// What the actions need beside the page.
struct Resources {
    uffd: Option<Uffd>,
    /// At rest until thread 2 pins.
    pinner: Mutex<Option<Pinner>>,
    pinned: OnceLock<LongPin>,
    pipe: Option<PipeHold>,
    trampolines: Trampolines,
}

/// Process A: sets everything up, forks B, and becomes thread 1.
fn act_a(
    shared_board: &SharedBoard,
    trampolines: Trampolines,
    staged: &Staged,
) -> Result<(), MemoryError> {
    let (page, rehearsal) = (Area::map(1)?, Area::map(1)?);
    for area in [&page, &rehearsal] {
        area.fill(0);
        for word in 0..4 {
            // SAFETY: a word of the area's only page, which nobody else knows yet.
            unsafe { area.slot(0, word).write_volatile(OLD) };
        }
    }
    drain_lru_batch()?;
    let pipe = staged.has(Action::Vmsplice).then(|| PipeHold::open(&page));
    let pinner = match staged.has(Action::PinLong) {
        true => {
            // Before anything is held: the device may be there and know no such pins.
            drop(Pinner::open()?.pin(&rehearsal)?);
            Some(Pinner::open()?)
        }
        false => None,
    };
    let mut resources = Resources {
        uffd: None,
        pinner: Mutex::new(pinner),
        pinned: OnceLock::new(),
        pipe: pipe.transpose()?,
        trampolines,
    };
    // For B's sake: the rehearsal's page must not be what makes B copy.
    let act = || match serve(shared_board, Party::Sharer, &page, &rehearsal, &resources) {
        Ok(()) => 0,
        Err(why) => {
            shared_board.complain(&why);
            1
        }
    };
    // SAFETY: process A has one thread so far.
    unsafe { child(act) }?;
    if staged.has(Action::UffdProtect) {
        resources.uffd = Some(protector(&page)?);
    }
    let refused = |why: String| MemoryError::Unsupported(why);
    shared_board
        .0
        .atomic(PAGE)
        .store(page.base() as u64, Release);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Err(why) = serve(shared_board, Party::Two, &page, &rehearsal, &resources) {
                shared_board.complain(&why);
            }
        });
        serve(shared_board, Party::One, &page, &rehearsal, &resources).map_err(refused)
    })
}

/// Waits for orders and carries them out, for ever; what the first store and pin touch beside the page
/// is touched in a rehearsal.
fn serve(
    shared_board: &SharedBoard,
    party: Party,
    page: &Area,
    rehearsal: &Area,
    resources: &Resources,
) -> Result<(), String> {
    pin_from_elsewhere(party.cpu()).map_err(|e| e.to_string())?;
    for action in [Action::Read, Action::Store, Action::Pin] {
        act(party, action, rehearsal, resources)?;
        observe(shared_board, party, Witness::Mapping, rehearsal, resources)?;
    }
    // Young in every process: a page that nobody has touched has its Accessed bit clear.
    page.read();
    let task = match party {
        Party::Sharer => getpid(),
        _ => gettid(),
    };
    shared_board
        .word(party, TASK)
        .store(task.as_raw() as u64, Release);
    let mut last = 0;
    loop {
        let order = shared_board.word(party, ORDER).load(Acquire);
        if order >> 40 == last {
            std::thread::sleep(TURN);
            continue;
        }
        last = order >> 40;
        let what = order & !(last << 40);
        let witnesses = [
            Witness::Mapping,
            Witness::Sharer,
            Witness::Pin,
            Witness::Pipe,
        ];
        let faults = match what.checked_sub(LOOK) {
            Some(witness) => {
                let witness = witnesses.get(witness as usize).ok_or("no such witness")?;
                observe(shared_board, party, *witness, page, resources)?;
                0
            }
            None => {
                let action = *Action::ALL.get(what as usize).ok_or("no such action")?;
                if action == Action::Exit {
                    shared_board.word(party, DONE).store(last, Release);
                }
                act(party, action, page, resources)?
            }
        };
        shared_board.word(party, FAULTS).store(faults, Release);
        shared_board.word(party, DONE).store(last, Release);
    }
}

/// Does it, and tells how many faults it took.
fn act(party: Party, action: Action, page: &Area, resources: &Resources) -> Result<u64, String> {
    let word = page.slot(0, party as usize);
    let value = STORED + party as u64;
    let before = faults();
    let failed = |e: MemoryError| format!("{} {}: {e}", party.label(), action.label());
    let os = |e: std::io::Error| format!("{} {}: {e}", party.label(), action.label());
    let missing = || format!("{}: not set up", action.label());
    match (action, party) {
        (Action::Store, Party::One) => {
            // SAFETY: a word of the area's page that this thread alone stores to.
            unsafe { resources.trampolines.store(STORE_TRAMPOLINE, word, value) }
        }
        // SAFETY: likewise.
        (Action::Store, _) => unsafe { word.write_volatile(value) },
        (Action::Read, _) => page.read(),
        (Action::Pin, _) => {
            if read_pinned(word.cast()).is_err() {
                return Err(
                    "process_vm_readv() failed; needs a kernel with CONFIG_CROSS_MEMORY_ATTACH=y"
                        .into(),
                );
            }
        }
        (Action::PinLong, _) => {
            let mut pinner = resources
                .pinner
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let pin = pinner.take().ok_or_else(missing)?.pin(page);
            let _ = resources.pinned.set(pin.map_err(failed)?);
        }
        (Action::UffdProtect | Action::UffdUnprotect, _) => {
            let uffd = resources.uffd.as_ref().ok_or_else(missing)?;
            let on = action == Action::UffdProtect;
            uffd.writeprotect(page.base() as usize, page.len(), on)
                .map_err(os)?;
        }
        (Action::Mprotect, _) => executable_and_back(page).map_err(failed)?,
        (Action::DontNeed, _) => page.drop_pages().map_err(failed)?,
        (Action::PageOut, _) => {
            advise(page, MmapAdvise::MADV_PAGEOUT, "MADV_PAGEOUT").map_err(failed)?;
        }
        (Action::Fork, _) => {
            fork_timed(|| 0).map_err(failed)?;
        }
        (Action::Age, _) => {
            std::fs::write("/proc/self/clear_refs", "1").map_err(os)?;
            // That leaves CPUs with what they remember of the page table; unmapping much does not.
            drain_lru_batch().map_err(failed)?;
        }
        (Action::Vmsplice, _) => {
            let pipe = resources.pipe.as_ref().ok_or_else(missing)?;
            pipe.splice(page).map_err(os)?;
        }
        (Action::Unmap, _) => {
            page.unmap_timed(|| 0).map_err(failed)?;
        }
        (Action::Exit, _) => exit_now(0),
    }
    Ok(faults() - before)
}

/// Page faults of this thread so far.
fn faults() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| {
        (usage.minor_page_faults() + usage.major_page_faults()) as u64
    })
}

/// Leaves on the board what the page holds, as `witness` sees it.
fn observe(
    shared_board: &SharedBoard,
    party: Party,
    witness: Witness,
    page: &Area,
    resources: &Resources,
) -> Result<(), String> {
    let through = |bytes: &[u8], at: usize| {
        let start = page.slot(0, at) as usize - page.base() as usize;
        let word = bytes.get(start..start + 8).unwrap_or_default();
        word.try_into().map_or(0, u64::from_ne_bytes)
    };
    let words: [u64; 4] = match witness {
        Witness::Mapping | Witness::Sharer => std::array::from_fn(|at| {
            // SAFETY: a word of the area's page.
            unsafe { page.slot(0, at).read_volatile() }
        }),
        Witness::Pin => {
            let pin = resources.pinned.get().ok_or("nothing is pinned")?;
            let words = pin.words().map_err(|e| e.to_string())?;
            let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
            std::array::from_fn(|at| through(&bytes, at))
        }
        Witness::Pipe => {
            let pipe = resources.pipe.as_ref().ok_or("there is no pipe")?;
            let mut bytes = vec![0; page_size()];
            pipe.release(0, &mut bytes).map_err(|e| e.to_string())?;
            std::array::from_fn(|at| through(&bytes, at))
        }
    };
    for (at, word) in words.into_iter().enumerate() {
        shared_board.word(party, SEEN + at).store(word, Release);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_crosses_processes_and_the_first_one_stays() {
        let shared_board = SharedBoard(SharedWords::map(COMPLAINT + COMPLAINT_WORDS).unwrap());
        assert_eq!(shared_board.complaint(), None);
        shared_board.complain("no userfaultfd");
        shared_board.complain("another");
        assert_eq!(shared_board.complaint().as_deref(), Some("no userfaultfd"));
    }

    #[test]
    fn every_action_has_a_number_of_its_own() {
        for (at, &action) in Action::ALL.iter().enumerate() {
            assert_eq!(number(action), at as u64);
        }
        assert!((Action::ALL.len() as u64) < LOOK);
    }
}
