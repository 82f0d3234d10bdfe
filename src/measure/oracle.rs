//! What became of each store: page frame numbers before and after, and what else bears witness.

use crate::memory::pagemap::Entry;
use crate::record::outcome::Outcome;

/// Everything known about one pass of stores over the area, one element a page.
pub struct Evidence<'a> {
    /// The storing process's pagemap before the stores.
    pub before: &'a [Entry],
    /// The same after them.
    pub after: &'a [Entry],
    /// Clock ticks that each store took, where each was timed.
    pub ticks: Option<&'a [u64]>,
    /// Minor faults that the kernel counted for the storing thread meanwhile.
    pub minor_faults: u64,
    /// What a pipe or a registered buffer that referred to the page from before the stores sees of it: the new data
    /// (true) means that the page was stored to in place. Likewise whether what was read into the page is in it, of a read
    /// that was in flight.
    pub in_place: Option<&'a [bool]>,
}

/// The verdicts, and how often two kinds of evidence contradicted each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What became of each store.
    pub outcomes: Vec<Outcome>,
    /// Pages on which PFN and such a reference disagree. Must be 0.
    pub contradictions: u64,
    /// Stores that were told reuse from no fault by nothing but how long they took.
    pub inferred: u64,
}

/// Classifies every store.
///
/// A changed PFN is a copy, or a fill if nothing was mapped. An unchanged PFN is a reuse or no fault
/// at all; the thread's minor faults tell how many of each there were. Where there were both, the slowest
/// stores are called the faults, since entering the kernel costs many times what a plain store does: that is
/// inferred, and where stores were not timed one by one, unknown. Where PFNs are hidden, a pipe that holds the
/// page tells reuse from copy; otherwise the outcome is unknown, unless not a single fault was counted.
pub fn classify(evidence: &Evidence) -> Judgement {
    let pages = evidence.before.iter().zip(evidence.after);
    let mut contradictions = 0;
    let mut outcomes: Vec<Outcome> = pages
        .enumerate()
        .map(|(page, (before, after))| {
            let piped = evidence.in_place.map(|pages| pages[page]);
            if !before.present() && !before.swapped() {
                return if after.present() {
                    Outcome::Fill
                } else {
                    Outcome::Unknown
                };
            }
            let same = match (before.pfn(), after.pfn()) {
                (Some(before), Some(after)) => {
                    contradictions +=
                        u64::from(piped.is_some_and(|same| same != (before == after)));
                    Some(before == after)
                }
                _ => piped,
            };
            match same {
                Some(true) => Outcome::Reuse,
                Some(false) => Outcome::Copy,
                None if evidence.minor_faults == 0 => Outcome::NoFault,
                None => Outcome::Unknown,
            }
        })
        .collect();
    let inferred = separate_no_faults(&mut outcomes, evidence);
    Judgement {
        outcomes,
        contradictions,
        inferred,
    }
}

/// Of the stores on unchanged pages, keeps as many as there were faults left over as reuses. Tells how many had to be told
/// apart by how long they took.
fn separate_no_faults(outcomes: &mut [Outcome], evidence: &Evidence) -> u64 {
    let elsewhere = outcomes
        .iter()
        .filter(|o| matches!(o, Outcome::Copy | Outcome::Fill | Outcome::Unknown))
        .count();
    let mut unchanged: Vec<usize> = (0..outcomes.len())
        .filter(|&page| outcomes[page] == Outcome::Reuse)
        .collect();
    let faults = (evidence.minor_faults as usize).saturating_sub(elsewhere);
    if faults >= unchanged.len() {
        return 0;
    }
    let told_apart = faults > 0;
    match evidence.ticks {
        None if told_apart => {
            unchanged
                .iter()
                .for_each(|&page| outcomes[page] = Outcome::Unknown);
            return 0;
        }
        Some(ticks) => unchanged.sort_by_key(|&page| std::cmp::Reverse(ticks[page])),
        None => {}
    }
    for &page in &unchanged[faults..] {
        outcomes[page] = Outcome::NoFault;
    }
    u64::from(told_apart) * unchanged.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::*;

    fn present(pfn: u64) -> Entry {
        Entry(1 << 63 | pfn)
    }

    fn outcomes(
        before: &[Entry],
        after: &[Entry],
        ticks: &[u64],
        minor_faults: u64,
    ) -> Vec<Outcome> {
        judged(before, after, Some(ticks), minor_faults).outcomes
    }

    fn judged(
        before: &[Entry],
        after: &[Entry],
        ticks: Option<&[u64]>,
        minor_faults: u64,
    ) -> Judgement {
        classify(&Evidence {
            before,
            after,
            ticks,
            minor_faults,
            in_place: None,
        })
    }

    #[test]
    fn the_frame_number_tells_reuse_from_copy() {
        let before = [present(1), present(2), Entry(0)];
        let after = [present(1), present(9), present(8)];
        assert_eq!(
            outcomes(&before, &after, &[9, 9, 9], 3),
            [Reuse, Copy, Fill]
        );
    }

    #[test]
    fn stores_without_a_fault_are_the_fastest_on_unchanged_pages() {
        let same = [present(1), present(2), present(3), present(4)];
        let after = [present(1), present(2), present(3), present(7)];
        assert_eq!(
            outcomes(&same, &after, &[5, 900, 6, 900], 2),
            [NoFault, Reuse, NoFault, Copy]
        );
        assert_eq!(outcomes(&same, &same, &[5, 5, 5, 5], 0), [NoFault; 4]);
    }

    #[test]
    fn what_only_time_tells_apart_is_inferred_and_unknown_without_it() {
        let same = [present(1), present(2), present(3)];
        let after = [present(1), present(2), present(7)];
        let inferred = |ticks, faults| {
            let judged = judged(&same, &after, ticks, faults);
            (judged.outcomes, judged.inferred)
        };
        let ticks = Some(&[5, 900, 900][..]);
        assert_eq!(inferred(ticks, 1), (vec![NoFault, NoFault, Copy], 0));
        assert_eq!(inferred(ticks, 2), (vec![NoFault, Reuse, Copy], 2));
        assert_eq!(inferred(ticks, 3), (vec![Reuse, Reuse, Copy], 0));
        assert_eq!(inferred(None, 1), (vec![NoFault, NoFault, Copy], 0));
        assert_eq!(inferred(None, 2), (vec![Unknown, Unknown, Copy], 0));
        assert_eq!(inferred(None, 3), (vec![Reuse, Reuse, Copy], 0));
    }

    #[test]
    fn hidden_frame_numbers_leave_the_outcome_unknown() {
        let hidden = [present(0), present(0)];
        assert_eq!(
            outcomes(&hidden, &hidden, &[900, 900], 2),
            [Unknown, Unknown]
        );
        assert_eq!(outcomes(&hidden, &hidden, &[5, 5], 0), [NoFault, NoFault]);
    }

    #[test]
    fn a_pipe_stands_in_for_hidden_frame_numbers_and_contradicts_wrong_ones() {
        let hidden = [present(0), present(0)];
        let verdict = |before: &[Entry], after: &[Entry]| {
            let in_place = Some(&[true, false][..]);
            classify(&Evidence {
                before,
                after,
                ticks: Some(&[900, 900]),
                minor_faults: 2,
                in_place,
            })
        };
        let seen = verdict(&hidden, &hidden);
        assert_eq!((seen.outcomes, seen.contradictions), (vec![Reuse, Copy], 0));
        let seen = verdict(&[present(1), present(2)], &[present(1), present(2)]);
        assert_eq!(
            (seen.outcomes, seen.contradictions),
            (vec![Reuse, Reuse], 1)
        );
    }
}
