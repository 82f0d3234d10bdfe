//! Inside the guest: what a party waits for, by its kernel stack; and what else /proc tells.

use nix::unistd::Pid;

use crate::record::moves::Lock;
use crate::record::staged::Wait;
use crate::sys::swap::{SwapKind, swap_on as swap_device};

/// The guest's device in memory.
const ZRAM: &str = "/dev/zram0";

/// Where a party is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// Asleep, with these functions on its kernel stack, innermost first.
    Asleep(Vec<String>),
    /// On a CPU, or ready for one.
    Running,
    /// It has ended.
    Gone,
}

/// Where task `task` of process `process` is; a task of another process goes by itself.
pub fn whereabouts(process: Pid, task: u64) -> Whereabouts {
    let own = format!("/proc/{process}/task/{task}");
    let folder = if std::fs::exists(&own).unwrap_or(false) {
        own
    } else {
        format!("/proc/{task}")
    };
    match state(&folder) {
        None | Some('Z' | 'X') => Whereabouts::Gone,
        Some('S' | 'D') => {
            let stack = std::fs::read_to_string(format!("{folder}/stack")).unwrap_or_default();
            Whereabouts::Asleep(functions(&stack))
        }
        Some(_) => Whereabouts::Running,
    }
}

/// Whether a process has given its address space up: it is a zombie, or gone.
pub fn is_gone(process: u64) -> bool {
    matches!(state(&format!("/proc/{process}")), None | Some('Z' | 'X'))
}

/// The letter of a task's state; it follows the name, which may hold anything.
fn state(folder: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The functions in /proc/PID/stack: `[<0>] down_read+0x43/0xa0`.
fn functions(stack: &str) -> Vec<String> {
    let name = |line: &str| Some(line.split_once("] ")?.1.split('+').next()?.to_owned());
    stack.lines().filter_map(name).collect()
}

/// The wait of a task that sleeps with these functions on its stack; `None` where it sleeps of its own
/// accord.
pub fn sleeps_on(stack: Vec<String>) -> Option<Wait> {
    let has = |names: &[&str]| {
        stack
            .iter()
            .any(|function| names.iter().any(|name| function.starts_with(name)))
    };
    // Where the plain function is called by who works on one mapping: the mmap lock is taken for writing
    // by functions that a signal can interrupt.
    let plain = stack.iter().position(|function| function == "down_write");
    let above = plain.and_then(|at| stack.get(at + 1));
    let of_a_mapping = above.is_some_and(|caller| {
        ["mprotect_fixup", "dup_mmap", "copy_process"].contains(&caller.as_str())
    });
    let lock = if has(&["handle_userfault"]) {
        Lock::Userfaultfd
    } else if of_a_mapping
        || has(&[
            "__vma_start_write",
            "__vma_enter_locked",
            "vma_start_write",
            "__vma_start_exclude",
        ])
    {
        Lock::Vma
    } else if has(&[
        "folio_wait_bit",
        "wait_on_page_bit",
        "__lock_page",
        "__folio_lock",
    ]) {
        Lock::Folio
    } else if has(&["rwsem_down_", "down_read", "down_write"]) {
        Lock::Mmap
    } else if has(&["hrtimer_nanosleep", "do_nanosleep", "common_nsleep"]) || stack.is_empty() {
        return None;
    } else {
        Lock::Other
    };
    Some(Wait {
        lock,
        asleep: true,
        stack,
    })
}

/// The innermost functions, of which the kernel tells nothing, in front of those that it tells.
pub fn join(inner: Vec<String>, told: &[String]) -> Vec<String> {
    match inner
        .iter()
        .position(|function| Some(function) == told.first())
    {
        Some(common) => [&inner[..common], told].concat(),
        None => told.to_vec(),
    }
}

/// The wait of a CPU that executes these functions; `None` where it gets on.
pub fn spins_on(stack: Vec<String>) -> Option<Wait> {
    let innermost = stack.first()?;
    let spins = ["queued_spin_lock_slowpath", "_raw_spin_lock", "raw_spin"];
    if !spins.iter().any(|name| innermost.contains(name)) {
        return None;
    }
    let faults = [
        "do_wp_page",
        "do_anonymous_page",
        "handle_mm_fault",
        "handle_pte_fault",
        "pte_offset_map_lock",
        "wp_page_copy",
    ];
    let in_a_fault = stack
        .iter()
        .any(|function| faults.iter().any(|name| function.contains(name)));
    Some(Wait {
        lock: if in_a_fault {
            Lock::PageTable
        } else {
            Lock::Other
        },
        asleep: false,
        stack,
    })
}

/// The kernel's symbol table with addresses.
///
/// # Errors
/// If the kernel has none.
pub fn symbols() -> Result<Vec<u8>, String> {
    // Where it is 2, addresses read 0 for root too. Without the setting there is nothing to set.
    let _ = std::fs::write("/proc/sys/kernel/kptr_restrict", "0");
    std::fs::read("/proc/kallsyms")
        .map_err(|e| format!("reading /proc/kallsyms: {e}; a kernel with CONFIG_KALLSYMS=y has it"))
}

/// Makes swap space of the guest's device in memory, if there is none.
///
/// # Errors
/// If the kernel has no such device.
pub fn swap_on() -> Result<(), String> {
    if !SwapKind::in_use().is_empty() {
        return Ok(());
    }
    let size = std::fs::read_to_string("/sys/block/zram0/disksize").unwrap_or_default();
    if !matches!(size.trim().parse::<u64>(), Ok(1..)) {
        return Err("needs swap space; found: no zram device; a kernel with CONFIG_ZRAM, built in or among its modules, has one".into());
    }
    let device = std::path::Path::new(ZRAM);
    swap_device(device).map_err(|e| format!("making swap space of {ZRAM}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(stack: &[&str]) -> Option<Lock> {
        sleeps_on(stack.iter().map(|&name| name.to_owned()).collect()).map(|wait| wait.lock)
    }

    #[test]
    fn functions_are_read_from_a_stack() {
        let text =
            "[<0>] rwsem_down_write_slowpath+0x1f2/0x5d0\n[<0>] do_mprotect_pkey+0xd4/0x3f0\n";
        assert_eq!(
            functions(text),
            ["rwsem_down_write_slowpath", "do_mprotect_pkey"]
        );
        assert_eq!(functions("garbage"), Vec::<String>::new());
    }

    #[test]
    fn a_lock_is_told_by_who_takes_it() {
        let mmap = ["rwsem_down_write_slowpath", "do_mprotect_pkey"];
        assert_eq!(lock(&mmap), Some(Lock::Mmap));
        let vma = ["rwsem_down_write_slowpath", "__vma_start_write", "dup_mmap"];
        assert_eq!(lock(&vma), Some(Lock::Vma));
        let inlined = ["rwsem_down_write_slowpath", "down_write", "mprotect_fixup"];
        assert_eq!(lock(&inlined), Some(Lock::Vma));
        let killable = [
            "rwsem_down_write_slowpath",
            "down_write_killable",
            "copy_process",
        ];
        assert_eq!(lock(&killable), Some(Lock::Mmap));
        assert_eq!(lock(&["handle_userfault"]), Some(Lock::Userfaultfd));
        assert_eq!(lock(&["do_something"]), Some(Lock::Other));
    }

    #[test]
    fn what_the_kernel_leaves_out_of_a_stack_is_put_in_front() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let inner = names(&[
            "rwsem_down_write_slowpath",
            "down_write",
            "mprotect_fixup",
            "stale",
        ]);
        let told = names(&["mprotect_fixup", "do_mprotect_pkey"]);
        assert_eq!(
            join(inner, &told),
            names(&[
                "rwsem_down_write_slowpath",
                "down_write",
                "mprotect_fixup",
                "do_mprotect_pkey"
            ])
        );
        assert_eq!(join(names(&["elsewhere"]), &told), told);
    }

    #[test]
    fn a_nap_is_no_wait() {
        assert_eq!(lock(&["hrtimer_nanosleep", "common_nsleep"]), None);
        assert_eq!(lock(&[]), None);
    }

    #[test]
    fn a_cpu_that_spins_in_a_fault_wants_the_page_table() {
        let spin = |stack: &[&str]| {
            spins_on(stack.iter().map(|&name| name.to_owned()).collect()).map(|wait| wait.lock)
        };
        let fault = [
            "native_queued_spin_lock_slowpath",
            "_raw_spin_lock",
            "__handle_mm_fault",
        ];
        assert_eq!(spin(&fault), Some(Lock::PageTable));
        assert_eq!(spin(&["_raw_spin_lock", "vfs_read"]), Some(Lock::Other));
        assert_eq!(spin(&["vfs_read", "_raw_spin_lock"]), None);
        assert_eq!(spin(&[]), None);
    }
}
