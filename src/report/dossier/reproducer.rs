//! A scenario as a C file of its own: the page state, the timed loop and nothing of this program.

use std::fmt::Write as _;

use crate::memory::backing::Memory;
use crate::memory::folio::Folio;
use crate::scenario::workload::{Actor, Workload};
use crate::scenario::{Mapping, PageOrder, Scenario, Step, Timed};
use crate::worker::units::stride;

const START: &str = include_str!("reproducer/start.c");
const STORES: &str = include_str!("reproducer/stores.c");
const REHEARSE: &str = include_str!("reproducer/rehearse.c");
const FRAMES: &str = include_str!("reproducer/frames.c");
const CHILD: &str = include_str!("reproducer/child.c");
const PIPES: &str = include_str!("reproducer/pipes.c");
const PROTECT: &str = include_str!("reproducer/protect.c");
const FILL: &str = include_str!("reproducer/fill.c");
const SPLIT: &str = include_str!("reproducer/split.c");
const ELSEWHERE: &str = include_str!("reproducer/elsewhere.c");
const READ_PINNED: &str = include_str!("reproducer/read_pinned.c");
const FORK: &str = include_str!("reproducer/fork.c");
const DRAIN: &str = include_str!("reproducer/drain.c");
const FINISH: &str = include_str!("reproducer/finish.c");

/// The scenario in folios of that size, `count` of them or of their pages that are acted on, as a C file that compiles
/// with `cc -O2` on Linux.
///
/// # Errors
/// What the scenario does that such a file does not.
pub fn reproducer(scenario: &Scenario, folio: Folio, count: u32) -> Result<String, String> {
    if scenario.play != Workload::Stores(scenario.actor()) {
        return Err("threads that must meet at each page".into());
    }
    if let Some(PageOrder::Backwards | PageOrder::AtRandom) = scenario.every_page {
        return Err("an order of its own among the pages of a folio".into());
    }
    if scenario.memory == Memory::PooledMemfd {
        return Err("a file of hugetlb's pool".into());
    }
    let steps = scenario.steps.iter().map(|&step| lines(scenario, step));
    let steps: Vec<&[&str]> = steps.collect::<Result<_, _>>()?;
    let timed = timed(scenario)?;
    let has = |all: &[Step]| all.iter().any(|&step| scenario.has(step));
    let has_child = has(&[Step::Fork, Step::ForkUntouched, Step::ForkElsewhere]);
    let by_child = scenario.actor() == Actor::Child;
    let has_frames = !scenario.timed.is_whole();

    let mut text = heading(scenario, folio);
    let _ = write!(
        text,
        "/* Pages that are acted on, or folios where they are larger, and bytes from one to the next. */\n\
         #ifndef UNITS\n#define UNITS {count}\n#endif\n#define STRIDE {}ul\n#define FOLIO {}ul\n\
         #define SAMPLES {}\n#define NAME \"{}{}\"\n#define WHAT \"{}\"\n\n",
        stride(scenario, folio),
        folio.bytes(),
        if scenario.timed.is_whole() {
            "1"
        } else {
            "UNITS"
        },
        scenario.id,
        match folio {
            Folio::Page => String::new(),
            other => format!(" {other}"),
        },
        timed.what,
    );
    text += START;
    if scenario.timed == Timed::Store {
        text += STORES;
    }
    if by_child {
        text += REHEARSE;
    }
    if has_frames {
        text += FRAMES;
    }
    if has_child {
        // Only where it is the child whose stores are timed is it told to make them.
        let on_time = if by_child {
            "rehearse_and_store();"
        } else {
            "break;"
        };
        text += &CHILD.replace("@timed@", on_time);
    }
    if scenario.has(Step::Vmsplice) {
        text += PIPES;
    }
    text += &area(scenario.memory, folio);
    text += FILL;
    if scenario.has(Step::SplitVma) {
        text += SPLIT;
    }
    if has(&[Step::WriteProtect, Step::UffdWpAsync, Step::SoftDirty]) {
        text += PROTECT;
    }
    if has(&[Step::FillElsewhere, Step::ForkElsewhere]) {
        text += ELSEWHERE;
    }
    if scenario.has(Step::ReadPinned) || scenario.timed == Timed::ReadPin {
        text += READ_PINNED;
    }
    text += timed.helper;
    text += DRAIN;
    trial(&mut text, scenario, &steps, &timed, has_child, by_child);
    text += FINISH;
    text += if has_frames {
        MOVED
    } else {
        "\treturn 0;\n}\n"
    };
    Ok(text)
}

/// What the file is called.
pub fn file_name(scenario: &str, folio: Folio) -> String {
    let scenario = scenario.replace('/', "-");
    match folio {
        Folio::Page => format!("{scenario}.c"),
        other => format!("{scenario}-{other}.c"),
    }
}

fn heading(scenario: &Scenario, folio: Folio) -> String {
    let steps: Vec<String> = scenario.steps.iter().map(|step| step.label()).collect();
    let state = match steps[..] {
        [] => "nothing".into(),
        _ => steps.join(", "),
    };
    let needs = match folio {
        Folio::Large(_) => format!(
            " * Needs {} at madvise or always, and larger sizes at never.\n",
            format_args!(
                "/sys/kernel/mm/transparent_hugepage/hugepages-{}kB/enabled",
                folio.bytes() / 1024
            )
        ),
        Folio::Hugetlb(_) => " * Needs free pages in hugetlb's pool.\n".into(),
        Folio::Page => String::new(),
    };
    let name = file_name(scenario.id, folio);
    let program = name.trim_end_matches(".c");
    format!(
        "/*\n * {}: {}.\n * Set up by: {state}. Then one process {}.\n * The kernel's path: {}.\n *\n{needs} \
         * cc -O2 -o {program} {name} && ./{program} [CPU]\n *\n * Made by cowpath {}.\n */\n",
        scenario.id,
        scenario.summary,
        scenario.timed.label(),
        scenario.path.replace("*/", "* /"),
        env!("CARGO_PKG_VERSION"),
    )
}

/// How the area is mapped and unmapped: between inaccessible pages, so that it is a VMA of its own.
fn area(memory: Memory, folio: Folio) -> String {
    let (flags, file) = match (memory, folio) {
        (Memory::SharedAnonymous, _) => ("MAP_SHARED | MAP_ANONYMOUS".into(), ""),
        (Memory::PrivateFile, _) => ("MAP_PRIVATE".into(), FILE),
        (Memory::PrivateMemfd, _) => ("MAP_PRIVATE".into(), MEMFD),
        (_, Folio::Hugetlb(_)) => (
            format!(
                "MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | {} << 26",
                folio.bytes().trailing_zeros()
            ),
            "",
        ),
        _ => ("MAP_PRIVATE | MAP_ANONYMOUS".to_string(), ""),
    };
    let advice = match (memory, folio) {
        (Memory::PrivateFile | Memory::PrivateMemfd, _) | (_, Folio::Hugetlb(_)) => "",
        (_, Folio::Page) => "\tmadvise(area, LENGTH, MADV_NOHUGEPAGE);\n",
        (_, Folio::Large(_)) => {
            "\tif (madvise(area, LENGTH, MADV_HUGEPAGE))\n\t\tdie(\"madvise(MADV_HUGEPAGE)\");\n"
        }
    };
    let of_file = if file.is_empty() { "-1" } else { "file" };
    let close = if file.is_empty() {
        ""
    } else {
        "\tclose(file);\n"
    };
    format!(
        "#define RESERVED (LENGTH + 2 * FOLIO + 2 * PAGE)\n\n\
         /* An area between inaccessible pages, which keep it a VMA of its own. */\n\
         static void map_area(void)\n{{\n{file}\
         \treserved = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);\n\
         \tif (reserved == MAP_FAILED)\n\t\tdie(\"mmap\");\n\
         \tarea = (char *)(((uintptr_t)reserved + PAGE + FOLIO - 1) / FOLIO * FOLIO);\n\
         \tif (mmap(area, LENGTH, PROT_READ | PROT_WRITE, MAP_FIXED | {flags}, {of_file}, 0) == MAP_FAILED)\n\
         \t\tdie(\"mmap\");\n{close}{advice}}}\n\n"
    )
}

const FILE: &str = r#"	char name[] = "/tmp/reproducer-XXXXXX";
	int file = mkstemp(name);

	if (file < 0)
		die("mkstemp");
	unlink(name);
	for (size_t at = 0; at < LENGTH; at += 8)
		if (write(file, &at, 8) != 8)
			die("write");
"#;

const MEMFD: &str = r#"	int file = memfd_create("reproducer", MFD_CLOEXEC);

	if (file < 0)
		die("memfd_create");
	for (size_t at = 0; at < LENGTH; at += 8)
		if (write(file, &at, 8) != 8)
			die("write");
"#;

const MOVED: &str = r#"	if (all.hidden)
		printf("which pages have another frame afterwards may be seen with CAP_SYS_ADMIN alone\n");
	else
		printf("%llu of %zu have another frame afterwards\n", (unsigned long long)all.moved, count);
	return 0;
}
"#;

/// What carries a step out, a line each.
fn lines(scenario: &Scenario, step: Step) -> Result<&'static [&'static str], String> {
    Ok(match step {
        Step::Fill => &["fill(number);"],
        Step::FillElsewhere => &["elsewhere(1);", "fill(number);", "elsewhere(0);"],
        Step::Read => EACH_READ,
        // The child does not have what is left out of it.
        Step::Fork if scenario.has(Step::DontFork) => &["child = start();"],
        Step::Fork => &["child = start();", "tell(&child, 'r');"],
        Step::ForkElsewhere => &[
            "elsewhere(1);",
            "child = start();",
            "elsewhere(0);",
            "tell(&child, 'r');",
        ],
        Step::ForkUntouched => &["child = start();"],
        Step::ForkAgain => &["second = start();", "tell(&second, 'r');"],
        Step::ChildStores => &["tell(&child, 's');"],
        Step::ChildExits => &["end(&child);"],
        Step::SecondExits => &["end(&second);"],
        Step::ParentDrops => &[
            "if (madvise(area, LENGTH, MADV_DONTNEED))",
            "\tdie(\"madvise(MADV_DONTNEED)\");",
        ],
        Step::Vmsplice => &["into_pipes();"],
        Step::PipeCloses => &["close_pipes();"],
        Step::ReadPinned => &[
            "for (size_t n = 0; n < UNITS; n++)",
            "\tread_pinned(area + n * STRIDE);",
        ],
        Step::MprotectRoRw => &[
            "if (mprotect(area, LENGTH, PROT_READ) || mprotect(area, LENGTH, PROT_READ | PROT_WRITE))",
            "\tdie(\"mprotect\");",
        ],
        Step::ProtNoneAndBack => &[
            "if (mprotect(area, LENGTH, PROT_NONE) || mprotect(area, LENGTH, PROT_READ | PROT_WRITE))",
            "\tdie(\"mprotect\");",
        ],
        Step::SplitVma => &["split_vma();"],
        Step::DontFork => &[
            "if (madvise(area, LENGTH, MADV_DONTFORK))",
            "\tdie(\"madvise(MADV_DONTFORK)\");",
        ],
        Step::DontForkRest => &[
            "for (size_t at = 0; at < LENGTH; at += FOLIO)",
            "\tif (madvise(area + at + PAGE, FOLIO - PAGE, MADV_DONTFORK))",
            "\t\tdie(\"madvise(MADV_DONTFORK)\");",
        ],
        Step::DoFork => &[
            "if (madvise(area, LENGTH, MADV_DOFORK))",
            "\tdie(\"madvise(MADV_DOFORK)\");",
        ],
        Step::Collapse => &[
            "if (madvise(area, LENGTH, 25))",
            "\tdie(\"madvise(MADV_COLLAPSE)\");",
        ],
        Step::WipeOnFork => &[
            "if (madvise(area, LENGTH, MADV_WIPEONFORK))",
            "\tdie(\"madvise(MADV_WIPEONFORK)\");",
        ],
        Step::WriteProtect if scenario.memory != Memory::Small => {
            return Err("a PMD that is write-protected in place".into());
        }
        Step::WriteProtect => &["if (!by_uffd())", "\tsoft_dirty();"],
        Step::UffdWpAsync => &[
            "if (!by_uffd())",
            "\tdie(\"userfaultfd, asynchronous write-protection\");",
        ],
        Step::SoftDirty => &["soft_dirty();"],
        Step::PteMap => &[
            "for (size_t at = PAGE; at < LENGTH; at += FOLIO)",
            "\tif (mprotect(area + at, PAGE, PROT_READ))",
            "\t\tdie(\"mprotect\");",
            "if (mprotect(area, LENGTH, PROT_READ | PROT_WRITE))",
            "\tdie(\"mprotect\");",
        ],
        Step::HalfUnmap => &[
            "for (size_t at = 0; at < LENGTH; at += FOLIO)",
            "\tif (madvise(area + at + FOLIO / 2, FOLIO / 2, MADV_DONTNEED))",
            "\t\tdie(\"madvise(MADV_DONTNEED)\");",
        ],
        Step::AllButOneUnmap => &[
            "for (size_t at = 0; at < LENGTH; at += FOLIO)",
            "\tif (madvise(area + at + PAGE, FOLIO - PAGE, MADV_DONTNEED))",
            "\t\tdie(\"madvise(MADV_DONTNEED)\");",
        ],
        Step::ChildDrops
        | Step::ChildDropsHalf
        | Step::Grandchild
        | Step::HalfMoves
        | Step::PoolDries
        | Step::Vfork
        | Step::ChildVmsplices
        | Step::RegisterBuffer
        | Step::WriteDirect
        | Step::WriteInFlight
        | Step::ReadInFlight
        | Step::SplitParts
        | Step::UffdWpUndone
        | Step::UffdWpClosed
        | Step::MadvFree
        | Step::SwapOut
        | Step::Merge
        | Step::TwinUnmaps
        | Step::SplitInto(_)
        | Step::Descendants { .. }
        | Step::ChildForksOn
        | Step::ThreadsRun(_)
        | Step::ThreadsSleep(_) => {
            return Err(format!(
                "a step that takes more than a few lines: {}",
                step.label()
            ));
        }
    })
}

const EACH_READ: &[&str] = &[
    "for (size_t n = 0; n < UNITS; n++)",
    "\t(void)*(volatile uint64_t *)(area + n * STRIDE);",
];

/// How the timed operation is made and its samples are taken.
struct TimedCode {
    /// What the samples are of.
    what: &'static str,
    /// Functions that it needs.
    helper: &'static str,
    /// Where ticks come from, once for each sample.
    act: &'static str,
}

fn timed(scenario: &Scenario) -> Result<TimedCode, String> {
    Ok(match scenario.timed {
        Timed::Store => TimedCode {
            what: "stores",
            helper: "",
            act: match scenario.actor() {
                Actor::Parent => "timed_stores();\n",
                Actor::Child => "tell(&child, 't');\n",
            },
        },
        Timed::ReadPin => TimedCode {
            what: "reads by process_vm_readv",
            helper: "",
            act: "touch();\n\tstamps[0] = now();\n\tfor (size_t n = 0; n < UNITS; n++) {\n\
                  \t\tread_pinned(area + n * STRIDE);\n\t\tstamps[n + 1] = now();\n\t}\n",
        },
        Timed::Unmap => TimedCode {
            what: "munmaps, for 2 MiB",
            helper: "",
            act: "touch_stack();\n\tstamps[0] = now();\n\tif (munmap(area, LENGTH))\n\t\tdie(\"munmap\");\n\
                  \tsamples[0] = (now() - stamps[0]) * (2.0 * (1 << 20) / LENGTH);\n",
        },
        Timed::Protect => TimedCode {
            what: "pairs of mprotect, for 2 MiB",
            helper: "",
            act: "touch_stack();\n\tstamps[0] = now();\n\
                  \tif (mprotect(area, LENGTH, PROT_READ) || mprotect(area, LENGTH, PROT_READ | PROT_WRITE))\n\
                  \t\tdie(\"mprotect\");\n\tsamples[0] = (now() - stamps[0]) * (2.0 * (1 << 20) / LENGTH);\n",
        },
        Timed::Fork => TimedCode {
            what: "pairs of forks with the area less without it, for 2 MiB",
            helper: FORK,
            act: FORKS,
        },
        Timed::Vfork => return Err("a child that runs in its parent's address space".into()),
        Timed::DirectWrite => return Err("a file that is written past the page cache".into()),
        Timed::Populate => return Err("pages that are made ready by one call".into()),
        Timed::PageOut => return Err("pages that are swapped out".into()),
    })
}

/// Which comes first takes turns: the first fork finds colder caches.
const FORKS: &str = "for (int turn = 0; turn < 2; turn++) {\n\t\tif (turn == number % 2) {\n\t\t\tsamples[0] += fork_once();\n\
                     \t\t\tcontinue;\n\t\t}\n\t\tJOIN\n\t\tif (madvise(area, LENGTH, MADV_DONTFORK))\n\t\t\tdie(\"madvise(MADV_DONTFORK)\");\n\
                     \t\tsamples[0] -= fork_once();\n\t\tif (madvise(area, LENGTH, MADV_DOFORK))\n\t\t\tdie(\"madvise(MADV_DOFORK)\");\n\
                     \t\tSPLIT\n\t}\n\tsamples[0] *= 2.0 * (1 << 20) / LENGTH;\n";

fn trial(
    text: &mut String,
    scenario: &Scenario,
    steps: &[&[&str]],
    timed: &TimedCode,
    has_child: bool,
    by_child: bool,
) {
    let has_frames = !scenario.timed.is_whole();
    *text += "/* Brings the pages into their state, has the operation timed and takes the state down. */\n\
              static void trial(int number, double *samples, struct seen *seen)\n{\n";
    if has_frames {
        *text += "\tstatic uint64_t before[UNITS], after[UNITS];\n";
    }
    if has_child {
        *text += "\tstruct child child = { 0 }";
        *text += if scenario.has(Step::ForkAgain) {
            ", second = { 0 };\n"
        } else {
            ";\n"
        };
    }
    if !has_frames {
        *text += "\t(void)seen;\n";
    }
    *text += "\n\t(void)number;\n\tmap_area();\n";
    let in_batch = matches!(scenario.mapping, Mapping::InBatch | Mapping::StaysInBatch);
    if in_batch {
        *text += "\t/* An empty batch, so that it does not overflow. */\n\tdrain();\n";
    }
    for (step, lines) in scenario.steps.iter().zip(steps) {
        let _ = writeln!(text, "\t/* {} */", step.label());
        for line in *lines {
            let _ = writeln!(text, "\t{line}");
        }
    }
    if matches!(
        scenario.mapping,
        Mapping::Anon(_)
            | Mapping::AnonOfAnySize(_)
            | Mapping::Folio(_)
            | Mapping::PteMapped(_)
            | Mapping::HalfShared
    ) {
        *text += "\tdrain();\n";
    }
    let pid = if by_child { "child.pid" } else { "getpid()" };
    if has_frames {
        let _ = writeln!(text, "\tframes({pid}, before);");
    } else {
        *text += "\tsamples[0] = 0;\n";
    }
    *text += "\t/* What is timed. */\n\t";
    let (join, split) = match scenario.has(Step::SplitVma) {
        true => (
            "madvise(area, LENGTH, MADV_DODUMP);\n\t\t",
            "\t\tsplit_vma();\n",
        ),
        false => ("", ""),
    };
    *text += &timed
        .act
        .replace("JOIN\n\t\t", join)
        .replace("\t\tSPLIT\n", split);
    if has_frames {
        let _ = write!(
            text,
            "\tframes({pid}, after);\n\tfor (size_t n = 0; n < UNITS; n++) {{\n\
             \t\tsamples[n] = stamps[n + 1] - stamps[n];\n\t\tseen->moved += before[n] != after[n];\n\
             \t\tseen->hidden += !after[n];\n\t}}\n"
        );
    }
    if scenario.has(Step::Vmsplice) && !scenario.has(Step::PipeCloses) {
        *text += "\tclose_pipes();\n";
    }
    if [Step::WriteProtect, Step::UffdWpAsync]
        .iter()
        .any(|&step| scenario.has(step))
    {
        *text += "\tif (uffd >= 0)\n\t\tclose(uffd);\n\tuffd = -1;\n";
    }
    if has_child {
        *text += "\tend(&child);\n";
        if scenario.has(Step::ForkAgain) {
            *text += "\tend(&second);\n";
        }
    }
    *text += "\tmunmap(reserved, RESERVED);\n}\n\n";
}
