//! What is timed of a trial: its stores, or an operation in their place.

use crate::memory::MemoryError;
use crate::memory::pin::read_pinned;
use crate::memory::sharer::{Order, Stores};
use crate::record::outcome::Outcome;
use crate::scenario::workload::Actor;
use crate::scenario::{Step, Timed};
use crate::sys::usage::ThreadUsage;
use crate::worker::region::{
    ForkWay, PairedTicks, fork_both_ways, page_out, populate, protect, unmap,
};
use crate::worker::stored::{Stored, TrialFindings, check_data};
use crate::worker::timed::calls_timed;
use crate::worker::trial::Prepared;

impl<'a> Prepared<'a> {
    /// Makes the stores of the trial and says what became of them.
    ///
    /// # Errors
    /// If a process is gone, a state did not last, or the kernel refuses what is needed to judge.
    pub fn store(mut self, stores: Stores) -> Result<TrialFindings, MemoryError> {
        let source = self.fixture.source;
        let (integrity, ticks, loop_ticks, pair) = match self.fixture.scenario.timed {
            Timed::Unmap => {
                let integrity = check_data(&mut self)?;
                let (scaled, took) = unmap(source, &self.state.area)?;
                (integrity, vec![scaled], took, None)
            }
            Timed::Protect => {
                let (scaled, took) = protect(source, &self.state.area)?;
                (check_data(&mut self)?, vec![scaled], took, None)
            }
            Timed::Populate => {
                let (scaled, took) = populate(source, &self.state.area)?;
                (check_data(&mut self)?, vec![scaled], took, None)
            }
            Timed::PageOut => {
                let integrity = check_data(&mut self)?;
                let (scaled, took) = page_out(source, &self.state.area)?;
                (integrity, vec![scaled], took, None)
            }
            Timed::Fork | Timed::Vfork => {
                let integrity = check_data(&mut self)?;
                let pair = self.fork()?;
                (integrity, Vec::new(), pair.with, Some(pair))
            }
            Timed::Store | Timed::ReadPin | Timed::DirectWrite => {
                return self.make_stores(stores)?.judge();
            }
        };
        Ok(TrialFindings {
            outcomes: vec![Outcome::Operation],
            ticks,
            loop_ticks,
            pair,
            surplus: 0,
            usage: None,
            inferred: 0,
            referenced: None,
            direct_reads: None,
            taken: None,
            by_place: Vec::new(),
            huge: None,
            integrity,
            proven: None,
        })
    }

    /// Has the actor fork with the area and without it.
    fn fork(&mut self) -> Result<PairedTicks, MemoryError> {
        let (fixture, state) = (self.fixture, &mut self.state);
        let way = ForkWay::of(fixture.scenario, &state.area);
        match (fixture.scenario.actor(), &mut state.sharer) {
            (Actor::Child, Some(child)) => {
                match child.order(Order::Fork(u64::from(self.with_first)))? {
                    0 => Ok(fixture.forked()),
                    _ => Err(MemoryError::Unsupported(
                        "fork() failed in the child".into(),
                    )),
                }
            }
            (_, other) => {
                if let (true, Some(other)) = (fixture.scenario.has(Step::ChildForksOn), other) {
                    other.order(Order::ForkOn)?;
                }
                fork_both_ways(fixture.source, &state.area, way, self.with_first)
            }
        }
    }

    /// Makes the stores, or what is timed in their place.
    ///
    /// # Errors
    /// If the process that is to make them is gone, or a call that is timed fails.
    pub fn make_stores(mut self, stores: Stores) -> Result<Stored<'a>, MemoryError> {
        let usage = match (self.fixture.scenario.timed, self.state.direct()) {
            (Timed::ReadPin, _) => self.call("process_vm_readv()", read_pinned)?,
            (Timed::DirectWrite, Some(direct)) => {
                self.call("writing with O_DIRECT", |page| direct.write(page))?
            }
            (Timed::DirectWrite, None) => {
                let why = "needs a file opened with O_DIRECT; the scenario opens none";
                return Err(MemoryError::Unsupported(why.into()));
            }
            _ => match (self.fixture.scenario.actor(), &mut self.state.sharer) {
                (Actor::Child, Some(child)) => {
                    ThreadUsage::unpacked(child.order(Order::Make(stores, self.tag))?)
                }
                _ => self.fixture.store(&self.state.area, self.tag, stores),
            },
        };
        Ok(Stored {
            prepared: self,
            stores,
            usage,
        })
    }

    /// Makes a call for every page; tells what the kernel counted of this thread meanwhile.
    fn call(
        &self,
        what: &str,
        call: impl Fn(*mut u8) -> nix::Result<()>,
    ) -> Result<ThreadUsage, MemoryError> {
        self.fixture.touch();
        let before = ThreadUsage::now();
        let stamps = &self.fixture.stamps;
        calls_timed(self.fixture.source, &self.state.area, stamps, call)
            .map_err(|error| MemoryError::refused(format!("{what}, while it was timed,"), error))?;
        Ok(before.until_now())
    }
}
