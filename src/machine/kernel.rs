//! Which kernel runs, and how it was configured.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;

use crate::record::schema::Kernel;
use crate::sys::{Uname, files, uname};

/// The options that change what a CoW fault does or costs, or which instruments there are.
const OPTIONS: &[&str] = &[
    // The fault path.
    "CONFIG_PER_VMA_LOCK",
    "CONFIG_TRANSPARENT_HUGEPAGE",
    "CONFIG_HUGETLB_PAGE",
    "CONFIG_KSM",
    "CONFIG_SWAP",
    "CONFIG_ZSWAP",
    "CONFIG_LRU_GEN",
    "CONFIG_LRU_GEN_ENABLED",
    "CONFIG_MEMCG",
    "CONFIG_NUMA",
    "CONFIG_NUMA_BALANCING",
    "CONFIG_COMPACTION",
    "CONFIG_MIGRATION",
    "CONFIG_SPLIT_PTE_PTLOCKS",
    "CONFIG_NO_PAGE_MAPCOUNT",
    "CONFIG_PAGE_MAPCOUNT",
    "CONFIG_MM_ID",
    "CONFIG_ARM64_4K_PAGES",
    "CONFIG_ARM64_16K_PAGES",
    "CONFIG_ARM64_64K_PAGES",
    "CONFIG_ARM64_CONTPTE",
    // Pages that are cleared or checked as they are handed out.
    "CONFIG_INIT_ON_ALLOC_DEFAULT_ON",
    "CONFIG_INIT_ON_FREE_DEFAULT_ON",
    "CONFIG_PAGE_POISONING",
    "CONFIG_PAGE_OWNER",
    "CONFIG_DEBUG_PAGEALLOC",
    "CONFIG_PAGE_TABLE_CHECK",
    // Debugging that makes everything slow.
    "CONFIG_DEBUG_VM",
    "CONFIG_DEBUG_VM_PGFLAGS",
    "CONFIG_DEBUG_LIST",
    "CONFIG_PROVE_LOCKING",
    "CONFIG_LOCK_STAT",
    "CONFIG_KASAN",
    "CONFIG_KCSAN",
    "CONFIG_KMSAN",
    "CONFIG_UBSAN",
    // Entry to and exit from the kernel.
    "CONFIG_PREEMPT_NONE",
    "CONFIG_PREEMPT_VOLUNTARY",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_LAZY",
    "CONFIG_PREEMPT_RT",
    "CONFIG_PREEMPT_DYNAMIC",
    "CONFIG_HZ",
    "CONFIG_NO_HZ_FULL",
    "CONFIG_CPU_MITIGATIONS",
    "CONFIG_SPECULATION_MITIGATIONS",
    "CONFIG_PAGE_TABLE_ISOLATION",
    "CONFIG_MITIGATION_PAGE_TABLE_ISOLATION",
    "CONFIG_RANDOMIZE_KSTACK_OFFSET_DEFAULT",
    "CONFIG_CONTEXT_TRACKING_USER_FORCE",
    "CONFIG_VIRT_CPU_ACCOUNTING_GEN",
    "CONFIG_PARAVIRT",
    "CONFIG_SMP",
    // Instruments and page states.
    "CONFIG_USERFAULTFD",
    "CONFIG_MEM_SOFT_DIRTY",
    "CONFIG_PROC_PAGE_MONITOR",
    "CONFIG_IO_URING",
    "CONFIG_CROSS_MEMORY_ATTACH",
    "CONFIG_PERF_EVENTS",
    "CONFIG_TRACING",
    "CONFIG_KPROBES",
    "CONFIG_KPROBE_EVENTS",
    "CONFIG_FUNCTION_TRACER",
    "CONFIG_TASKSTATS",
    "CONFIG_TASK_DELAY_ACCT",
    "CONFIG_GUP_TEST",
    // Toolchain.
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_CC_OPTIMIZE_FOR_SIZE",
    "CONFIG_LTO_NONE",
];

/// Reads what the running kernel says of itself; what it does not say is empty.
pub fn read() -> Kernel {
    let Uname {
        release, version, ..
    } = uname();
    Kernel {
        version,
        compiler: files::read("/proc/version")
            .and_then(|text| compiler(&text))
            .unwrap_or_default(),
        cmdline: files::read("/proc/cmdline").unwrap_or_default(),
        config: config_text(&release)
            .map(|text| options(&text))
            .unwrap_or_default(),
        release,
    }
}

/// Major and minor version, such as `(6, 12)`, to tell in which a feature came; distributions may have it earlier.
pub fn version() -> Option<(u32, u32)> {
    version_in(&uname().release)
}

/// The same of the release that a run file names.
pub fn version_in(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether this kernel counts the mappings of each page of a large folio, rather than of the folio alone; `None` where its
/// configuration would tell but is not shown.
pub fn counts_pages_of_folios() -> Option<bool> {
    static COUNTS: OnceLock<Option<bool>> = OnceLock::new();
    *COUNTS.get_or_init(|| {
        let release = uname().release;
        counts_pages(version_in(&release), || config_text(&release))
    })
}

fn counts_pages(
    version: Option<(u32, u32)>,
    config: impl FnOnce() -> Option<String>,
) -> Option<bool> {
    match version {
        Some(version) if version < (6, 15) => Some(true),
        // Without transparent huge pages it is not mentioned.
        _ => config().map(|text| !text.lines().any(|line| line == "CONFIG_NO_PAGE_MAPCOUNT=y")),
    }
}

/// What /proc/version says in the second pair of brackets, behind who built the kernel. There may be brackets within.
fn compiler(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(") (")?;
    let (found, _) = rest.rsplit_once(") #")?;
    Some(found.into())
}

/// The configuration from /proc/config.gz or where distributions put it; `None` where the kernel shows none.
fn config_text(release: &str) -> Option<String> {
    let mut text = String::new();
    if let Ok(file) = File::open("/proc/config.gz")
        && GzDecoder::new(file).read_to_string(&mut text).is_ok()
    {
        return Some(text);
    }
    let places = [
        format!("/boot/config-{release}"),
        format!("/lib/modules/{release}/config"),
        format!("/usr/lib/modules/{release}/config"),
    ];
    places.iter().find_map(files::read)
}

/// The options of interest that `text` mentions; one that is not set reads `n`.
fn options(text: &str) -> BTreeMap<String, String> {
    let option = |line: &str| -> Option<(String, String)> {
        let (name, value) = match line.strip_prefix("# ") {
            Some(unset) => (unset.strip_suffix(" is not set")?, "n"),
            None => line.split_once('=')?,
        };
        let value = value.trim().trim_matches('"');
        OPTIONS
            .contains(&name)
            .then(|| (name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(option).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn set_unset_and_quoted_options_are_read_and_others_left_out() {
        let read = options(concat!(
            "# Linux/x86 6.12.0 Kernel Configuration\n",
            "CONFIG_KSM=y\n",
            "# CONFIG_KPROBES is not set\n",
            "CONFIG_HZ=250\n",
            "CONFIG_CC_VERSION_TEXT=\"gcc 12 = good\"\n",
            "CONFIG_SOUND=m\n",
        ));
        let expected = [
            ("CONFIG_CC_VERSION_TEXT", "gcc 12 = good"),
            ("CONFIG_HZ", "250"),
            ("CONFIG_KPROBES", "n"),
            ("CONFIG_KSM", "y"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, BTreeMap::from(expected));
    }

    #[test]
    fn the_version_is_the_first_two_numbers_of_the_release() {
        assert_eq!(version_in("6.1.0-25-amd64"), Some((6, 1)));
        assert_eq!(version_in("7.2-rc1"), Some((7, 2)));
        assert_eq!(version_in("next"), None);
        assert!(version() >= Some((4, 0)));
    }

    #[test]
    fn pages_of_folios_are_counted_unless_the_configuration_says_otherwise() {
        let with = |text: &str| Some(text.to_owned());
        let not_set = "# CONFIG_NO_PAGE_MAPCOUNT is not set\nCONFIG_PAGE_MAPCOUNT=y\n";
        assert_eq!(counts_pages(Some((6, 12)), || None), Some(true));
        assert_eq!(counts_pages(Some((6, 15)), || None), None);
        assert_eq!(counts_pages(Some((7, 2)), || with(not_set)), Some(true));
        let set = "CONFIG_NO_PAGE_MAPCOUNT=y\n";
        assert_eq!(counts_pages(Some((7, 2)), || with(set)), Some(false));
        assert_eq!(counts_pages(None, || with(set)), Some(false));
    }

    #[test]
    fn no_option_is_listed_twice() {
        assert_eq!(OPTIONS.iter().collect::<BTreeSet<_>>().len(), OPTIONS.len());
    }

    #[test]
    fn the_compiler_is_what_stands_in_brackets_behind_who_built_the_kernel() {
        let debian = "Linux version 6.12.107+deb13-cloud-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14 \
                      (Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44) #1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1";
        let gcc = "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld (GNU Binutils for Debian) 2.44";
        assert_eq!(compiler(debian).as_deref(), Some(gcc));
        assert_eq!(compiler("Linux version 6.12 #1 SMP"), None);
    }

    #[test]
    fn this_kernel_says_its_release() {
        let kernel = read();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(kernel.release, release.trim());
        if kernel.config.is_empty() {
            skip(Need::KernelConfig, "this kernel shows no configuration");
        } else {
            assert!(
                kernel.config.contains_key("CONFIG_HZ"),
                "{:?}",
                kernel.config
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(# )?CONFIG_(KSM|HZ|X)?[ =a-z\"\n#]{0,32}") {
            options(&text);
            version_in(&text);
        }
    }
}
