//! Where the hold points lie in a kernel: functions by name, checked by who calls them.

use crate::guest::symbols::Symbols;
use crate::record::moves::HoldPoint;

/// One way of finding a hold point; which one holds depends on what the compiler has inlined.
struct HoldRule {
    /// The function whose first instruction is the place.
    enters: &'static str,
    /// Its caller: the first of these that exists decides; empty where any caller will do.
    from: &'static [&'static str],
    /// The place is where the function returns to.
    returned: bool,
}

const fn way(enters: &'static str, from: &'static [&'static str]) -> HoldRule {
    HoldRule {
        enters,
        from,
        returned: false,
    }
}

/// wp_page_copy() is a function of its own up to 6.1 and part of do_wp_page() on 6.12 and 7.2. RHEL 8 has __wp_page_copy().
const COPIER: &[&str] = &["wp_page_copy", "__wp_page_copy", "do_wp_page"];
/// Who takes the PTL before it calls do_wp_page(), which may be part of it.
const DECIDER: &[&str] = &["handle_pte_fault", "__handle_mm_fault"];

/// The ways to a hold point, best first.
fn ways(hold: HoldPoint) -> &'static [HoldRule] {
    match hold {
        HoldPoint::Undecided => {
            const {
                &[
                    way("do_wp_page", &[]),
                    HoldRule {
                        enters: "_raw_spin_lock",
                        from: DECIDER,
                        returned: true,
                    },
                ]
            }
        }
        HoldPoint::Decided => {
            const {
                &[
                    way("wp_page_copy", &[]),
                    way("__wp_page_copy", &[]),
                    way("vma_alloc_folio_noprof", COPIER),
                    way("vma_alloc_folio", COPIER),
                    way("folio_alloc_noprof", COPIER),
                    way("__folio_alloc_noprof", COPIER),
                    way("alloc_pages_vma", COPIER),
                    way("__alloc_pages_noprof", COPIER),
                    way("__alloc_pages", COPIER),
                ]
            }
        }
        HoldPoint::BeforeCopy => {
            const {
                &[
                    way("__wp_page_copy_user", COPIER),
                    way("copy_mc_to_kernel", COPIER),
                    way("copy_mc_user_highpage", COPIER),
                    way("copy_page", COPIER),
                ]
            }
        }
        HoldPoint::Copied => {
            const {
                &[
                    way("__pte_offset_map_lock", COPIER),
                    way("pte_offset_map_lock", COPIER),
                    way("_raw_spin_lock", COPIER),
                ]
            }
        }
        HoldPoint::Flushed => {
            const {
                &[HoldRule {
                    enters: "ptep_clear_flush",
                    from: COPIER,
                    returned: true,
                }]
            }
        }
    }
}

/// A span of code that a call comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The function.
    pub name: String,
    start: u64,
    end: u64,
}

impl Caller {
    #[cfg(test)]
    pub(super) fn new(name: &str, start: u64, end: u64) -> Self {
        let name = name.to_owned();
        Caller { name, start, end }
    }

    /// The offset of an address in it, if it lies there.
    pub fn offset(&self, address: u64) -> Option<u64> {
        (self.start..self.end)
            .contains(&address)
            .then(|| address - self.start)
    }
}

/// Candidates for a hold point in one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The function's name.
    pub function: String,
    /// The address of its first instruction.
    pub address: u64,
    /// Who must call it; `None` for anybody.
    pub caller: Option<Caller>,
    /// Whether the place is where it returns to.
    pub returned: bool,
}

/// A kernel in which a hold point cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a hold point {} was needed, and none of {} is a function of this kernel",
    hold.label(),
    looked_for.join(", ")
)]
pub struct NoSpot {
    hold: HoldPoint,
    looked_for: Vec<&'static str>,
}

/// Every place that may be the hold point, best first. Which of them thread 1 comes by is seen when it
/// does.
///
/// # Errors
/// If there is none.
pub fn spots(hold: HoldPoint, symbols: &Symbols) -> Result<Vec<Spot>, NoSpot> {
    let found: Vec<Spot> = ways(hold)
        .iter()
        .filter_map(|way| {
            let caller = way.from.iter().find_map(|name| {
                let start = symbols.address(name)?;
                let end = symbols.end(symbols.at(start)?)?;
                let name = (*name).to_owned();
                Some(Caller { name, start, end })
            });
            if caller.is_none() && !way.from.is_empty() {
                return None;
            }
            Some(Spot {
                function: way.enters.into(),
                address: symbols.address(way.enters)?,
                caller,
                returned: way.returned,
            })
        })
        .collect();
    if found.is_empty() {
        return Err(NoSpot {
            hold,
            looked_for: ways(hold).iter().map(|way| way.enters).collect(),
        });
    }
    // Which function copies depends on the CPU; all others are there or not.
    let tried = if hold == HoldPoint::BeforeCopy {
        found.len()
    } else {
        1
    };
    Ok(found.into_iter().take(tried).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(names: &[&str]) -> Symbols {
        let line = |(at, name): (usize, &&str)| format!("ffffffff81{at:02}0000 T {name}\n");
        Symbols::parse(&names.iter().enumerate().map(line).collect::<String>()).unwrap()
    }

    /// The functions that matter as 5.10 has them, and as 6.12 has them.
    const OLD: [&str; 6] = [
        "wp_page_copy",
        "do_wp_page",
        "alloc_pages_vma",
        "copy_page",
        "ptep_clear_flush",
        "_raw_spin_lock",
    ];
    const NEW: [&str; 7] = [
        "do_wp_page",
        "vma_alloc_folio_noprof",
        "copy_mc_to_kernel",
        "copy_page",
        "__pte_offset_map_lock",
        "ptep_clear_flush",
        "_raw_spin_lock",
    ];

    /// As a lean build of 5.7 has them: do_wp_page() is part of its caller.
    const INLINED: [&str; 6] = [
        "handle_pte_fault",
        "wp_page_copy",
        "alloc_pages_vma",
        "copy_page",
        "ptep_clear_flush",
        "_raw_spin_lock",
    ];

    fn first(hold: HoldPoint, names: &[&str]) -> Spot {
        spots(hold, &symbols(names)).unwrap().remove(0)
    }

    #[test]
    fn every_hold_point_is_found_in_old_and_new_kernels() {
        for names in [&OLD[..], &NEW[..], &INLINED[..]] {
            for hold in HoldPoint::ALL {
                assert!(spots(hold, &symbols(names)).is_ok(), "{hold:?} {names:?}");
            }
        }
    }

    #[test]
    fn the_lock_is_looked_for_where_the_copier_calls_it() {
        let old = first(HoldPoint::Copied, &OLD);
        assert_eq!(old.function, "_raw_spin_lock");
        assert_eq!(old.caller.as_ref().unwrap().name, "wp_page_copy");
        let new = first(HoldPoint::Copied, &NEW);
        assert_eq!(new.function, "__pte_offset_map_lock");
        let caller = new.caller.unwrap();
        assert_eq!(caller.name, "do_wp_page");
        assert_eq!(caller.offset(0xffff_ffff_8100_0123), Some(0x123));
        assert_eq!(caller.offset(0xffff_ffff_8101_0000), None);
    }

    /// do_wp_page() is entered with the PTL held: where it is inlined, its caller is held when it has got it.
    #[test]
    fn before_the_decision_is_behind_the_lock_wherever_that_is_inlined() {
        let found = first(HoldPoint::Undecided, &INLINED);
        assert_eq!(found.function, "_raw_spin_lock");
        assert_eq!(found.caller.unwrap().name, "handle_pte_fault");
        assert!(found.returned);
        assert!(!first(HoldPoint::Undecided, &OLD).returned);
    }

    #[test]
    fn a_kernel_without_the_functions_is_refused_with_what_was_looked_for() {
        let error = spots(HoldPoint::Copied, &symbols(&["start_kernel", "rest_init"])).unwrap_err();
        assert!(error.to_string().contains("_raw_spin_lock"), "{error}");
    }
}
