//! The folio sizes in which a scenario's memory can be had, and what `--folio` chooses among them.

use crate::machine::folios::{grow, mthp, pmd_kib, pools, thp_allowed};
use crate::memory::backing::Memory;
use crate::memory::folio::Folio;
use crate::record::folio::FolioSize;
use crate::record::schema::Config;
use crate::scenario::{Scenario, Timed};

/// A folio size, and why it can not be had at the moment.
pub(super) type Size = (Folio, Option<String>);

/// A size was asked for that no chosen scenario has.
#[derive(Debug, thiserror::Error)]
#[error("--folio {asked}: a size was needed that a chosen scenario has on this machine; they have {}", had.join(", "))]
pub struct NoSuchSize {
    /// The size.
    pub asked: Folio,
    /// The sizes that there are.
    pub had: Vec<String>,
}

/// Whether each of the sizes `asked` for is one of some scenario's, be it to be had at the moment or not.
///
/// # Errors
/// The first that is not.
pub fn check(scenarios: &[&'static Scenario], asked: &[Folio]) -> Result<(), NoSuchSize> {
    let memories: Vec<Memory> = scenarios.iter().map(|scenario| scenario.memory).collect();
    let had = sizes_of(&memories);
    match asked.iter().find(|asked| !had.contains(asked)) {
        Some(&asked) => Err(NoSuchSize {
            asked,
            had: had.iter().map(Folio::to_string).collect(),
        }),
        None => Ok(()),
    }
}

/// Every folio size of this machine, as `--folio` takes it.
pub fn of_this_machine() -> String {
    let sizes = sizes_of(&[Memory::Every]);
    let names: Vec<String> = sizes.iter().map(Folio::to_string).collect();
    names.join(", ")
}

/// The sizes of any of `memories`, ascending.
fn sizes_of(memories: &[Memory]) -> Vec<Folio> {
    let offered = memories.iter().flat_map(|&memory| offered(memory, true));
    let mut sizes: Vec<Folio> = offered.map(|(folio, _)| folio).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The sizes in which a scenario is measured: all that are to be had, or those that were asked for. Never empty: where
/// it has none of them, one with the reason.
pub(super) fn chosen(scenario: &Scenario, config: &Config) -> Vec<Size> {
    let offered = offered(scenario.memory, config.tune);
    let mut chosen: Vec<Size> = if config.folios.is_empty() {
        let had = offered.iter().filter(|(_, why)| why.is_none());
        let had: Vec<Size> = had.cloned().collect();
        let usual = usual(scenario.memory);
        match had.is_empty() {
            true => {
                let at = offered.iter().position(|(folio, _)| *folio == usual);
                vec![offered[at.unwrap_or(0)].clone()]
            }
            false => had,
        }
    } else {
        let names: Vec<String> = offered.iter().map(|(folio, _)| folio.to_string()).collect();
        let asked = offered
            .into_iter()
            .filter(|(folio, _)| asks(config, *folio));
        let asked: Vec<Size> = asked.collect();
        match asked.is_empty() {
            true => vec![(usual(scenario.memory), Some(other(config, &names)))],
            false => asked,
        }
    };
    for (folio, why) in &mut chosen {
        if let (None, Folio::Large(_), Err(missing)) = (&why, *folio, thp_allowed()) {
            *why = Some(missing.to_string());
        }
        if why.is_none() {
            *why = unresolved(scenario, *folio);
        }
    }
    chosen
}

/// Why a scenario whose pages are 4 KiB is not measured under `--folio`.
pub(super) fn not_a_page(config: &Config) -> Option<String> {
    let asked = config.folios.is_empty() || asks(config, Folio::Page);
    (!asked).then(|| other(config, &[Folio::Page.to_string()]))
}

fn asks(config: &Config, folio: Folio) -> bool {
    config.folios.contains(&folio.size())
}

fn other(config: &Config, has: &[String]) -> String {
    let asked: Vec<String> = config.folios.iter().map(FolioSize::to_string).collect();
    format!(
        "needs --folio {}; found: --folio {}",
        has.join(" or "),
        asked.join(",")
    )
}

/// The folio size that is most likely to be had.
pub fn usual(memory: Memory) -> Folio {
    match memory {
        Memory::Small
        | Memory::SharedAnonymous
        | Memory::PrivateFile
        | Memory::PrivateMemfd
        | Memory::Every => Folio::Page,
        Memory::Thp => Folio::Large(pmd_kib().unwrap_or(2048)),
        Memory::Mthp => Folio::Large(64),
        Memory::Hugetlb | Memory::PooledMemfd => Folio::Hugetlb(2048),
    }
}

/// What a few pages of the pool add to fork is less than fork varies by.
fn unresolved(scenario: &Scenario, folio: Folio) -> Option<String> {
    (matches!(scenario.timed, Timed::Fork | Timed::Vfork) && matches!(folio, Folio::Hugetlb(_))).then(|| {
        "needs more pages than the pool should hold: what a few of them add to fork is less than fork varies by".into()
    })
}

/// The folio sizes of `memory` on this machine, each with the reason where it can not be had at the moment; `tune`
/// tells that settings may be changed. Never empty.
fn offered(memory: Memory, tune: bool) -> Vec<Size> {
    match memory {
        Memory::Small | Memory::SharedAnonymous | Memory::PrivateFile | Memory::PrivateMemfd => {
            vec![(Folio::Page, None)]
        }
        Memory::Thp => match pmd_kib() {
            Some(kib) => vec![(Folio::Large(kib), None)],
            None => vec![(
                Folio::Large(2048),
                Some("needs CONFIG_TRANSPARENT_HUGEPAGE; found: none".into()),
            )],
        },
        Memory::Mthp => mthp_sizes(&mthp(), tune),
        Memory::Hugetlb | Memory::PooledMemfd => pool_sizes(&pools(), tune),
        Memory::Every => {
            let large = [Memory::Mthp, Memory::Thp, Memory::Hugetlb];
            let large = large.into_iter().flat_map(|memory| offered(memory, tune));
            [(Folio::Page, None)].into_iter().chain(large).collect()
        }
    }
}

fn mthp_sizes(sizes: &[(u64, bool)], tune: bool) -> Vec<Size> {
    if sizes.is_empty() {
        let why =
            "needs Linux 6.8 with CONFIG_TRANSPARENT_HUGEPAGE; found: no sizes below the PMD's";
        return vec![(Folio::Large(64), Some(why.into()))];
    }
    let size = |&(kib, on): &(u64, bool)| {
        let folio = Folio::Large(kib);
        let why = (!on && !tune).then(|| {
            format!("needs the multi-size THP size {folio} at madvise; found: never; mend with: --tune, which sets one size at a time and puts it back")
        });
        (folio, why)
    };
    sizes.iter().map(size).collect()
}

fn pool_sizes(pools: &[(u64, u64)], tune: bool) -> Vec<Size> {
    if pools.is_empty() {
        let folio = Folio::Hugetlb(pmd_kib().unwrap_or(2048));
        let why = "needs CONFIG_HUGETLBFS; found: no pools";
        return vec![(folio, Some(why.into()))];
    }
    let size = |&(kib, free): &(u64, u64)| {
        let fills = Some(kib) == pmd_kib();
        let folio = Folio::Hugetlb(kib);
        let why = (free == 0 && !(tune && fills)).then(|| {
            let tuned = match fills {
                true => "--tune, which reserves some for the time of the run, or ",
                false => "",
            };
            format!(
                "needs free pages in the pool of {folio}; found: none; mend with: {tuned}{}",
                grow(kib, 32)
            )
        });
        (folio, why)
    };
    pools.iter().map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue::find;

    #[test]
    fn sizes_that_are_not_to_be_had_are_offered_with_the_reason() {
        let sizes = mthp_sizes(&[(16, false), (64, true)], false);
        assert_eq!(sizes[1], (Folio::Large(64), None));
        let why = sizes[0].1.clone().unwrap();
        assert!(why.contains("16k at madvise; found: never"), "{why}");
        assert!(mthp_sizes(&[(16, false)], true)[0].1.is_none());
        let pools = pool_sizes(&[(1 << 20, 0), (4 << 20, 2)], true);
        assert!(
            pools[0].1.is_some(),
            "--tune does not fill pools of any size"
        );
        assert_eq!(pools[1].1, None);
    }

    #[test]
    fn a_size_that_no_chosen_scenario_has_is_named_with_those_there_are() {
        let small = ["reuse/child-exited", "race/exit"].map(|id| find(id).unwrap());
        assert!(check(&small, &[Folio::Page]).is_ok());
        let why = check(&small, &[Folio::Page, Folio::Large(2048)]).unwrap_err();
        assert!(why.to_string().ends_with("they have 4k"), "{why}");
        let cost = find("cost/fork").unwrap();
        let sizes = sizes_of(&[cost.memory]);
        assert!(check(&[cost], &sizes).is_ok());
    }
}
