//! What perf events count here: software events, hardware, tracepoints, kprobes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io;

use perf_event::events::{Event, Hardware, KProbe, Software, Tracepoint};
use perf_event::{Builder, Counter};

use crate::machine::capability::name::{Capability, Probe};
use crate::machine::settings;
use crate::sys::kernelfs::{FileSystem, KernelFs};
use crate::sys::missing::{Missing, errno, is_denied};
use crate::sys::privilege::{Privilege, holds};
use crate::sys::{files, tracing};

/// The most that perf_event_paranoid may be for events that include the kernel.
pub(crate) const PARANOID_KERNEL: i32 = 1;

/// The allocator maps a block of this size afresh: glibc's largest `M_MMAP_THRESHOLD` is 32 MiB.
const ALWAYS_MAPPED: usize = 33 << 20;

pub(super) fn probe(probes: &mut BTreeMap<Capability, Probe>) {
    probes.insert(Capability::SoftwareEvents, software());
    probes.insert(Capability::Pmu, pmu());
    let tracefs = KernelFs::open(FileSystem::Tracefs);
    let points = [
        (Capability::TracepointPageAlloc, "kmem", "mm_page_alloc"),
        (Capability::TracepointPageFree, "kmem", "mm_page_free"),
        (
            Capability::TracepointPageFault,
            "exceptions",
            "page_fault_user",
        ),
    ];
    for (capability, category, name) in points {
        let id = tracefs.as_ref().map_err(Missing::clone);
        probes.insert(capability, id.and_then(|fs| tracepoint(fs, category, name)));
    }
    let tracefs = tracefs.map(|fs| match fs.is_detached() {
        true => "not mounted; read through a detached mount".to_owned(),
        false => "mounted".to_owned(),
    });
    probes.insert(Capability::Tracefs, tracefs);
    probes.insert(Capability::Kprobes, kprobes());
}

/// Opens an event of this thread, kernel side included, not yet counting.
fn open(event: impl Event) -> io::Result<Counter> {
    Builder::new(event)
        .exclude_kernel(false)
        .observe_self()
        .build()
}

/// Counts `work` and tells the count, and the time that the event was on a counter, in ns.
fn count(counter: &mut Counter, work: impl FnOnce()) -> io::Result<(u64, u64)> {
    counter.enable()?;
    work();
    counter.disable()?;
    let read = counter.read_count_and_time()?;
    Ok((read.count, read.time_running))
}

fn software() -> Probe {
    let needed = "software events of the kernel";
    let cannot = |error: io::Error| refused(needed, &error);
    let mut counter = open(Software::PAGE_FAULTS).map_err(cannot)?;
    let mut area = Vec::new();
    if area.try_reserve_exact(ALWAYS_MAPPED).is_err() {
        return Err(Missing::new(
            "33 MiB of address space",
            "none",
            "ulimit -v unlimited",
        ));
    }
    let store = || {
        area.resize(1 << 16, 1u8);
        black_box(&mut area);
    };
    match count(&mut counter, store).map_err(cannot)? {
        (0, _) => Err(Missing::new(
            needed,
            "first stores to 64 KiB counted no page fault",
            "",
        )),
        (faults, _) => Ok(format!(
            "first stores to 64 KiB counted {faults} page faults"
        )),
    }
}

fn pmu() -> Probe {
    let needed = "a PMU that counts cycles, kernel side included";
    let cannot = |error: io::Error| match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => Missing::new(
            needed,
            format!(
                "no hardware counters ({}), as in most virtual machines",
                errno(&error)
            ),
            "",
        ),
        _ => refused(needed, &error),
    };
    let mut counter = open(Hardware::CPU_CYCLES).map_err(cannot)?;
    let burn = || {
        (0..20_000u64).for_each(|step| {
            black_box(step);
        })
    };
    match count(&mut counter, burn).map_err(cannot)? {
        (_, 0) => {
            let found = "cycles opened, but never got a counter (NMI watchdog or other users)";
            Err(Missing::new(
                needed,
                found,
                "sudo sysctl kernel.nmi_watchdog=0",
            ))
        }
        (0, _) => Err(Missing::new(needed, "cycles opened, but counted 0", "")),
        (cycles, _) => Ok(format!("a loop counted {cycles} cycles")),
    }
}

fn tracepoint(tracefs: &KernelFs, category: &str, name: &str) -> Probe {
    let needed = format!("tracepoint {category}:{name}");
    let id = tracing::id_in(tracefs, category, name)?;
    open(Tracepoint::with_id(id)).map_err(|error| refused(&needed, &error))?;
    Ok(format!("id {id} opens"))
}

/// Sets a probe on a function that every kernel has and that runs rarely, and takes it away again.
fn kprobes() -> Probe {
    let needed = "CONFIG_KPROBE_EVENTS";
    if files::read("/sys/bus/event_source/devices/kprobe/type").is_none() {
        return Err(Missing::new(
            needed,
            "no perf event source named kprobe",
            "",
        ));
    }
    let opened = KProbe::probe("do_exit", 0).and_then(open);
    match opened {
        Ok(_) => Ok("a probe on do_exit opens".to_owned()),
        Err(error) => Err(refused("kprobes through perf", &error)),
    }
}

/// Whether the paranoid level does not apply to this process.
pub(crate) fn privileged() -> bool {
    holds(Privilege::Perfmon) || holds(Privilege::SysAdmin)
}

/// Why `perf_event_open(2)` refused: the paranoid level, a filter, or the kernel's build.
pub(crate) fn refused(needed: &str, error: &io::Error) -> Missing {
    let level = settings::sysctl("kernel.perf_event_paranoid");
    let level = level.and_then(|level| level.parse::<i32>().ok());
    why_refused(needed, error, level, privileged())
}

fn why_refused(needed: &str, error: &io::Error, level: Option<i32>, privileged: bool) -> Missing {
    let denied = is_denied(error);
    match level {
        None => Missing::new(needed, "a kernel without CONFIG_PERF_EVENTS", ""),
        Some(level) if denied && !privileged && level > PARANOID_KERNEL => Missing::new(
            format!("kernel.perf_event_paranoid <= {PARANOID_KERNEL} or CAP_PERFMON"),
            format!("kernel.perf_event_paranoid is {level}"),
            format!("sudo sysctl kernel.perf_event_paranoid={PARANOID_KERNEL}"),
        ),
        Some(level) if denied || error.raw_os_error() == Some(libc::ENOSYS) => Missing::new(
            needed,
            format!(
                "perf_event_open fails with {} although kernel.perf_event_paranoid is {level}: \
                 a seccomp filter, a security module or lockdown",
                errno(error)
            ),
            "docker run --security-opt seccomp=unconfined --cap-add=PERFMON ...",
        ),
        Some(_) => Missing::new(needed, format!("perf_event_open: {}", errno(error)), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    fn error(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn a_paranoid_kernel_is_told_the_value_and_the_exact_command() {
        let missing = why_refused("cycles", &error(libc::EACCES), Some(3), false);
        assert_eq!(missing.found, "kernel.perf_event_paranoid is 3");
        assert_eq!(missing.mend, "sudo sysctl kernel.perf_event_paranoid=1");
    }

    #[test]
    fn a_filter_is_suspected_when_the_level_does_not_explain_the_refusal() {
        for (level, privileged) in [(1, false), (3, true)] {
            let missing = why_refused("cycles", &error(libc::EPERM), Some(level), privileged);
            assert!(missing.found.contains("seccomp"), "{missing}");
            assert!(missing.mend.starts_with("docker run"), "{missing}");
        }
    }

    #[test]
    fn a_kernel_without_perf_has_no_mending_command() {
        assert_eq!(
            why_refused("cycles", &error(libc::ENOSYS), None, true).mend,
            ""
        );
    }

    #[test]
    fn page_faults_of_first_stores_are_counted() {
        match software() {
            Ok(found) => assert!(found.ends_with("page faults"), "{found}"),
            Err(missing) => skip(Need::Perf, missing),
        }
    }
}
