//! What a test does where the machine lacks something that it needs: it says so, and fails where the machine is known to
//! have it. Unit tests use it too.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fmt::Display;
use std::io::Write;

use clap::ValueEnum;

/// What a test may need beside a Rust toolchain. COWPATH_REQUIRE lists, with commas between, the names of those that the
/// machine has, in small letters with dashes, or `all`. `.ci/machine` finds them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Need {
    /// To be root in the first user namespace, with every capability.
    Root,
    /// unshare(1), and to be allowed a user namespace.
    UserNamespaces,
    /// To be root, a memory cgroup of one's own, and /dev/shm.
    MemoryCgroup,
    /// To be root, and a pool of 2 MiB pages that is empty and can grow.
    HugePool,
    TwoCpus,
    ThreeCpus,
    /// userfaultfd(2).
    Uffd,
    /// That it protects pages against stores.
    UffdWp,
    /// That pagemap shows the protection.
    UffdWpShown,
    /// That stores lift its protection without a handler.
    UffdWpAsync,
    /// Tracefs, and to be root.
    Tracefs,
    Kprobes,
    /// perf_event_open(2) for software events of user space and the kernel.
    Perf,
    /// Taskstats over netlink, and to be root.
    Taskstats,
    /// Delay accounting that can be switched on at run time, and is off.
    Delayacct,
    /// Transparent huge pages of a PMD's size.
    Thp,
    /// Transparent huge pages of 64 KiB.
    Mthp,
    /// ksmd, with its advisor.
    Ksm,
    /// Swap devices in memory that can be made at run time.
    Zram,
    /// vmsplice(2) and process_vm_readv(2).
    Pins,
    IoUring,
    /// That a set-user-ID program in the folder for temporary files runs as its owner.
    SetUserId,
    /// A folder for temporary files that takes O_DIRECT.
    DirectIo,
    /// That the running kernel shows its configuration.
    KernelConfig,
    /// That the running kernel is no strategy kernel.
    StockKernel,
    /// The published run files in reports/.
    Published,
    Bash,
    Git,
    /// apt and the keys of Debian.
    Apt,
    Cpio,
    /// python3 with the modules that .ci/requirements.txt names.
    Python,
    Benchstat,
    /// cc, and the headers of a C library and the kernel.
    Compiler,
    /// qemu-system-x86_64.
    Qemu,
    QemuAarch64,
    /// Kernels that scripts/fetch-kernels fetched, 6.1 and 6.12 among them.
    Kernels,
    /// A kernel for aarch64 and a cowpath built for it.
    Aarch64,
    StrategyKernel,
}

/// Says that a test, or the rest of it, is skipped for lack of `need`.
///
/// # Panics
/// If COWPATH_REQUIRE says that the machine has it.
pub fn skip(need: Need, reason: impl Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let required = std::env::var("COWPATH_REQUIRE").unwrap_or_default();
    assert!(
        !requires(&required, need),
        "skipped though COWPATH_REQUIRE says that the machine has what is needed ({}): {reason}",
        name(need)
    );
    // Not by println: what a test that passes has printed is not shown.
    let line = format!("skipped: {test}: {reason} ({})\n", name(need));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn name(need: Need) -> String {
    let value = need.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Whether a list of names holds that of `need`, or `all`.
///
/// # Panics
/// On a name that stands for nothing.
fn requires(list: &str, need: Need) -> bool {
    let named = |name: &str| match Need::from_str(name, false) {
        Ok(named) => named == need,
        Err(why) => panic!("COWPATH_REQUIRE: {why}"),
    };
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.fold(false, |found, name| found | (name == "all" || named(name)))
}
