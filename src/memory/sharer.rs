//! A process that shares the area: forked from the worker, it obeys orders until it exits.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, pause};

use super::MemoryError;
use super::spawn::fork_timed;
#[cfg(doc)]
use crate::sys::usage::ThreadUsage;

/// How the stores of a trial are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// With a timestamp for each.
    Timed,
    /// With one timestamp before and one after them all.
    Bare,
    /// The same with a fence after each, as the reading of the clock has one.
    Fenced,
    /// The bare ones at trampolines, where a debugger can stop each.
    ByTrampoline,
}

impl Stores {
    /// All of them.
    pub const ALL: [Stores; 4] = [Self::Timed, Self::Bare, Self::Fenced, Self::ByTrampoline];
}

/// What a sharer can be told to do to the area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read every page.
    Read,
    /// Store to every page, untimed, with this tag.
    Store(u64),
    /// Store to every page with this tag, in that way; reply: what the kernel counted meanwhile ([`ThreadUsage`]), packed.
    Make(Stores, u64),
    /// Check the data against the fill's tag; reply: violations.
    CheckFill(u64),
    /// Check the data against the fill's tag (first) and a store's tag; reply: violations.
    CheckStored(u64, u64),
    /// Count the pages that read as zeroes behind their first word; reply: how many.
    Emptied,
    /// Take part in a race, or run one; reply: 0, or the number of threads that could not.
    Race,
    /// Check a raced area against the fill's tag; reply: violations. With a tag of stores (second,
    /// else 0) this process has raced, otherwise it must see the old data.
    CheckLines(u64, u64),
    /// Fork a child that takes this process's place, and exit; reply: the child's process id.
    Beget,
    /// Put every page into the pipe that the parent holds; reply: 0, or 1 where that failed.
    Vmsplice,
    /// Fork a child that obeys in this process's place, while this process lives on and does nothing; reply: the child's
    /// process id.
    Descend,
    /// Fork with the area and without it, with it first where that is not 0, and leave the clock ticks of either where
    /// timestamps go; reply: 0, or 1 where that failed.
    Fork(u64),
    /// Fork children that exit at once, one after another, until this process is ended; reply: 0, before the first.
    ForkOn,
    /// Drop so many bytes from the start of each folio by `madvise(MADV_DONTNEED)`; reply: 0, or 1 where that failed.
    Drop(u64),
}

impl Order {
    fn encode(self) -> [u64; 3] {
        match self {
            Order::Read => [0, 0, 0],
            Order::Store(tag) => [1, tag, 0],
            Order::Make(stores, tag) => [2, stores as u64, tag],
            Order::CheckFill(fill) => [4, fill, 0],
            Order::CheckStored(fill, tag) => [5, fill, tag],
            Order::Race => [6, 0, 0],
            Order::Emptied => [8, 0, 0],
            Order::CheckLines(fill, tag) => [7, fill, tag],
            Order::Beget => [20, 0, 0],
            Order::Vmsplice => [21, 0, 0],
            Order::Descend => [22, 0, 0],
            Order::Drop(bytes) => [23, bytes, 0],
            Order::Fork(with_first) => [24, with_first, 0],
            Order::ForkOn => [25, 0, 0],
        }
    }

    fn decode([op, a, b]: [u64; 3]) -> Option<Self> {
        Some(match op {
            0 => Order::Read,
            1 => Order::Store(a),
            2 => {
                let same = |stores: &Stores| *stores as u64 == a;
                Order::Make(Stores::ALL.into_iter().find(same)?, b)
            }
            4 => Order::CheckFill(a),
            5 => Order::CheckStored(a, b),
            6 => Order::Race,
            8 => Order::Emptied,
            7 => Order::CheckLines(a, b),
            20 => Order::Beget,
            21 => Order::Vmsplice,
            22 => Order::Descend,
            23 => Order::Drop(a),
            24 => Order::Fork(a),
            25 => Order::ForkOn,
            _ => return None,
        })
    }
}

impl Order {
    /// What it has the process do, in words.
    fn doing(self) -> &'static str {
        match self {
            Order::Read => "reading the pages",
            Order::Store(_) | Order::Make(..) => "storing to the pages",
            Order::CheckFill(_)
            | Order::CheckStored(..)
            | Order::CheckLines(..)
            | Order::Emptied => "checking the data",
            Order::Race => "taking its part in a race",
            Order::Beget => "handing over to a child of its own",
            Order::Vmsplice => "putting the pages into a pipe",
            Order::Descend => "forking a child that obeys in its place",
            Order::Drop(_) => "dropping pages",
            Order::Fork(_) | Order::ForkOn => "forking",
        }
    }
}

/// A forked process that shares every page of its parent. Killed and reaped on drop; the kernel
/// kills it when its parent dies.
pub struct Sharer {
    pid: Pid,
    /// Its ancestors below this process, the eldest first: they live and do nothing.
    elders: Vec<Pid>,
    orders: io::PipeWriter,
    replies: io::PipeReader,
    exited: bool,
}

impl Sharer {
    /// Forks; the child carries out orders with `obey`, whose result is the reply.
    ///
    /// `obey` runs in a forked child: it must not print, nor allocate while anything is timed.
    ///
    /// # Safety
    /// This process must have one thread, or `obey` must neither allocate nor take a lock: one that another thread
    /// holds at the fork is never given back in the child.
    pub unsafe fn fork(obey: impl Fn(Order) -> u64) -> Result<Self, MemoryError> {
        let pipe = || io::pipe().map_err(|e| MemoryError::refused("pipe()", e));
        let (orders_read, orders) = pipe()?;
        let (replies, replies_write) = pipe()?;
        let parent = getpid();
        // SAFETY: besides what `obey` does, which this function's contract allows, the child only reads and writes pipes
        // and memory that exists already, until it ends with _exit.
        match unsafe { fork() }.map_err(|e| MemoryError::refused("fork()", e))? {
            ForkResult::Parent { child } => Ok(Sharer {
                pid: child,
                elders: Vec::new(),
                orders,
                replies,
                exited: false,
            }),
            ForkResult::Child => {
                drop((orders, replies));
                let served = catch_unwind(AssertUnwindSafe(|| {
                    serve(parent, orders_read, replies_write, obey)
                }));
                // SAFETY: _exit has no preconditions; it skips destructors that belong to the parent.
                unsafe { libc::_exit(if served.is_ok() { 0 } else { 101 }) }
            }
        }
    }

    /// The sharer's process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Has the sharer carry out `order` and waits for its reply.
    pub fn order(&mut self, order: Order) -> Result<u64, MemoryError> {
        self.tell(order)?;
        self.hear(order)
    }

    /// Has the sharer begin to carry out `order`; [`Sharer::hear`] must follow.
    pub fn tell(&mut self, order: Order) -> Result<(), MemoryError> {
        let mut bytes = [0; 24];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(order.encode()) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
        let told = self.orders.write_all(&bytes);
        told.map_err(|e| self.lost(order, e))
    }

    /// Waits for the reply to `order`.
    pub fn hear(&mut self, order: Order) -> Result<u64, MemoryError> {
        let mut reply = [0; 8];
        let heard = self.replies.read_exact(&mut reply);
        heard.map_err(|e| self.lost(order, e))?;
        Ok(u64::from_ne_bytes(reply))
    }

    /// Why `order` got no reply: mostly that the process has ended, which closes its ends of the pipes.
    fn lost(&mut self, order: Order, error: io::Error) -> MemoryError {
        use io::ErrorKind::{BrokenPipe, UnexpectedEof};
        let doing = order.doing();
        if !matches!(error.kind(), BrokenPipe | UnexpectedEof) {
            return MemoryError::refused(
                format!("having the sharing process go on {doing}"),
                error,
            );
        }
        self.exited = true;
        let how = match waitpid(self.pid, None) {
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("was killed by {signal}"),
            Ok(WaitStatus::Exited(_, code)) => format!("ended with exit status {code}"),
            Ok(other) => format!("is gone ({other:?})"),
            Err(e) => format!("is gone ({e})"),
        };
        MemoryError::SharerDied { how, doing }
    }

    /// Has the sharer fork a child that takes its place, and exit; it is reaped. The grandchild is this
    /// process's child then.
    pub fn beget(&mut self) -> Result<(), MemoryError> {
        let refused = |e| MemoryError::refused("handing over to a grandchild", e);
        nix::sys::prctl::set_child_subreaper(true).map_err(refused)?;
        let heir = Pid::from_raw(self.order(Order::Beget)? as i32);
        waitpid(self.pid, None).map_err(refused)?;
        self.pid = heir;
        Ok(())
    }

    /// Has the sharer fork a child that obeys in its place; the sharer itself lives on and does nothing. The descendant is this
    /// process's child as soon as its elders are gone.
    pub fn descend(&mut self) -> Result<(), MemoryError> {
        let refused = |e| MemoryError::refused("handing over to a descendant", e);
        nix::sys::prctl::set_child_subreaper(true).map_err(refused)?;
        let heir = Pid::from_raw(self.order(Order::Descend)? as i32);
        self.elders.push(self.pid);
        self.pid = heir;
        Ok(())
    }

    /// Ends the elders, the eldest first, so that each next one is this process's child by then.
    fn end_elders(&mut self) -> nix::Result<()> {
        for elder in std::mem::take(&mut self.elders) {
            kill(elder, Signal::SIGKILL)?;
            waitpid(elder, None)?;
        }
        Ok(())
    }

    /// Ends the sharer, and its elders, and waits until their address spaces are gone.
    pub fn exit(mut self) -> Result<(), MemoryError> {
        let elders = self.end_elders();
        self.exited = true;
        elders
            .and_then(|()| kill(self.pid, Signal::SIGKILL))
            .and_then(|()| waitpid(self.pid, None))
            .map_err(|e| MemoryError::refused("ending the sharing process", e))
            .and_then(|status| match status {
                WaitStatus::Signaled(..) => Ok(()),
                other => Err(MemoryError::Unsupported(format!(
                    "the sharing process ended before it was told to: {other:?}"
                ))),
            })
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        let _ = self.end_elders();
        if !self.exited {
            // The process may have died by itself; it is reaped all the same.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

fn serve(
    parent: Pid,
    mut orders: io::PipeReader,
    mut replies: io::PipeWriter,
    obey: impl Fn(Order) -> u64,
) {
    // A parent that died between fork and prctl is noticed by its changed pid.
    if set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != parent {
        return;
    }
    let mut bytes = [0; 24];
    while orders.read_exact(&mut bytes).is_ok() {
        let mut words = [0; 3];
        for (word, slot) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(slot.try_into().unwrap_or_default());
        }
        let Some(order) = Order::decode(words) else {
            return;
        };
        if order == Order::Descend {
            match descend() {
                Descended::Youngest(pid) if replies.write_all(&pid.to_ne_bytes()).is_ok() => {
                    continue;
                }
                Descended::Elder => {
                    drop((orders, replies));
                    rest()
                }
                _ => return,
            }
        }
        if order == Order::ForkOn {
            let told = replies.write_all(&0u64.to_ne_bytes()).is_ok();
            while told && fork_timed(|| 0).is_ok() {}
            return;
        }
        if order == Order::Beget {
            match inherit(parent) {
                Some(heir) if replies.write_all(&heir.to_ne_bytes()).is_ok() => continue,
                _ => return,
            }
        }
        if replies.write_all(&obey(order).to_ne_bytes()).is_err() {
            return;
        }
    }
}

/// Where a process finds itself after [`descend`].
enum Descended {
    /// In the child, whose process id this is.
    Youngest(u64),
    /// In the process that forked.
    Elder,
    /// Where that failed.
    Nowhere,
}

/// Forks a child, which the kernel kills with this process.
fn descend() -> Descended {
    let forked = getpid();
    // SAFETY: this process has one thread, and the child goes on with what its parent did.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            // A parent that died between fork and prctl is noticed by its changed pid.
            match set_pdeathsig(Signal::SIGKILL).is_ok() && getppid() == forked {
                true => Descended::Youngest(getpid().as_raw() as u64),
                false => Descended::Nowhere,
            }
        }
        Ok(ForkResult::Parent { .. }) => Descended::Elder,
        Err(_) => Descended::Nowhere,
    }
}

/// Does nothing until a signal ends this process.
fn rest() -> ! {
    loop {
        pause();
    }
}

/// Forks and exits; returns in the child, once `parent` has adopted it, with the child's process id; nothing where
/// somebody else has, since `parent` is gone.
fn inherit(parent: Pid) -> Option<u64> {
    let forked = getpid();
    // SAFETY: this process has one thread, and the child goes on with what its parent did.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            while getppid() == forked {
                std::thread::yield_now();
            }
            set_pdeathsig(Signal::SIGKILL).ok()?;
            (getppid() == parent).then_some(())?;
            Some(getpid().as_raw() as u64)
        }
        Ok(ForkResult::Parent { .. }) => {
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(0) }
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_pipe() {
        for order in [
            Order::Read,
            Order::Store(3),
            Order::Make(Stores::Timed, 4),
            Order::Make(Stores::ByTrampoline, u64::MAX),
            Order::CheckFill(6),
            Order::CheckStored(7, 8),
            Order::Race,
            Order::Emptied,
            Order::CheckLines(9, 10),
            Order::Beget,
            Order::Vmsplice,
            Order::Descend,
            Order::Drop(11),
            Order::Fork(1),
            Order::ForkOn,
        ] {
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode([99, 0, 0]), None);
    }

    #[test]
    fn a_line_of_descendants_ends_with_its_sharer_and_the_youngest_obeys() {
        // SAFETY: the order neither allocates nor locks.
        let mut sharer = unsafe { Sharer::fork(|_| getpid().as_raw() as u64) }.unwrap();
        let mut line = vec![sharer.pid()];
        for _ in 0..3 {
            sharer.descend().unwrap();
            line.push(sharer.pid());
            let obeys = sharer.order(Order::Read).unwrap();
            assert_eq!(obeys, sharer.pid().as_raw() as u64);
        }
        assert!(line.iter().all(|&pid| kill(pid, None).is_ok()), "all live");
        sharer.exit().unwrap();
        for pid in line {
            assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH), "{pid}");
        }
    }

    #[test]
    fn a_sharing_process_that_dies_is_told_with_its_signal() {
        // A handler that the runtime has for the first such signal takes itself away.
        // SAFETY: the order neither allocates nor locks.
        let mut sharer = unsafe {
            Sharer::fork(|_| {
                loop {
                    let _ = kill(getpid(), Signal::SIGBUS);
                }
            })
        }
        .unwrap();
        let why = sharer.order(Order::CheckFill(1 << 34)).unwrap_err();
        assert_eq!(
            why.to_string(),
            "the sharing process was killed by SIGBUS while it was checking the data"
        );
        let again = sharer.order(Order::Read).unwrap_err().to_string();
        assert!(again.contains("is gone"), "{again}");
    }
}
