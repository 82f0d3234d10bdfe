//! Perf counters around a pass of stores: opened in groups, read with the time they really counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nix::unistd::Pid;
use perf_event::events::{
    Cache, CacheId, CacheOp, CacheResult, Dynamic, Hardware, Software, Tracepoint,
};
use perf_event::{Builder, Counter, Group, ReadFormat};
use serde::{Deserialize, Serialize};

use crate::machine::capability::perf;
use crate::machine::cpulist;

/// A count, or why there is none.
pub type Count = Result<Counted, String>;

/// A count and the time it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Events counted while the counter ran.
    pub value: u64,
    /// Time the counter was enabled, in ns.
    pub enabled_ns: u64,
    /// Time the counter counted, in ns. Never 0.
    pub running_ns: u64,
}

/// The tracepoints that are counted, as category and name.
pub const TRACEPOINTS: [(&str, &str); 4] = [
    ("exceptions", "page_fault_user"),
    ("kmem", "mm_page_alloc"),
    ("kmem", "mm_page_free"),
    ("tlb", "tlb_flush"),
];

/// Tracepoint ids by `category:name`, or why there is none.
pub type TracepointIds = BTreeMap<String, Result<u64, String>>;

/// A counter that is kept in use.
pub struct HeldCounter(#[expect(dead_code, reason = "held for its descriptor")] Counter);

/// Keeps every tracepoint of `ids` in use, stopped, and the software events that are counted.
/// Where that is refused, nothing is held: workers then report the refusal.
///
/// The first use and the last change the kernel's code while it runs (static keys), which takes long, and in
/// between every fault on the machine takes a longer path: 54 instructions of a reuse on 6.12. Not for while stores are
/// timed, therefore, but under QEMU's multi-threaded emulation: there another CPU may still run the breakpoint that
/// stood in the code for a moment, and the kernel panics; times mean nothing there anyway.
pub fn hold(ids: &TracepointIds) -> Vec<HeldCounter> {
    let tracepoints = ids
        .values()
        .filter_map(|id| Some(Builder::new(Tracepoint::with_id(*id.as_ref().ok()?))));
    let software = [
        Software::CONTEXT_SWITCHES,
        Software::CPU_MIGRATIONS,
        Software::PAGE_FAULTS,
        Software::PAGE_FAULTS_MIN,
    ];
    tracepoints
        .filter_map(|mut event| event.include_kernel().build().ok())
        .chain(
            software
                .into_iter()
                .filter_map(|event| Builder::new(event).include_kernel().build().ok()),
        )
        .map(HeldCounter)
        .collect()
}

/// What a counting trial counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Counting {
    /// Events of the CPU's PMU: a trial for each group, so that each has the PMU to itself.
    Hardware,
    /// The kernel's software events and tracepoints.
    Events(TracepointIds),
}

impl Counting {
    /// A counter of each kind that is asked for everywhere, whether there is one or not.
    pub fn landmark(&self) -> &'static str {
        match self {
            Self::Hardware => "cycles:k",
            Self::Events(_) => "page-faults",
        }
    }

    /// The groups that `cpu` is asked for.
    pub fn groups(&self, cpu: u32) -> Vec<Wanted> {
        match self {
            Self::Hardware => hardware(pmu(cpu).as_ref().map(PathBuf::as_path)),
            Self::Events(tracepoints) => vec![software(tracepoints)],
        }
    }

    /// Why each counter is missing on `cpu`, where not one of them opens on this thread.
    pub fn missing(&self, cpu: u32) -> Option<BTreeMap<String, String>> {
        let mut missing = BTreeMap::new();
        for wanted in self.groups(cpu) {
            let tried = Counters::open(&wanted, None);
            if tried.is_open() {
                return None;
            }
            missing.extend(tried.missing);
        }
        Some(missing)
    }
}

/// A group that is asked for: counters by name, each an event or why there is none.
///
/// The members of a group run together or not at all, so a ratio within a group is sound. The first one that opens
/// leads, stopped: behind a leader that is opened running, members would not count until the next context switch.
pub struct Wanted(Vec<(String, Result<EventKind, String>)>);

/// An event.
enum EventKind {
    Hardware(Hardware),
    Cache(CacheId, CacheOp),
    Named(Dynamic),
    Software(Software),
    Tracepoint(u64),
}

impl EventKind {
    fn is_hardware(&self) -> bool {
        matches!(self, Self::Hardware(_) | Self::Cache(..) | Self::Named(_))
    }
}

/// The groups of hardware events, kernel side only. A PMU has four counters or more, some of which others may use:
/// no group has more than four members that take one.
///
/// Events that the kernel has a general name for mean what it has them mean on this CPU; what it has none for is
/// looked up among those that the PMU itself names in sysfs, or has no reading.
fn hardware(pmu: Result<&Path, &String>) -> Vec<Wanted> {
    let general = |name: &str, event| (format!("{name}:k"), Ok(EventKind::Hardware(event)));
    let missed =
        |name: &str, id, operation| (format!("{name}:k"), Ok(EventKind::Cache(id, operation)));
    let named = |name: &str| {
        let event = pmu.map_err(String::clone).and_then(|pmu| named(pmu, name));
        (format!("{name}:k"), event.map(EventKind::Named))
    };
    let (load, store) = (CacheOp::READ, CacheOp::WRITE);
    vec![
        Wanted(vec![
            general("cycles", Hardware::CPU_CYCLES),
            general("instructions", Hardware::INSTRUCTIONS),
            general("stalled-cycles-frontend", Hardware::STALLED_CYCLES_FRONTEND),
            general("stalled-cycles-backend", Hardware::STALLED_CYCLES_BACKEND),
        ]),
        Wanted(vec![
            general("branches", Hardware::BRANCH_INSTRUCTIONS),
            general("branch-misses", Hardware::BRANCH_MISSES),
        ]),
        Wanted(vec![
            missed("dTLB-load-misses", CacheId::DTLB, load),
            missed("dTLB-store-misses", CacheId::DTLB, store),
            missed("iTLB-load-misses", CacheId::ITLB, load),
            named("dtlb_walk"),
        ]),
        Wanted(vec![
            missed("L1-dcache-load-misses", CacheId::L1D, load),
            missed("L1-icache-load-misses", CacheId::L1I, load),
            named("l2d_cache_refill"),
        ]),
        Wanted(vec![
            general("cache-misses", Hardware::CACHE_MISSES),
            missed("LLC-load-misses", CacheId::LL, load),
            missed("LLC-store-misses", CacheId::LL, store),
        ]),
        // Intel's, from Ice Lake on: the kernel wants slots to lead.
        Wanted(
            [
                "slots",
                "topdown-retiring",
                "topdown-bad-spec",
                "topdown-fe-bound",
                "topdown-be-bound",
            ]
            .map(named)
            .into(),
        ),
    ]
}

fn software(tracepoints: &TracepointIds) -> Wanted {
    let own = [
        ("page-faults", Software::PAGE_FAULTS),
        ("minor-faults", Software::PAGE_FAULTS_MIN),
        ("context-switches", Software::CONTEXT_SWITCHES),
        ("cpu-migrations", Software::CPU_MIGRATIONS),
    ];
    let own = own.map(|(name, event)| (name.to_string(), Ok(EventKind::Software(event))));
    let points = TRACEPOINTS.map(|(category, name)| {
        let name = format!("{category}:{name}");
        let id = tracepoints.get(&name).cloned();
        let id = id.unwrap_or_else(|| Err("not looked up".into()));
        (name, id.map(EventKind::Tracepoint))
    });
    Wanted(own.into_iter().chain(points).collect())
}

const PMUS: &str = "/sys/bus/event_source/devices";

/// The PMU of `cpu`: `cpu` on most x86 machines, else the one that lists it in its `cpus`.
fn pmu(cpu: u32) -> Result<PathBuf, String> {
    let none = || format!("the kernel has no PMU of CPU {cpu} ({PMUS})");
    let plain = Path::new(PMUS).join("cpu");
    if plain.exists() {
        return Ok(plain);
    }
    let lists_it = |path: &PathBuf| {
        let cpus = fs::read_to_string(path.join("cpus")).ok();
        let cpus = cpus.and_then(|text| cpulist::parse(text.trim()).ok());
        cpus.is_some_and(|cpus| cpus.contains(&cpu))
    };
    let all = fs::read_dir(PMUS).into_iter().flatten().flatten();
    all.map(|entry| entry.path())
        .find(lists_it)
        .ok_or_else(none)
}

/// The event of `pmu` that sysfs calls `name`.
fn named(pmu: &Path, name: &str) -> Result<Dynamic, String> {
    if !pmu.join("events").join(name).exists() {
        return Err(format!("{} names no such event", pmu.display()));
    }
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", pmu.display());
    let mut builder = Dynamic::builder(pmu).map_err(|e| wrong(&e))?;
    builder.event(name).map_err(|e| wrong(&e))?;
    builder.build().map_err(|e| wrong(&e))
}

/// One group of counters of one process, open and stopped.
pub struct Counters {
    open: Option<OpenGroup>,
    missing: BTreeMap<String, String>,
}

/// A group, its leader's name and the other members.
struct OpenGroup {
    group: Group,
    leader: String,
    members: Vec<(String, Counter)>,
}

impl Counters {
    /// Opens what is wanted on process `pid`, or on this thread for `None`. A counter that the kernel
    /// refuses is remembered with the reason.
    pub fn open(wanted: &Wanted, pid: Option<Pid>) -> Self {
        let mut counters = Counters {
            open: None,
            missing: BTreeMap::new(),
        };
        for (name, kind) in &wanted.0 {
            let added = kind.as_ref().map_err(String::clone);
            if let Err(why) = added.and_then(|kind| counters.add(name, kind, pid)) {
                counters.missing.insert(name.clone(), why);
            }
        }
        counters
    }

    fn add(&mut self, name: &str, kind: &EventKind, pid: Option<Pid>) -> Result<(), String> {
        match &mut self.open {
            Some(open) => {
                let add = |builder: &Builder| open.group.add(builder);
                // Opened enabled, members follow their leader; opened disabled, those of another PMU than
                // the leader's count too little.
                let counter = build(kind, pid, true, add)?;
                open.members.push((name.into(), counter));
            }
            None => {
                self.open = Some(OpenGroup {
                    group: build(kind, pid, false, |builder| builder.build_group())?,
                    leader: name.into(),
                    members: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// Whether any counter is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Starts counting from zero.
    pub fn start(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |open| {
            open.group.reset()?;
            open.group.enable()
        })
    }

    /// Stops counting and reads every counter.
    pub fn stop(&mut self) -> io::Result<BTreeMap<String, Count>> {
        let missing = self.missing.iter();
        let mut counts: BTreeMap<_, _> = missing
            .map(|(name, why)| (name.clone(), Err(why.clone())))
            .collect();
        let Some(open) = &mut self.open else {
            return Ok(counts);
        };
        open.group.disable()?;
        let data = open.group.as_counter_mut().read_group()?;
        let ns = |time: Option<std::time::Duration>| {
            time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
        };
        let (enabled_ns, running_ns) = (ns(data.time_enabled()), ns(data.time_running()));
        let leader = std::iter::once((&open.leader, open.group.as_counter()));
        let members = open.members.iter().map(|(name, counter)| (name, counter));
        for (name, counter) in leader.chain(members) {
            let count = match data.get(counter) {
                Some(entry) if running_ns > 0 => Ok(Counted {
                    value: entry.value(),
                    enabled_ns,
                    running_ns,
                }),
                _ => Err("opened, but never scheduled on the PMU".to_string()),
            };
            counts.insert(name.clone(), count);
        }
        Ok(counts)
    }
}

/// Builds the event of `kind` by `add`.
fn build<T>(
    kind: &EventKind,
    pid: Option<Pid>,
    enabled: bool,
    mut add: impl FnMut(&Builder) -> io::Result<T>,
) -> Result<T, String> {
    let mut builder = match kind {
        EventKind::Hardware(event) => Builder::new(*event),
        EventKind::Software(event) => Builder::new(*event),
        EventKind::Named(event) => Builder::new(*event),
        EventKind::Cache(which, operation) => Builder::new(Cache {
            which: *which,
            operation: *operation,
            result: CacheResult::MISS,
        }),
        EventKind::Tracepoint(id) => Builder::new(Tracepoint::with_id(*id)),
    };
    match pid {
        Some(pid) => builder.observe_pid(pid.as_raw()),
        None => builder.observe_self(),
    };
    builder
        .enabled(enabled)
        .include_kernel()
        .include_hv()
        .exclude_user(kind.is_hardware())
        .read_format(
            ReadFormat::GROUP
                | ReadFormat::ID
                | ReadFormat::TOTAL_TIME_ENABLED
                | ReadFormat::TOTAL_TIME_RUNNING,
        );
    match add(&builder) {
        // A fault taken in user mode is a user event: it can be counted with the kernel excluded.
        Err(e) if !kind.is_hardware() && is_refusal(&e) => add(builder.exclude_kernel(true)),
        other => other,
    }
    .map_err(|e| reason(&e))
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

pub(super) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            format!("this machine's PMU does not offer it, or there is none ({error})")
        }
        Some(libc::EACCES | libc::EPERM) => {
            perf::refused("an event of the kernel", error).to_string()
        }
        Some(libc::ENOSYS) => "the kernel is built without perf events".into(),
        _ => format!("perf_event_open: {error}"),
    }
}

/// Checks the counters against a known number: first stores to `pages` fresh pages are `pages` faults.
///
/// # Errors
/// What was counted instead, when `page-faults` is available and wrong.
pub fn self_test() -> Result<(), String> {
    const PAGES: usize = 32;
    let mut counters = Counters::open(&software(&TracepointIds::new()), None);
    let mut count = || -> Result<_, String> {
        let area = crate::memory::area::Area::map(PAGES).map_err(|e| e.to_string())?;
        counters.start().map_err(|e| e.to_string())?;
        area.fill(1);
        counters.stop().map_err(|e| e.to_string())
    };
    // The first time, the program's own code may have to be mapped.
    count()?;
    match count()?.get("page-faults") {
        Some(Ok(counted)) if counted.value == PAGES as u64 => Ok(()),
        Some(Ok(counted)) => Err(format!(
            "the counters do not count right here: {} page faults seen where there were {PAGES}",
            counted.value
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(counting: &Counting) -> BTreeMap<String, Count> {
        let mut counts = BTreeMap::new();
        for wanted in counting.groups(0) {
            let mut counters = Counters::open(&wanted, None);
            counters.start().unwrap();
            std::hint::black_box((0..10_000u64).map(std::hint::black_box).sum::<u64>());
            counts.extend(counters.stop().unwrap());
        }
        counts
    }

    #[test]
    fn every_counter_counts_or_says_why_not() {
        // A fork in another test makes this process's own pages fault once more in the midst of it.
        assert!((0..3).any(|_| self_test().is_ok()), "{:?}", self_test());
        for counting in [Counting::Hardware, Counting::Events(TracepointIds::new())] {
            let counts = count(&counting);
            for (name, count) in &counts {
                match count {
                    Ok(counted) => assert!(counted.running_ns > 0, "{name}"),
                    Err(why) => assert!(!why.is_empty(), "{name}"),
                }
            }
            assert!(counts.contains_key(counting.landmark()));
        }
    }

    #[test]
    fn no_group_asks_for_more_counters_than_a_pmu_has() {
        let nowhere = "no PMU".to_string();
        let groups = hardware(Err(&nowhere));
        let mut names: Vec<&String> = groups.iter().flat_map(|g| &g.0).map(|(n, _)| n).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a counter belongs to one group");
        for group in &groups {
            // The top-down events have a register of their own.
            let topdown = group.0[0].0 == "slots:k";
            assert!(topdown || group.0.len() <= 4);
        }
        let walk = groups
            .iter()
            .flat_map(|g| &g.0)
            .find(|(n, _)| n == "dtlb_walk:k");
        assert!(matches!(walk, Some((_, Err(why))) if *why == nowhere));
    }

    #[test]
    fn an_event_is_looked_up_by_the_name_that_sysfs_has_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let pmu = folder.path();
        for (file, text) in [
            ("type", "8\n"),
            ("format/event", "config:0-15\n"),
            ("events/l2d_cache_refill", "event=0x0017\n"),
        ] {
            let path = pmu.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert!(named(pmu, "l2d_cache_refill").is_ok());
        let why = named(pmu, "dtlb_walk").unwrap_err();
        assert!(why.ends_with("names no such event"), "{why}");
    }
}
