//! The staged races, and what is expected of them.

use globset::{Glob, GlobSetBuilder};

use super::Action::{
    Age, DontNeed, Exit, Fork, Mprotect, PageOut, Pin, PinLong, Read, Store, UffdProtect,
    UffdUnprotect, Unmap, Vmsplice,
};
use super::source::{
    ACCESSED, DROPPED, LOCKED, MAPPED_ONCE, NONE_MEANWHILE, NOT_ASKED_AGAIN, PIN_LEFT_BEHIND,
    PIN_STORES, PINNED_ALONE, PINNED_UNASKED, PTL_HELD, RECLAIMED, REFERENCED, UNPROTECTED,
    UNSHARED_BY_COPY, UNSHARED_BY_MARK,
};
use super::{Action, Move, Staged};
use crate::record::moves::FaultOutcome::{
    BackedOff, Copy, Fill, Pinned, Reuse, UnshareCopy, UnshareReuse,
};
use crate::record::moves::Party::{Sharer, Two};
use crate::record::moves::{HoldPoint, Lock, Party, RaceVerdict};
use crate::record::predicted::Predicted;
use crate::record::rule::PinRule;
use crate::scenario::catalogue::ChoiceError;
use crate::scenario::expectation::{Basis, Expectation, FLAG, Rules};

/// Faults hold the lock of one mapping in place of the mmap lock from here on.
const VMA_LOCK: (u32, u32) = (6, 4);
/// Lifting userfaultfd's protection gives an exclusive page its write bit back from here on.
const WRITE_BIT_BACK: (u32, u32) = (6, 3);

const fn step(party: Party, action: Action) -> Move {
    Move { party, action }
}

const fn of(predicted: Predicted, basis: Basis) -> Expectation<Predicted> {
    Expectation::of(predicted, basis)
}

/// Pins that take a page as it is.
const TAKES: &[PinRule] = &[PinRule::Takes];
/// Pins that unshare.
const UNSHARES: &[PinRule] = &[PinRule::Unshares];
/// Pins that store nothing.
const NO_STORE: &[PinRule] = &[PinRule::Takes, PinRule::Unshares];

/// The rival's store copies: thread 1's reference is one more.
const COPIED_TOO: Expectation<Predicted> =
    of(Predicted::coherent(BackedOff).rival(Copy), REFERENCED);
/// By mapcount a pin marks the page exclusive, its PTE stays as it was, and thread 1 replaces the page under the pin.
const MARKED: Expectation<Predicted> = of(
    Predicted::coherent(Copy)
        .rival(UnshareReuse)
        .but(RaceVerdict::StalePin),
    UNSHARED_BY_MARK,
)
.under(Rules::MAPCOUNT)
.since(FLAG);
/// The same, and thread 1 looks again before it installs its copy.
const MARKED_AND_SEEN: Expectation<Predicted> = of(
    Predicted::coherent(BackedOff).rival(UnshareReuse),
    UNSHARED_BY_MARK,
)
.under(Rules::MAPCOUNT)
.since(FLAG)
.recheck(true);
/// A pin unshares by a copy, since thread 1's reference is one more.
const UNSHARED: Expectation<Predicted> = of(
    Predicted::coherent(BackedOff).rival(UnshareCopy),
    UNSHARED_BY_COPY,
)
.since(FLAG);

/// The pin is a store: by mapcount it reuses the page and makes its PTE writable, and thread 1 backs off.
const STORED_BY_PIN: [Expectation<Predicted>; 2] = {
    const STORES: &[PinRule] = &[PinRule::BreaksCow];
    let reused = Predicted::coherent(BackedOff).rival(UnshareReuse);
    let copied = Predicted::coherent(BackedOff).rival(UnshareCopy);
    [
        of(reused, PIN_STORES).under(Rules::MAPCOUNT).pins(STORES),
        of(copied, PIN_STORES).pins(STORES),
    ]
};

/// B has gone and thread 2 stores while thread 1 holds a reference of its own.
const STORED: &[Expectation<Predicted>] = &[
    of(Predicted::coherent(BackedOff).rival(Reuse), MAPPED_ONCE).under(Rules::MAPCOUNT),
    COPIED_TOO,
];

/// B has gone and thread 2 pins for reading.
const PINNED: &[Expectation<Predicted>] = &[
    STORED_BY_PIN[0],
    STORED_BY_PIN[1],
    of(Predicted::coherent(Copy).rival(Pinned), PINNED_UNASKED).pins(TAKES),
    of(Predicted::coherent(Copy).rival(Pinned), PINNED_ALONE)
        .pins(UNSHARES)
        .before(FLAG),
    MARKED_AND_SEEN,
    MARKED,
    UNSHARED,
];

/// B has gone and thread 2 takes a pin for reading that stays. By refcount thread 1 backs off; but the pin's reference makes
/// its second fault copy the page away from it.
const PINNED_FOR_LONG: &[Expectation<Predicted>] = &[
    STORED_BY_PIN[0],
    STORED_BY_PIN[1],
    of(
        Predicted::coherent(Copy)
            .rival(Pinned)
            .but(RaceVerdict::StalePin),
        PINNED_UNASKED,
    )
    .pins(TAKES),
    of(
        Predicted::coherent(Copy)
            .rival(Pinned)
            .but(RaceVerdict::StalePin),
        PINNED_ALONE,
    )
    .pins(UNSHARES)
    .before(FLAG),
    MARKED_AND_SEEN,
    MARKED,
    of(
        Predicted::coherent(BackedOff)
            .rival(UnshareCopy)
            .but(RaceVerdict::StalePin),
        PIN_LEFT_BEHIND,
    )
    .under(Rules::REFCOUNT)
    .since(FLAG),
    UNSHARED,
];

/// Thread 2 needs the address space, or the mapping, for itself.
const SERIALISED: &[Expectation<Predicted>] = &[
    of(Predicted::coherent(Copy).waits(Lock::Mmap), LOCKED).before(VMA_LOCK),
    of(Predicted::coherent(Copy).waits(Lock::Vma), LOCKED).since(VMA_LOCK),
];

/// What most of them have in common.
const BASE: Staged = Staged {
    id: "",
    summary: "",
    founding: false,
    before: &[],
    hold: HoldPoint::Copied,
    steps: &[],
    expected: &[],
};

/// Every staged race, in the order in which tables show them.
pub const STAGED: &[Staged] = &[
    Staged {
        id: "window/store",
        summary: "B exits, then thread 2 stores: may it reuse the page that thread 1 is copying?",
        founding: true,
        steps: &[step(Sharer, Exit), step(Two, Store)],
        expected: STORED,
        ..BASE
    },
    Staged {
        id: "window/store-uffd-wp",
        summary: "B exits, thread 2 stores, then the page is write-protected and unprotected: does thread 1 find the PTE as it left it?",
        founding: true,
        steps: &[
            step(Sharer, Exit),
            step(Two, Store),
            step(Two, UffdProtect),
            step(Two, UffdUnprotect),
        ],
        expected: &[
            of(
                Predicted::coherent(Copy)
                    .rival(Reuse)
                    .but(RaceVerdict::LostStore),
                UNPROTECTED,
            )
            .under(Rules::MAPCOUNT)
            .before(WRITE_BIT_BACK),
            of(Predicted::coherent(BackedOff).rival(Reuse), UNPROTECTED)
                .under(Rules::MAPCOUNT)
                .since(WRITE_BIT_BACK),
            COPIED_TOO.under(Rules::REFCOUNT.or(Rules::EXCLUSIVE)),
        ],
        ..BASE
    },
    Staged {
        id: "window/pin",
        summary: "B exits, then thread 2 reads by process_vm_readv: is the page replaced that a pin was just given?",
        founding: true,
        steps: &[step(Sharer, Exit), step(Two, Pin)],
        expected: PINNED,
        ..BASE
    },
    Staged {
        id: "window/pin-longterm",
        summary: "B exits, then thread 2 takes a read-only pin that stays: does it see thread 1's store?",
        founding: true,
        steps: &[step(Sharer, Exit), step(Two, PinLong)],
        expected: PINNED_FOR_LONG,
        ..BASE
    },
    Staged {
        id: "window/pipe",
        summary: "B has put the page into a pipe and exits, then thread 2 stores: does the pipe see the store?",
        before: &[step(Sharer, Vmsplice)],
        steps: &[step(Sharer, Exit), step(Two, Store)],
        expected: &[
            of(
                Predicted::coherent(BackedOff)
                    .rival(Reuse)
                    .but(RaceVerdict::Leak),
                MAPPED_ONCE,
            )
            .under(Rules::MAPCOUNT)
            .pins(NO_STORE),
            // Where a pin stores, B's own copy is in the pipe and the page is A's alone before thread 1 comes.
            COPIED_TOO.pins(NO_STORE),
        ],
        ..BASE
    },
    Staged {
        id: "window/dontneed",
        summary: "thread 2 drops the page and stores anew: a copy must not bring the old data back",
        steps: &[step(Two, DontNeed), step(Two, Store)],
        expected: &[of(Predicted::coherent(BackedOff).rival(Fill), DROPPED)],
        ..BASE
    },
    Staged {
        id: "window/read-old",
        summary: "thread 2 merely reads the page, whose Accessed bit is clear: the CPU itself changes the PTE",
        before: &[step(Two, Age)],
        steps: &[step(Two, Read)],
        expected: &[of(Predicted::coherent(BackedOff), ACCESSED)],
        ..BASE
    },
    Staged {
        id: "window/sharer-stores",
        summary: "B stores in place of exiting: A's PTE does not change",
        steps: &[step(Sharer, Store)],
        expected: &[of(Predicted::coherent(Copy).rival(Copy), NOT_ASKED_AGAIN)],
        ..BASE
    },
    Staged {
        id: "window/sharer-unmaps",
        summary: "B unmaps the page: thread 1's copy was needless, and is kept",
        steps: &[step(Sharer, Unmap)],
        expected: &[of(Predicted::coherent(Copy), NOT_ASKED_AGAIN)],
        ..BASE
    },
    Staged {
        id: "window/pageout",
        summary: "B exits and thread 2 has the page reclaimed: it cannot go, since thread 1 holds a reference, but its PTE becomes a swap entry",
        steps: &[step(Sharer, Exit), step(Two, PageOut)],
        expected: &[of(Predicted::coherent(BackedOff), RECLAIMED)],
        ..BASE
    },
    Staged {
        id: "window/mprotect",
        summary: "thread 2 changes the mapping's protection: it has to wait",
        steps: &[step(Two, Mprotect)],
        expected: SERIALISED,
        ..BASE
    },
    Staged {
        id: "window/fork",
        summary: "thread 2 forks: it has to wait",
        steps: &[step(Two, Fork)],
        expected: SERIALISED,
        ..BASE
    },
    Staged {
        id: "before-copy/store",
        summary: "as window/store, with thread 1 held before it copies",
        hold: HoldPoint::BeforeCopy,
        steps: &[step(Sharer, Exit), step(Two, Store)],
        expected: STORED,
        ..BASE
    },
    Staged {
        id: "decided/store",
        summary: "as window/store, with thread 1 held before it allocates",
        hold: HoldPoint::Decided,
        steps: &[step(Sharer, Exit), step(Two, Store)],
        expected: STORED,
        ..BASE
    },
    Staged {
        id: "undecided/store",
        summary: "B exits and thread 2 stores while thread 1 has decided nothing: thread 2 waits, thread 1 may reuse",
        hold: HoldPoint::Undecided,
        steps: &[step(Sharer, Exit), step(Two, Store)],
        expected: &[
            of(Predicted::coherent(Reuse).waits(Lock::PageTable), PTL_HELD).under(Rules::BUT_NEVER),
        ],
        ..BASE
    },
    Staged {
        id: "flushed/store",
        summary: "thread 2 stores between thread 1's flush and its new PTE: it finds no page and waits",
        hold: HoldPoint::Flushed,
        steps: &[step(Two, Store)],
        expected: &[of(
            Predicted::coherent(Copy).waits(Lock::PageTable),
            NONE_MEANWHILE,
        )],
        ..BASE
    },
    Staged {
        id: "flushed/read",
        summary: "thread 2 reads between thread 1's flush and its new PTE: may it still see the old page while another CPU stores to the new one?",
        hold: HoldPoint::Flushed,
        steps: &[step(Two, Read)],
        expected: &[of(
            Predicted::coherent(Copy).waits(Lock::PageTable),
            NONE_MEANWHILE,
        )],
        ..BASE
    },
];

/// The staged races whose id matches any of `globs`, in catalogue order; all for none.
///
/// # Errors
/// A pattern that is none, and one that matches nothing.
pub fn choose(globs: &[String]) -> Result<Vec<&'static Staged>, ChoiceError> {
    let mut set = GlobSetBuilder::new();
    for text in globs {
        let bad = |e: globset::Error| ChoiceError::BadGlob {
            glob: text.clone(),
            reason: e.kind().to_string(),
        };
        let glob = Glob::new(text).map_err(bad)?;
        let matcher = glob.compile_matcher();
        if !STAGED.iter().any(|staged| matcher.is_match(staged.id)) {
            return Err(ChoiceError::NoStaged {
                glob: text.clone(),
                ids: STAGED.iter().map(|staged| staged.id).collect(),
            });
        }
        set.add(glob);
    }
    let set = set.build().map_err(|e| ChoiceError::BadGlob {
        glob: globs.join(" "),
        reason: e.to_string(),
    })?;
    Ok(STAGED
        .iter()
        .filter(|staged| globs.is_empty() || set.is_match(staged.id))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::rule::{PinRule, Rule, SmallRule};
    use crate::scenario::expectation::{KernelTraits, expected};

    #[test]
    fn ids_are_unique_and_read_group_slash_situation() {
        for staged in STAGED {
            let (group, situation) = staged.id.split_once('/').unwrap();
            assert!(!group.is_empty() && !situation.is_empty());
            let same = STAGED.iter().filter(|other| other.id == staged.id);
            assert_eq!(same.count(), 1, "{}", staged.id);
        }
    }

    /// A kernel that was switched to the mapcount rule.
    fn by_mapcount(version: (u32, u32)) -> KernelTraits {
        KernelTraits {
            switched: Some(Rule::Mapcount),
            ..KernelTraits::own(SmallRule::Exclusive, Some(version))
        }
    }

    #[test]
    fn something_is_expected_of_each_race_on_each_kernel_it_is_had_on() {
        let own = |rule, version| KernelTraits::own(rule, Some(version));
        let kernels = [
            own(SmallRule::Refcount, (5, 10)),
            own(SmallRule::Exclusive, (6, 1)),
            own(SmallRule::Exclusive, (6, 12)),
            own(SmallRule::Exclusive, (7, 2)),
            by_mapcount((5, 10)),
            by_mapcount((6, 12)),
            by_mapcount((7, 2)),
        ];
        for staged in STAGED {
            for kernel in &kernels {
                let one = expected(staged.expected, kernel);
                assert!(one.is_some(), "{} on {kernel:?}", staged.id);
            }
        }
    }

    #[test]
    fn nothing_is_said_of_pins_where_it_is_not_known_whether_they_store() {
        let own = KernelTraits::own(SmallRule::Mapcount, Some((5, 4)));
        for staged in STAGED {
            let pins = staged.has(Pin) || staged.has(PinLong) || staged.has(Vmsplice);
            let one = expected(staged.expected, &own);
            assert_eq!(one.is_none(), pins, "{}", staged.id);
        }
    }

    /// As seen on 5.4.286 and 5.7.14, where a pin is a write fault.
    #[test]
    fn a_pin_that_stores_has_thread_1_back_off_and_leaves_a_pipe_nothing_to_see() {
        let kernel = KernelTraits {
            pin: PinRule::BreaksCow,
            ..KernelTraits::own(SmallRule::Mapcount, Some((5, 7)))
        };
        let of = |id: &str| expected(choose(&[id.into()]).unwrap()[0].expected, &kernel);
        let pin = of("window/pin").unwrap().outcomes;
        assert_eq!(pin, Predicted::coherent(BackedOff).rival(UnshareReuse));
        assert_eq!(of("window/pipe"), None);
    }

    /// The sharer is gone when thread 2 pins, so that a pin that asks for mappings alone takes the page.
    #[test]
    fn a_pin_that_unshares_before_the_flag_leaves_the_race_as_one_that_takes() {
        for id in ["window/pin", "window/pin-longterm"] {
            let of = |pin| {
                let kernel = KernelTraits {
                    pin,
                    ..KernelTraits::own(SmallRule::Mapcount, Some((5, 10)))
                };
                expected(choose(&[id.into()]).unwrap()[0].expected, &kernel).unwrap()
            };
            let takes = of(PinRule::Takes).outcomes;
            assert_eq!(of(PinRule::Unshares).outcomes, takes, "{id}");
        }
    }

    #[test]
    fn mapcount_alone_is_predicted_to_do_harm_but_for_pins_that_stay_and_the_recheck_to_mend_pins()
    {
        let harm = |staged: &Staged, kernel: &KernelTraits| {
            let one = expected(staged.expected, kernel);
            one.is_some_and(|one| one.outcomes.verdict.is_harm())
        };
        let on_612 = |rule| KernelTraits::own(rule, Some((6, 12)));
        for staged in STAGED {
            let refcount = harm(staged, &on_612(SmallRule::Refcount));
            assert_eq!(refcount, staged.has(PinLong), "{}", staged.id);
            assert!(
                !harm(staged, &on_612(SmallRule::Exclusive)),
                "{}",
                staged.id
            );
        }
        let pin = choose(&["window/pin".into()]).unwrap()[0];
        let plain = by_mapcount((6, 12));
        assert!(harm(pin, &plain));
        let recheck = KernelTraits {
            recheck: true,
            ..plain
        };
        assert!(!harm(pin, &recheck));
    }

    #[test]
    fn a_glob_that_matches_nothing_names_what_there_is() {
        let error = choose(&["nothing/*".into()]).unwrap_err().to_string();
        assert!(error.contains("window/store"), "{error}");
        assert_eq!(choose(&[]).unwrap().len(), STAGED.len());
        assert_eq!(choose(&["*/store".into()]).unwrap().len(), 5);
    }
}
