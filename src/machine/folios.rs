//! Which folio sizes the kernel offers, and whether they are to be had at the moment.

use std::sync::OnceLock;

use super::host::meminfo;
use crate::sys::files::{names, read, selected};
use crate::sys::missing::{Missing, addressed};

/// Settings of transparent huge pages.
pub const THP: &str = "/sys/kernel/mm/transparent_hugepage";
/// hugetlb's pools.
pub const POOLS: &str = "/sys/kernel/mm/hugepages";

/// What a PMD maps, in KiB; `None` on a kernel without transparent huge pages.
pub fn pmd_kib() -> Option<u64> {
    static SIZE: OnceLock<Option<u64>> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let bytes: u64 = read(format!("{THP}/hpage_pmd_size"))?.parse().ok()?;
        Some(bytes / 1024)
    })
}

/// Sizes of anonymous folios between a page and a PMD in KiB, ascending, and whether madvise brings
/// each about at the moment.
pub fn mthp() -> Vec<(u64, bool)> {
    let all = read(format!("{THP}/enabled")).unwrap_or_default();
    let size = |name: &String| {
        let kib = kib_of(name)?;
        let enabled = read(format!("{THP}/{name}/enabled"))?;
        let chosen = match selected(&enabled) {
            "inherit" => selected(&all),
            own => own,
        };
        (Some(kib) != pmd_kib()).then_some((kib, chosen != "never"))
    };
    let mut sizes: Vec<(u64, bool)> = names(THP).iter().filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

/// Sizes of hugetlb's pools in KiB, ascending, and the free pages of each.
pub fn pools() -> Vec<(u64, u64)> {
    let pool = |name: &String| {
        let free = read(format!("{POOLS}/{name}/free_hugepages"))?;
        Some((kib_of(name)?, free.parse().ok()?))
    };
    let mut pools: Vec<(u64, u64)> = names(POOLS).iter().filter_map(pool).collect();
    pools.sort_unstable();
    pools
}

/// How many pages of the pool of `kib` KiB can still be taken: free ones that are not promised to anybody, and those that
/// the pool may grow by on demand. `None` where there is no such pool.
pub fn free(kib: u64) -> Option<u64> {
    let pages = |name: &str| -> Option<u64> {
        read(format!("{POOLS}/hugepages-{kib}kB/{name}_hugepages"))?
            .parse()
            .ok()
    };
    let unpromised = pages("free")?.saturating_sub(pages("resv").unwrap_or(0));
    let (most, grown) = (
        pages("nr_overcommit").unwrap_or(0),
        pages("surplus").unwrap_or(0),
    );
    Some(unpromised + most.saturating_sub(grown))
}

/// The command that makes the pool of `kib` KiB larger by `more` pages.
pub fn grow(kib: u64, more: u64) -> String {
    let size = read(format!("{POOLS}/hugepages-{kib}kB/nr_hugepages"));
    let pages = more + size.and_then(|size| size.parse().ok()).unwrap_or(0);
    let command = match meminfo("Hugepagesize") {
        Some(bytes) if bytes == kib * 1024 => format!("sudo sysctl vm.nr_hugepages={pages}"),
        _ => format!("echo {pages} | sudo tee {POOLS}/hugepages-{kib}kB/nr_hugepages"),
    };
    addressed(&command)
}

/// Whether this process may have transparent huge pages: a parent can forbid them to its children (prctl(2)).
///
/// # Errors
/// That they are forbidden.
pub fn thp_allowed() -> Result<(), Missing> {
    // Where only those that madvise does not ask for are forbidden, the kernel answers with another number than 1.
    match nix::sys::prctl::get_thp_disable() {
        Ok(true) => Err(Missing::new(
            "transparent huge pages in this process",
            "prctl(PR_SET_THP_DISABLE) forbids them to it, as to every child of the process that called it",
            "sudo systemd-run --pty --same-dir cowpath run",
        )),
        _ => Ok(()),
    }
}

/// 64 of `hugepages-64kB`.
fn kib_of(name: &str) -> Option<u64> {
    name.strip_prefix("hugepages-")?
        .strip_suffix("kB")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_named_as_the_kernel_names_them() {
        assert_eq!(kib_of("hugepages-64kB"), Some(64));
        assert_eq!(kib_of("khugepaged"), None);
        let sizes = mthp();
        assert!(sizes.windows(2).all(|pair| pair[0].0 < pair[1].0));
        println!("mthp {sizes:?}, pools {:?}, PMD {:?}", pools(), pmd_kib());
    }
}
