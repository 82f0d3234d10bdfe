//! What a staged race came to: each party's part, and the verdict on the data. Evidence in, judgement
//! out; nothing here touches a guest.

use crate::record::moves::{FaultOutcome, HoldPoint, Party, RaceVerdict};
use crate::record::staged::{Observation, Pte, Witness, WordContent};
use crate::scenario::staged::{Action, Move};

/// When a step was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before thread 1 began its store.
    Before,
    /// While thread 1 was held.
    Held,
    /// It had to wait until thread 1 went on.
    Released,
    /// When thread 1's store was done.
    After,
    /// It never was.
    Never,
}

/// A step as it was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayedStep {
    /// Who did what.
    pub step: Move,
    /// When it was finished.
    pub when: When,
}

/// Frames of a pin that ended before the data could be looked at through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// What the pin came to.
    pub came: FaultOutcome,
    /// The frame that A had mapped right after the pin.
    pub then: u64,
    /// The frame that A has mapped in the end.
    pub now: u64,
    /// Whether the copy that thread 1 had made before the pin was kept. A copy of a later fault is a
    /// decision of its own, made when the pin had ended.
    pub kept: bool,
}

/// Everything that a verdict rests on.
#[derive(Clone, Debug)]
pub struct RaceEvidence<'a> {
    /// The steps beside thread 1's store, in order.
    pub steps: &'a [PlayedStep],
    /// Whether thread 1's store was finished.
    pub one_finished: bool,
    /// The data through every witness.
    pub seen: &'a [Observation],
    /// The frames of a pin that has ended.
    pub pin: Option<Pinned>,
}

/// The verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What became of the data.
    pub verdict: RaceVerdict,
    /// Why, in a sentence.
    pub reason: String,
}

/// What a store came to that was made while nobody else moved: the entry before and after, and the
/// faults that it took.
pub fn store_came(before: &Pte, after: &Pte, faults: u64) -> FaultOutcome {
    match (faults, before.present) {
        (0, _) => FaultOutcome::NoFault,
        (_, false) if before.raw == "0x0" => FaultOutcome::Fill,
        (_, false) => FaultOutcome::SwapIn,
        _ if before.pfn == after.pfn => FaultOutcome::Reuse,
        _ => FaultOutcome::Copy,
    }
}

/// What thread 1's store came to: the entry when it was held, when it was released and in the end.
///
/// `kept` is what was seen of the copy itself. Where nothing could be seen, entries and faults decide: a
/// copy that is kept ends the first fault and changes the frame; one that is thrown away leaves the frame
/// as the rival has left it, or takes a second fault to change it.
pub fn held_store_came(
    hold: HoldPoint,
    kept: Option<bool>,
    [held, released, end]: [&Pte; 3],
    faults: u64,
) -> FaultOutcome {
    let kept = match (hold, kept) {
        (HoldPoint::Undecided | HoldPoint::Flushed, _) => held.pfn != end.pfn,
        (_, Some(kept)) => kept,
        (_, None) => faults == 1 && (!released.present || released.pfn != end.pfn),
    };
    match (faults, kept, hold) {
        (0, ..) => FaultOutcome::NoFault,
        (_, true, _) => FaultOutcome::Copy,
        (_, false, HoldPoint::Undecided) => FaultOutcome::Reuse,
        (_, false, _) => FaultOutcome::BackedOff,
    }
}

/// What A's mapping may hold of the word that `party` stores (or, for `None`, of one that nobody does)
/// after thread 1's store and the steps were made in their order.
fn due(steps: &[PlayedStep], party: Option<Party>) -> Vec<WordContent> {
    let mut word = match party {
        Some(Party::One) => vec![WordContent::Stored],
        _ => vec![WordContent::Old],
    };
    for PlayedStep { step, when } in steps {
        match (step.action, when) {
            (_, When::Never) => {}
            (Action::Store, _) if step.party == Party::Two && party == Some(Party::Two) => {
                word = vec![WordContent::Stored];
            }
            (Action::DontNeed, _) if party != Some(Party::One) => word = vec![WordContent::Zero],
            (Action::DontNeed, When::After) => word = vec![WordContent::Zero],
            // It was made while thread 1 went on: before its store or behind it.
            (Action::DontNeed, When::Released) => word.push(WordContent::Zero),
            _ => {}
        }
    }
    word
}

/// The verdict on the data.
pub fn judge(evidence: &RaceEvidence) -> Ruling {
    let ruling = |verdict, reason: String| Ruling { verdict, reason };
    let late = |when| {
        evidence
            .steps
            .iter()
            .find(move |played| played.when == when)
    };
    if !evidence.one_finished {
        return ruling(
            RaceVerdict::Lost,
            "thread 1 never came back from its store".into(),
        );
    }
    if let Some(never) = late(When::Never) {
        return ruling(
            RaceVerdict::Lost,
            format!("a move was never finished: {}", never.step.label()),
        );
    }
    if !evidence
        .seen
        .iter()
        .any(|seen| seen.through == Witness::Mapping)
    {
        return ruling(RaceVerdict::Lost, "nobody has looked at the data".into());
    }
    let mut harm: Vec<Ruling> = evidence
        .seen
        .iter()
        .filter_map(|seen| observe(evidence.steps, seen))
        .collect();
    if let Some(pin) = evidence.pin
        && pin.came != FaultOutcome::Pinned
        && pin.kept
        && pin.then != pin.now
    {
        harm.push(ruling(
            RaceVerdict::StalePin,
            format!(
                "frame {:#x}, which the pin had made A's own, was replaced by {:#x}: whoever still held the pin would not see A's stores",
                pin.then, pin.now
            ),
        ));
    }
    // What was lost outranks what was seen too early or too late.
    harm.sort_by_key(|one| one.verdict);
    if let Some(first) = harm.first() {
        let reasons: Vec<&str> = harm.iter().map(|one| one.reason.as_str()).collect();
        return ruling(first.verdict, reasons.join("; "));
    }
    match late(When::Released) {
        Some(waited) => ruling(
            RaceVerdict::Blocked,
            format!(
                "{} only after thread 1 went on; everybody sees what he must",
                waited.step.label()
            ),
        ),
        None => ruling(
            RaceVerdict::Coherent,
            "everybody sees what he must, and nothing else".into(),
        ),
    }
}

/// What is wrong with the data through one witness.
fn observe(steps: &[PlayedStep], seen: &Observation) -> Option<Ruling> {
    let through = seen.through.label();
    let wrong = |verdict, reason| Some(Ruling { verdict, reason });
    let rest = match seen.through {
        Witness::Mapping => due(steps, None)[0],
        _ => WordContent::Old,
    };
    match seen.through {
        Witness::Mapping => {
            for party in [Party::One, Party::Two] {
                let (due, found) = (due(steps, Some(party)), seen.word(party));
                let what = party.label();
                match due[0] {
                    _ if due.contains(&found) => {}
                    WordContent::Stored => {
                        return wrong(
                            RaceVerdict::LostStore,
                            format!(
                                "{what}'s store is not in {through}: {} there",
                                found.label()
                            ),
                        );
                    }
                    must => {
                        return wrong(
                            RaceVerdict::Leak,
                            format!(
                                "{what}'s word in {through} is {} and must be {}",
                                found.label(),
                                must.label()
                            ),
                        );
                    }
                }
            }
            if seen.sharer != rest {
                return wrong(RaceVerdict::Leak, "A sees B's store".into());
            }
        }
        Witness::Sharer | Witness::Pipe => {
            for party in [Party::One, Party::Two] {
                if seen.word(party) != WordContent::Old {
                    let what = party.label();
                    return wrong(
                        RaceVerdict::Leak,
                        format!("{through} shows {what}'s store, made after the fork"),
                    );
                }
            }
            let stored = steps.iter().any(|played| {
                played.step.party == Party::Sharer && played.step.action == Action::Store
            });
            if seen.through == Witness::Sharer && stored && seen.sharer != WordContent::Stored {
                return wrong(
                    RaceVerdict::LostStore,
                    format!("B's store is not in {through}"),
                );
            }
        }
        Witness::Pin => {
            for party in [Party::One, Party::Two] {
                if due(steps, Some(party)) == [WordContent::Stored]
                    && seen.word(party) != WordContent::Stored
                {
                    let what = party.label();
                    return wrong(
                        RaceVerdict::StalePin,
                        format!("{through} does not show {what}'s store"),
                    );
                }
            }
            if seen.sharer != WordContent::Old {
                return wrong(RaceVerdict::Leak, format!("{through} shows B's store"));
            }
        }
    }
    if seen.rest != rest {
        return wrong(
            RaceVerdict::LostStore,
            format!(
                "a word that nobody has stored to is {} in {through} and must be {}",
                seen.rest.label(),
                rest.label()
            ),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::staged::catalogue::choose;

    /// The steps of a staged race, all finished while thread 1 was held.
    fn steps(id: &str) -> Vec<PlayedStep> {
        let staged = choose(&[id.into()]).unwrap()[0];
        let played = |&step| PlayedStep {
            step,
            when: When::Held,
        };
        staged
            .before
            .iter()
            .chain(staged.steps)
            .map(played)
            .collect()
    }

    /// The page as it must be after thread 1 and, if `two`, thread 2 have stored.
    fn seen(through: Witness, two: bool) -> Observation {
        Observation {
            through,
            one: WordContent::Stored,
            two: if two {
                WordContent::Stored
            } else {
                WordContent::Old
            },
            sharer: WordContent::Old,
            rest: WordContent::Old,
        }
    }

    fn verdict(steps: &[PlayedStep], seen: &[Observation], pin: Option<Pinned>) -> RaceVerdict {
        let evidence = RaceEvidence {
            steps,
            one_finished: true,
            seen,
            pin,
        };
        judge(&evidence).verdict
    }

    #[test]
    fn a_kernel_that_loses_a_store_is_caught() {
        let steps = steps("window/store-uffd-wp");
        let good = seen(Witness::Mapping, true);
        assert_eq!(verdict(&steps, &[good], None), RaceVerdict::Coherent);
        let rivals_lost = Observation {
            two: WordContent::Old,
            ..good
        };
        assert_eq!(
            verdict(&steps, &[rivals_lost], None),
            RaceVerdict::LostStore
        );
        let own_lost = Observation {
            one: WordContent::Old,
            ..good
        };
        assert_eq!(verdict(&steps, &[own_lost], None), RaceVerdict::LostStore);
        let torn = Observation {
            rest: WordContent::Zero,
            ..good
        };
        assert_eq!(verdict(&steps, &[torn], None), RaceVerdict::LostStore);
    }

    #[test]
    fn a_pin_that_misses_a_store_is_stale() {
        let steps = steps("window/pin-longterm");
        let mapping = seen(Witness::Mapping, false);
        let good = seen(Witness::Pin, false);
        assert_eq!(
            verdict(&steps, &[mapping, good], None),
            RaceVerdict::Coherent
        );
        let stale = Observation {
            one: WordContent::Old,
            ..good
        };
        assert_eq!(
            verdict(&steps, &[mapping, stale], None),
            RaceVerdict::StalePin
        );
    }

    #[test]
    fn a_page_replaced_after_it_was_made_exclusive_for_a_pin_is_stale_even_if_the_pin_has_ended() {
        let steps = steps("window/pin");
        let mapping = [seen(Witness::Mapping, false)];
        let pin = |came, now, kept| {
            let then = 0x100;
            let pin = Pinned {
                came,
                then,
                now,
                kept,
            };
            verdict(&steps, &mapping, Some(pin))
        };
        assert_eq!(
            pin(FaultOutcome::UnshareReuse, 0x101, true),
            RaceVerdict::StalePin
        );
        assert_eq!(
            pin(FaultOutcome::UnshareCopy, 0x101, true),
            RaceVerdict::StalePin
        );
        assert_eq!(
            pin(FaultOutcome::UnshareCopy, 0x100, false),
            RaceVerdict::Coherent
        );
        // A second fault, after the pin has ended, may copy as it likes.
        assert_eq!(
            pin(FaultOutcome::UnshareCopy, 0x101, false),
            RaceVerdict::Coherent
        );
        // Up to 5.18 such a pin promises nothing about later stores.
        assert_eq!(
            pin(FaultOutcome::Pinned, 0x101, true),
            RaceVerdict::Coherent
        );
    }

    #[test]
    fn a_store_that_another_process_sees_is_a_leak() {
        let steps = steps("window/pipe");
        let mapping = seen(Witness::Mapping, true);
        let pipe = Observation {
            one: WordContent::Old,
            two: WordContent::Old,
            ..seen(Witness::Pipe, false)
        };
        assert_eq!(
            verdict(&steps, &[mapping, pipe], None),
            RaceVerdict::Coherent
        );
        let leaking = Observation {
            two: WordContent::Stored,
            ..pipe
        };
        assert_eq!(
            verdict(&steps, &[mapping, leaking], None),
            RaceVerdict::Leak
        );
    }

    #[test]
    fn b_keeps_its_own_store_and_a_does_not_see_it() {
        let steps = steps("window/sharer-stores");
        let mapping = seen(Witness::Mapping, false);
        let sharer = Observation {
            one: WordContent::Old,
            sharer: WordContent::Stored,
            ..seen(Witness::Sharer, false)
        };
        assert_eq!(
            verdict(&steps, &[mapping, sharer], None),
            RaceVerdict::Coherent
        );
        let crossed = Observation {
            sharer: WordContent::Stored,
            ..mapping
        };
        assert_eq!(verdict(&steps, &[crossed, sharer], None), RaceVerdict::Leak);
        let lost = Observation {
            sharer: WordContent::Old,
            ..sharer
        };
        assert_eq!(
            verdict(&steps, &[mapping, lost], None),
            RaceVerdict::LostStore
        );
    }

    #[test]
    fn a_dropped_page_must_not_come_back() {
        let steps = steps("window/dontneed");
        let zeroed = Observation {
            sharer: WordContent::Zero,
            rest: WordContent::Zero,
            ..seen(Witness::Mapping, true)
        };
        assert_eq!(verdict(&steps, &[zeroed], None), RaceVerdict::Coherent);
        let back = seen(Witness::Mapping, true);
        assert_ne!(verdict(&steps, &[back], None), RaceVerdict::Coherent);
    }

    #[test]
    fn what_is_dropped_when_thread_1_is_done_takes_its_store_along() {
        let mut steps = steps("window/dontneed");
        let with = |one, steps: &[PlayedStep]| {
            let dropped = Observation {
                one,
                sharer: WordContent::Zero,
                rest: WordContent::Zero,
                ..seen(Witness::Mapping, true)
            };
            verdict(steps, &[dropped], None)
        };
        assert_eq!(with(WordContent::Zero, &steps), RaceVerdict::LostStore);
        for step in &mut steps {
            step.when = When::After;
        }
        assert_eq!(with(WordContent::Zero, &steps), RaceVerdict::Coherent);
        assert_ne!(with(WordContent::Stored, &steps), RaceVerdict::Coherent);
        // One that had to wait came before thread 1's store or behind it.
        steps[0].when = When::Released;
        for either in [WordContent::Zero, WordContent::Stored] {
            assert_eq!(with(either, &steps), RaceVerdict::Blocked);
        }
        assert_ne!(with(WordContent::Old, &steps), RaceVerdict::Blocked);
    }

    #[test]
    fn who_had_to_wait_was_blocked_and_who_never_came_back_is_lost() {
        let mut steps = steps("window/mprotect");
        let mapping = [seen(Witness::Mapping, false)];
        steps[0].when = When::Released;
        assert_eq!(verdict(&steps, &mapping, None), RaceVerdict::Blocked);
        steps[0].when = When::Never;
        assert_eq!(verdict(&steps, &mapping, None), RaceVerdict::Lost);
        let never_back = RaceEvidence {
            steps: &[],
            one_finished: false,
            seen: &mapping,
            pin: None,
        };
        assert_eq!(judge(&never_back).verdict, RaceVerdict::Lost);
        assert_eq!(verdict(&[], &[], None), RaceVerdict::Lost);
    }

    #[test]
    fn harm_outranks_a_wait() {
        let mut steps = steps("window/store");
        steps[1].when = When::Released;
        let lost = Observation {
            two: WordContent::Old,
            ..seen(Witness::Mapping, true)
        };
        assert_eq!(verdict(&steps, &[lost], None), RaceVerdict::LostStore);
    }

    fn pte(pfn: u64) -> Pte {
        Pte::of(pfn << 12 | 1)
    }

    #[test]
    fn a_store_s_part_follows_from_frames_and_faults() {
        assert_eq!(store_came(&pte(7), &pte(7), 0), FaultOutcome::NoFault);
        assert_eq!(store_came(&pte(7), &pte(7), 1), FaultOutcome::Reuse);
        assert_eq!(store_came(&pte(7), &pte(8), 1), FaultOutcome::Copy);
        assert_eq!(store_came(&Pte::of(0), &pte(8), 1), FaultOutcome::Fill);
        assert_eq!(
            store_came(&Pte::of(0x2000), &pte(8), 1),
            FaultOutcome::SwapIn
        );
        assert_eq!(pte(7).pinned(&pte(7), 0), FaultOutcome::Pinned);
        assert_eq!(pte(7).pinned(&pte(7), 1), FaultOutcome::UnshareReuse);
        assert_eq!(pte(7).pinned(&pte(8), 1), FaultOutcome::UnshareCopy);
        // As on 5.4.286, which counts the fault elsewhere.
        let [before, after] = [0x8000_0000_019f_8865, 0x8000_0000_019f_8867].map(Pte::of);
        assert_eq!(before.pinned(&after, 0), FaultOutcome::UnshareReuse);
    }

    #[test]
    fn thread_1_has_backed_off_where_its_first_fault_changed_nothing() {
        let came = |released, end, faults| {
            let entries = [&pte(7), &pte(released), &pte(end)];
            held_store_came(HoldPoint::Copied, None, entries, faults)
        };
        assert_eq!(came(7, 9, 1), FaultOutcome::Copy);
        assert_eq!(
            came(8, 8, 1),
            FaultOutcome::BackedOff,
            "the rival's copy stands"
        );
        assert_eq!(
            came(7, 7, 1),
            FaultOutcome::BackedOff,
            "the rival's reuse stands"
        );
        assert_eq!(came(7, 7, 2), FaultOutcome::BackedOff, "then reused");
        assert_eq!(came(7, 9, 2), FaultOutcome::BackedOff, "then copied");
        assert_eq!(came(7, 7, 0), FaultOutcome::NoFault);
        let early = |end| {
            let entries = [&pte(7), &pte(7), &pte(end)];
            held_store_came(HoldPoint::Undecided, None, entries, 1)
        };
        assert_eq!(early(7), FaultOutcome::Reuse);
        assert_eq!(early(9), FaultOutcome::Copy);
    }

    #[test]
    fn what_was_seen_of_the_copy_itself_outranks_what_follows_from_frames() {
        // The copy was kept, and write-protected again before the store was made: two faults.
        let entries = [&pte(7), &pte(7), &pte(9)];
        let came = |kept| held_store_came(HoldPoint::Copied, kept, entries, 2);
        assert_eq!(came(Some(true)), FaultOutcome::Copy);
        assert_eq!(came(Some(false)), FaultOutcome::BackedOff);
        assert_eq!(came(None), FaultOutcome::BackedOff);
    }
}
