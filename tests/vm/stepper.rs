//! `cowpath profile` on real kernels, and what becomes of it where there is no path to be had.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use cowpath::guest::gdb::Gdb;
use cowpath::guest::registers::Register;
use cowpath::guest::rendezvous::{Said, hear, leave};
use cowpath::guest::symbols::Symbols;
use cowpath::memory::trampoline::{PAGE, Word, store_address};
use cowpath::profile::ProfileError;
use cowpath::profile::decode::Decodings;
use cowpath::profile::document::{self, Lines, Node, ProfileDocument, json_schema};
use cowpath::profile::path::{SymbolTable, path};
use cowpath::profile::trace::{Code, InstructionStep, Trace, follow};
use cowpath::profile::walk::PageWalk;

use super::bench::{Bench, gone, stderr, within};
use super::debugger::{BOOT, with_subject};
use super::kernels::kernels;
use crate::common::assert_valid;

/// Where the hand-written code lies: on the page that the guest has mapped for its stores.
const CODE: u64 = PAGE + 0x800;
const END: u64 = CODE + 0x2d;
const CALLEE: u64 = CODE + 0x80;

/// Ten rounds of one locked increment, one load (of two lines altogether), one store (of ten), and a
/// call of a function that exchanges with memory; then 32 words moved.
const EXERCISE: [u8; 0x2e] = [
    0xb9, 0x0a, 0x00, 0x00, 0x00, // mov ecx, 10
    0xf0, 0x48, 0xff, 0x07, // again: lock inc qword [rdi]
    0x48, 0x8b, 0x44, 0xcf, 0x40, // mov rax, [rdi + 8 * rcx + 64]
    0x48, 0x89, 0x06, // mov [rsi], rax
    0x48, 0x83, 0xc6, 0x40, // add rsi, 64
    0xe8, 0x66, 0x00, 0x00, 0x00, // call callee
    0xff, 0xc9, // dec ecx
    0x75, 0xe7, // jnz again
    0xb9, 0x20, 0x00, 0x00, 0x00, // mov ecx, 32
    0x48, 0x8d, 0xba, 0x00, 0x01, 0x00, 0x00, // lea rdi, [rdx + 256]
    0xf3, 0x48, 0xa5, // rep movsq
    0x90, // nop
];
/// xchg [rdx], rax; ret
const CALLED: [u8; 4] = [0x48, 0x87, 0x02, 0xc3];

/// Has the guest, which has just said something, run the hand-written code step by step.
fn exercise(gdb: &mut Gdb, said: &Said) -> Trace {
    let mut registers = gdb.registers(said.vcpu).unwrap();
    // The text that was said is memory which is the program's own.
    let memory = registers.get(Register::Rsi).next_multiple_of(4096);
    gdb.write(said.vcpu, CODE, &EXERCISE).unwrap();
    gdb.write(said.vcpu, CALLEE, &CALLED).unwrap();
    for (register, value) in [
        (Register::Rip, CODE),
        (Register::Rdi, memory),
        (Register::Rdx, memory + 0x200),
        (Register::Rsi, memory + 0x400),
        (Register::Rsp, memory + 0x800),
    ] {
        registers.set(register, value);
    }
    gdb.hold_interrupts(true).unwrap();
    // The first round takes the faults of memory that is still shared with a child that has exited.
    let mut steps = Vec::new();
    for _ in 0..2 {
        steps.clear();
        gdb.set_registers(said.vcpu, &registers).unwrap();
        let mut now = registers.clone();
        while now.rip() != END {
            assert!(steps.len() < 20_000, "at {:#x}", now.rip());
            let step = InstructionStep::of(&now);
            // A path is what the kernel does: let it pass for that.
            steps.push(InstructionStep {
                user: false,
                ..step
            });
            gdb.step(said.vcpu).unwrap();
            now = gdb.registers(said.vcpu).unwrap();
        }
    }
    Trace {
        steps,
        walk: PageWalk::default(),
    }
}

#[test]
fn what_is_counted_of_a_loop_is_what_was_written_into_it() {
    let met = with_subject("reuse/child-exited", |mut gdb| {
        let said = hear(&mut gdb, BOOT).unwrap();
        assert_eq!(said.word, Word::Ready);
        let trace = exercise(&mut gdb, &said);
        let mut code = Code::default();
        code.load(&mut gdb, said.vcpu, &trace.steps).unwrap();
        (trace, code)
    });
    let Some(((trace, code), _)) = met else {
        return;
    };
    let symbols = format!("{CODE:x} T exercise\n{CALLEE:x} T callee\n");
    let mut symbol_table = SymbolTable {
        symbols: &Symbols::parse(&symbols).unwrap(),
        code: &code,
        decodings: Decodings::default(),
    };
    let path = path(&trace, &mut symbol_table);
    assert_eq!(symbol_table.decodings.unknown(), [] as [u64; 0]);
    let counts = &path.counts;
    // The repetition that finds nothing left to do is an instruction, too.
    assert_eq!(counts.instructions, 1 + 10 * 9 + 2 + 33);
    assert_eq!((counts.repetitions, counts.string_bytes), (32, 256));
    assert_eq!(counts.atomics, 20, "ten locked, ten exchanges");
    assert_eq!((counts.branches, counts.taken), (10, 9));
    let expected = Lines {
        code: 2,
        // Incremented 1, loaded 2, exchanged 1, the stack 1, moved from 4.
        user_read: 9,
        // Incremented 1, stored 10, exchanged 1, the stack 1, moved to 4.
        user_written: 17,
        kernel_read: 0,
        kernel_written: 0,
    };
    assert_eq!(counts.lines, expected);
    let callee = path
        .functions
        .iter()
        .find(|it| it.name == "callee")
        .unwrap();
    assert_eq!(
        (callee.calls, callee.total, callee.own.atomics),
        (10, 20, 10)
    );
    assert_eq!(path.tree.len(), 1);
    assert_eq!(path.tree[0].children.len(), 10, "each call is a visit");
}

#[test]
fn a_fault_that_ends_in_a_signal_is_followed_to_where_it_leads_and_no_further() {
    let met = with_subject("reuse/child-exited", |mut gdb| {
        let said = hear(&mut gdb, BOOT).unwrap();
        leave(&mut gdb, said.vcpu).unwrap();
        gdb.set_breakpoint(store_address(0)).unwrap();
        gdb.resume_all().unwrap();
        let stop = gdb.wait(BOOT).unwrap();
        let mut registers = gdb.registers(stop.vcpu).unwrap();
        registers.set(Register::Rdi, 0x1000);
        gdb.set_registers(stop.vcpu, &registers).unwrap();
        gdb.hold_interrupts(true).unwrap();
        follow(&mut gdb, stop.vcpu).map(|trace| trace.steps.len())
    });
    let Some((followed, _)) = met else {
        return;
    };
    let error = followed.unwrap_err();
    assert!(matches!(error, ProfileError::Astray { .. }), "{error}");
    assert!(error.to_string().contains("a signal"), "{error}");
    assert_eq!(error.exit_code(), 3);
}

fn cowpath_profile(scenario: &str, kernel: &Path, output: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowpath"));
    command
        .args(["profile", scenario, "--kernel"])
        .arg(kernel)
        .arg("-o")
        .arg(output)
        .args(more)
        .stdin(Stdio::null());
    command
}

fn profile(scenario: &str, kernel: &Path, output: &Path, more: &[&str]) -> Output {
    cowpath_profile(scenario, kernel, output, more)
        .output()
        .unwrap()
}

/// The functions in the order in which they are entered.
fn functions(nodes: &[Node]) -> Vec<&str> {
    let each = nodes.iter().flat_map(|node| {
        let below = functions(&node.children);
        [&[node.function.as_str()][..], &below].concat()
    });
    each.collect()
}

/// A path but for the cache lines of the kernel's data: an object may lie across two lines in one boot and within one in
/// another, depending on what was allocated before it.
fn without_data_lines(path: &document::Path) -> document::Path {
    let mut path = path.clone();
    let phases = path.phases.iter_mut().map(|phase| &mut phase.counts);
    let functions = path.functions.iter_mut().map(|function| &mut function.own);
    for counts in phases.chain(functions).chain([&mut path.counts]) {
        counts.lines.kernel_read = 0;
        counts.lines.kernel_written = 0;
    }
    path
}

#[test]
fn two_boots_take_the_same_path_through_the_landmarks_of_a_reuse() {
    let Some(kernel) = kernels().pop() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let boot = || {
        let output = profile(
            "reuse/child-exited",
            &kernel,
            folder.path(),
            &["--faults", "16", "--depth", "3"],
        );
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let path = folder.path().join("profile.json");
        assert_valid(&path, &json_schema());
        let json = std::fs::read(path).unwrap();
        (
            serde_json::from_slice::<ProfileDocument>(&json).unwrap(),
            output,
        )
    };
    let (first, output) = boot();
    let (second, _) = boot();
    let usual = first.profiles[0].usual().unwrap();
    let same = without_data_lines(usual) == without_data_lines(second.profiles[0].usual().unwrap());
    assert!(same, "the second boot's path is another");
    let followed: usize = first.profiles[0]
        .paths
        .iter()
        .map(|path| path.faults.len())
        .sum();
    assert_eq!(followed, 16);
    assert!(usual.faults.len() > 8, "{:?}", usual.faults);
    let mut order = functions(&usual.tree).into_iter();
    for landmark in [
        "asm_exc_page_fault",
        "exc_page_fault",
        "lock_vma_under_rcu",
        "handle_mm_fault",
        "__handle_mm_fault",
        "do_wp_page",
        "wp_page_reuse",
        "irqentry_exit",
    ] {
        let found = order.any(|function| function == landmark);
        assert!(found, "{landmark} in {:?}", functions(&usual.tree));
    }
    assert_eq!(usual.page_table_writes.len(), 1);
    assert_eq!(usual.page_table_writes[0].level, "PTE");
    assert!(usual.counts.atomics > 0, "locks are not patched out");
    let phases: u64 = usual.phases.iter().map(|it| it.counts.instructions).sum();
    let own: u64 = usual.functions.iter().map(|it| it.own.instructions).sum();
    assert_eq!(
        (phases, own),
        (usual.counts.instructions, usual.counts.instructions)
    );
    assert_eq!(usual.tree[0].total, usual.counts.instructions);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("do_user_addr_fault"), "{said}");
    assert!(
        !said.contains("__handle_mm_fault\n"),
        "deeper than asked for: {said}"
    );
}

#[test]
fn two_kernels_give_the_way_in_which_they_differ() {
    let [first, .., last] = &kernels()[..] else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let more = [last.to_str().unwrap(), "--faults", "2"];
    let output = Command::new(env!("CARGO_BIN_EXE_cowpath"))
        .args(["profile", "reuse/child-exited", "--kernel"])
        .arg(first)
        .args(more)
        .arg("-o")
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json = std::fs::read(folder.path().join("profile.json")).unwrap();
    let document: ProfileDocument = serde_json::from_slice(&json).unwrap();
    let difference = &document.differences[0];
    let named = |name: &str| difference.functions.iter().find(|it| it.name == name);
    let added = named("mas_walk").expect("the newer kernel has another lookup of VMAs");
    assert!(added.own.base.is_none() && added.own.new.is_some());
    assert!(difference.divergence.is_some());
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .collect();
    let has = |end: &str| {
        files
            .iter()
            .any(|it| it.file_name().to_string_lossy().ends_with(end))
    };
    assert!(has(".folded") && has(".flame.svg") && has(".chart.svg") && has("index.html"));
}

#[test]
fn a_race_is_refused_with_the_reason() {
    let Some(kernel) = kernels().into_iter().next() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = profile("race/store-store", &kernel, folder.path(), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("is a race"), "{}", stderr(&output));
}

#[test]
fn a_guest_that_never_comes_to_store_is_lost_with_the_reason() {
    let Some(kernel) = kernels().into_iter().next() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (more, reason) in [
        (["--append", "rdinit=/none"], "Kernel panic - not syncing"),
        (["--time-limit", "2"], "within 2 s; the guest was booting"),
    ] {
        let output = profile("reuse/child-exited", &kernel, folder.path(), &more);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

/// `profile` with the bench's stand-in for QEMU.
fn on_bench(bench: &Bench) -> Command {
    let qemu = bench.path("qemu");
    cowpath_profile(
        "reuse/child-exited",
        &bench.kernel("6.1.0-a"),
        &bench.path("lab"),
        &["--qemu", qemu.to_str().unwrap()],
    )
}

const HANG: &str = "echo $$ >pid; exec sleep 600";

#[test]
fn a_qemu_without_a_gdb_stub_is_not_waited_for_for_ever() {
    let bench = Bench::new(HANG);
    let start = Instant::now();
    let output = on_bench(&bench).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("gdb stub"), "{}", stderr(&output));
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(gone(bench.read("pid").trim().parse().unwrap()));
}

#[test]
fn a_qemu_that_is_killed_while_profiling_is_a_lost_guest() {
    let bench = Bench::new("kill -9 $$");
    let output = on_bench(&bench).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("killed by signal 9"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_interrupt_ends_a_profile_and_its_guest() {
    let bench = Bench::new(HANG);
    let mut cowpath = on_bench(&bench).stderr(Stdio::null()).spawn().unwrap();
    assert!(within(Duration::from_secs(20), || bench
        .read("pid")
        .ends_with('\n')));
    let process = cowpath.id().to_string();
    Command::new("kill")
        .args(["-INT", &process])
        .status()
        .unwrap();
    assert_eq!(cowpath.wait().unwrap().code(), Some(130));
    assert!(gone(bench.read("pid").trim().parse().unwrap()));
}

#[test]
fn what_is_no_scenario_and_no_kernel_is_wrong_usage() {
    let bench = Bench::new(HANG);
    let output = profile("reuse/nothing", &bench.kernel("a"), &bench.path("lab"), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    std::fs::write(bench.path("text"), "no kernel").unwrap();
    let qemu = bench.path("qemu");
    let more = ["--qemu", qemu.to_str().unwrap()];
    let output = profile(
        "reuse/child-exited",
        &bench.path("text"),
        &bench.path("lab"),
        &more,
    );
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not a kernel image"),
        "{}",
        stderr(&output)
    );
}
