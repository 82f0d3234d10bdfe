//! What a stop of a CPU means for thread 1 on its way to a hold point: the scheduler's decisions, which need no guest.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::hold::Spot;
use crate::guest::gdb::Vcpu;
use crate::record::moves::{HoldPoint, Party};

/// How long thread 1 may take from its store to the hold point, alone and then with the others.
const WAY: Duration = Duration::from_secs(5);

/// A hold that was asked for.
pub(super) struct HoldRequest {
    pub point: HoldPoint,
    /// Address of the page that is stored to.
    pub page: u64,
    /// Every place that may be the hold point.
    pub spots: Vec<Spot>,
}

/// A CPU that has stopped at a breakpoint in the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub vcpu: Vcpu,
    pub rip: u64,
    /// The page of its last fault.
    pub page: u64,
}

/// What the scheduler is to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The place is of no interest any more.
    Leave,
    /// The CPU goes on past the breakpoint.
    GoOn,
    /// Thread 1 is where it is to be held: at this spot, called from this address.
    Park { spot: usize, caller: u64 },
    /// Thread 1 is to be held when it comes back to this address, and goes on past the breakpoint until then.
    AwaitReturn(u64),
    /// Thread 1 does not come by any more; why.
    Miss(&'static str),
}

/// Thread 1 between its store and the hold point.
pub(super) struct Way {
    pub order: HoldRequest,
    pub vcpu: Vcpu,
    /// The place that the function entered will return to, and which of the spots it was.
    returns: Option<(u64, usize)>,
    /// Where a fault on the page begins anew; known where this one was held before.
    anew: Option<u64>,
    /// Whether the other CPUs stand.
    alone: bool,
    until: Instant,
}

impl HoldRequest {
    /// Whether a store by this CPU to this page is the one to be held.
    pub fn wants(&self, vcpu: Vcpu, page: u64) -> bool {
        self.page == page && vcpu.0 == Party::One.cpu() + 1
    }
}

impl Way {
    /// Thread 1 sets out at `now`.
    pub fn new(order: HoldRequest, vcpu: Vcpu, anew: Option<u64>, now: Instant) -> Self {
        Way {
            // A flush wants an answer of the other CPUs.
            alone: order.point != HoldPoint::Flushed,
            order,
            vcpu,
            returns: None,
            anew,
            until: now + WAY,
        }
    }

    /// Every address in the kernel that is watched, once each: a breakpoint that is set twice stays when it is cleared.
    pub fn watched(&self) -> BTreeSet<u64> {
        let spots = self.order.spots.iter().map(|spot| spot.address);
        let returns = self.returns.map(|(address, _)| address);
        spots.chain(returns).chain(self.anew).collect()
    }

    /// The CPU that is to run alone, if one is, and for how long at the most.
    pub fn turn(&self, now: Instant) -> (Option<Vcpu>, Duration) {
        let left = self.until.saturating_duration_since(now);
        let left = left.max(Duration::from_millis(1));
        (self.alone.then_some(self.vcpu), left)
    }

    /// Its time is up; whether it gets more, with the other CPUs running: it may wait for one of them, as for the
    /// answer to a TLB flush.
    pub fn extend(&mut self, now: Instant) -> bool {
        let extended = self.alone;
        if extended {
            self.alone = false;
            self.until = now + WAY;
        }
        extended
    }

    /// A CPU has come by; `caller` reads the return address on its stack.
    ///
    /// # Errors
    /// Those of `caller`.
    pub fn passed<E>(
        &mut self,
        at: Passing,
        caller: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Decision, E> {
        let one = at.vcpu == self.vcpu;
        let own = one && at.page == self.order.page;
        if let Some((address, spot)) = self.returns
            && at.rip == address
        {
            return Ok(match one {
                true => Decision::Park {
                    spot,
                    caller: at.rip,
                },
                false => Decision::GoOn,
            });
        }
        if self.anew == Some(at.rip) {
            return Ok(match own {
                true => Decision::Miss("its copy was thrown away and the fault began anew"),
                false => Decision::GoOn,
            });
        }
        let mut spots = self.order.spots.iter();
        let Some(found) = spots.position(|spot| spot.address == at.rip) else {
            return Ok(Decision::Leave);
        };
        let spot = &self.order.spots[found];
        let caller = caller()?;
        let right = spot
            .caller
            .as_ref()
            .is_none_or(|from| from.offset(caller).is_some());
        Ok(match own && right {
            false => Decision::GoOn,
            true if spot.returned => {
                self.returns = Some((caller, found));
                Decision::AwaitReturn(caller)
            }
            true => Decision::Park {
                spot: found,
                caller,
            },
        })
    }
}

/// What became of the copy that was held, as far as it is known.
pub(super) struct CopyFate {
    pub vcpu: Vcpu,
    pub page: u64,
    /// Where a copy is kept.
    pub keeps: u64,
    /// Where a fault on the page begins anew.
    pub begins: u64,
    kept: Option<bool>,
}

impl CopyFate {
    /// A copy of which nothing is known yet.
    pub fn new(vcpu: Vcpu, page: u64, keeps: u64, begins: u64) -> Self {
        CopyFate {
            vcpu,
            page,
            keeps,
            begins,
            kept: None,
        }
    }

    /// A CPU has come by; whether the place is one of the two. Which of them thread 1 comes by first tells.
    pub fn passed(&mut self, at: Passing) -> bool {
        let met = at.rip == self.keeps || at.rip == self.begins;
        if met && at.vcpu == self.vcpu && at.page == self.page && self.kept.is_none() {
            self.kept = Some(at.rip == self.keeps);
        }
        met
    }

    /// Whether it has stayed; thread 1 must have made its store. Who came by neither place has thrown the copy away
    /// and found nothing left to do.
    pub fn stayed(&self) -> bool {
        self.kept.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::stage::hold::Caller;

    const ONE: Vcpu = Vcpu(1);
    const TWO: Vcpu = Vcpu(2);
    const PAGE: u64 = 0x7000;

    fn spot(address: u64, caller: Option<Caller>, returned: bool) -> Spot {
        Spot {
            function: "f".into(),
            address,
            caller,
            returned,
        }
    }

    fn way(point: HoldPoint, spots: Vec<Spot>, anew: Option<u64>) -> Way {
        let order = HoldRequest {
            point,
            page: PAGE,
            spots,
        };
        Way::new(order, ONE, anew, Instant::now())
    }

    fn passed(way: &mut Way, vcpu: Vcpu, rip: u64, page: u64, caller: u64) -> Decision {
        let at = Passing { vcpu, rip, page };
        way.passed(at, || Ok::<_, Infallible>(caller)).unwrap()
    }

    #[test]
    fn thread_1_is_held_at_the_spot_and_nobody_else() {
        let copier = Caller::new("wp_page_copy", 0x100, 0x200);
        let mut way = way(
            HoldPoint::Copied,
            vec![spot(0x10, Some(copier), false), spot(0x20, None, false)],
            None,
        );
        let mut at = |vcpu, rip, page, caller| passed(&mut way, vcpu, rip, page, caller);
        assert_eq!(at(TWO, 0x10, PAGE, 0x150), Decision::GoOn);
        assert_eq!(at(ONE, 0x10, PAGE + 0x1000, 0x150), Decision::GoOn);
        assert_eq!(at(ONE, 0x10, PAGE, 0x250), Decision::GoOn, "another caller");
        assert_eq!(at(ONE, 0x30, PAGE, 0x150), Decision::Leave);
        let first = Decision::Park {
            spot: 0,
            caller: 0x150,
        };
        assert_eq!(at(ONE, 0x10, PAGE, 0x150), first);
        let second = Decision::Park {
            spot: 1,
            caller: 0x999,
        };
        assert_eq!(at(ONE, 0x20, PAGE, 0x999), second);
    }

    #[test]
    fn a_hold_point_behind_a_function_is_where_thread_1_returns_to() {
        let mut way = way(HoldPoint::Flushed, vec![spot(0x10, None, true)], None);
        let entered = passed(&mut way, ONE, 0x10, PAGE, 0x150);
        assert_eq!(entered, Decision::AwaitReturn(0x150));
        assert_eq!(way.watched(), BTreeSet::from([0x10, 0x150]));
        assert_eq!(passed(&mut way, TWO, 0x150, PAGE, 0), Decision::GoOn);
        // Its last fault may be another by then: the stack is its own.
        let back = passed(&mut way, ONE, 0x150, 0, 0);
        let held = Decision::Park {
            spot: 0,
            caller: 0x150,
        };
        assert_eq!(back, held);
    }

    #[test]
    fn a_fault_that_begins_anew_does_not_come_by_the_later_hold_point() {
        let spots = vec![spot(0x10, None, false), spot(0x40, None, false)];
        let mut way = way(HoldPoint::Copied, spots, Some(0x40));
        assert_eq!(way.watched(), BTreeSet::from([0x10, 0x40]));
        assert_eq!(passed(&mut way, TWO, 0x40, PAGE, 0), Decision::GoOn);
        assert_eq!(passed(&mut way, ONE, 0x40, 0, 0), Decision::GoOn);
        let miss = passed(&mut way, ONE, 0x40, PAGE, 0);
        assert!(matches!(miss, Decision::Miss(why) if why.contains("anew")));
    }

    #[test]
    fn thread_1_runs_alone_first_and_then_once_more_with_the_others() {
        let now = Instant::now();
        let mut way = way(HoldPoint::Copied, Vec::new(), None);
        assert_eq!(way.turn(now).0, Some(ONE));
        assert!(way.extend(now + WAY));
        assert_eq!(way.turn(now + WAY), (None, WAY));
        assert_eq!(way.turn(now + 3 * WAY).1, Duration::from_millis(1));
        assert!(!way.extend(now + 2 * WAY));
    }

    #[test]
    fn a_flush_never_runs_alone() {
        let mut way = way(HoldPoint::Flushed, Vec::new(), None);
        assert_eq!(way.turn(Instant::now()).0, None);
        assert!(!way.extend(Instant::now()));
    }

    #[test]
    fn only_the_store_of_thread_1_to_the_page_is_held() {
        let order = way(HoldPoint::Copied, Vec::new(), None).order;
        let one = Vcpu(Party::One.cpu() + 1);
        assert!(order.wants(one, PAGE));
        assert!(!order.wants(one, PAGE + 0x1000));
        assert!(!order.wants(Vcpu(one.0 + 1), PAGE));
    }

    #[test]
    fn a_copy_stays_if_it_is_kept_before_the_fault_begins_anew() {
        let held = || CopyFate::new(ONE, PAGE, 0x10, 0x20);
        let at = |vcpu, rip, page| Passing { vcpu, rip, page };
        for (first, second, stayed) in [(0x10, 0x20, true), (0x20, 0x10, false)] {
            let mut copy = held();
            assert!(
                copy.passed(at(TWO, second, PAGE)),
                "another CPU's says nothing"
            );
            assert!(copy.passed(at(ONE, second, 0)), "nor another page's");
            assert!(copy.passed(at(ONE, first, PAGE)));
            assert!(copy.passed(at(ONE, second, PAGE)));
            assert_eq!(copy.stayed(), stayed);
        }
        let mut copy = held();
        assert!(!copy.passed(at(ONE, 0x30, PAGE)));
        assert!(!copy.stayed());
    }
}
