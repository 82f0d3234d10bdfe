//! The client of the gdb stub against a real QEMU: one that holds no kernel, only a few bytes of code,
//! and one that boots a kernel whose program stores at trampolines.

use cowpath::guest::processors::Processors;
use cowpath::guest::spec::GuestSpec;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cowpath::guest::arch::Arch;
use cowpath::guest::boot::BootOutcome;
use cowpath::guest::debugged::{Debugged, debug};
use cowpath::guest::engine::Engine;
use cowpath::guest::gdb::{Gdb, GdbError, Go, Vcpu};
use cowpath::guest::registers::Register;
use cowpath::guest::rendezvous::{hear, leave};
use cowpath::guest::symbols::Symbols;
use cowpath::memory::trampoline::{STORE_LENGTH, Word, store_address};

use super::kernels::kernels;
use crate::common::skip::{Need, skip};

const CODE: u64 = 0x1000;
const FIRST: Vcpu = Vcpu(1);

/// A QEMU with two CPUs that stands before its first instruction.
struct Bare {
    qemu: Child,
    gdb: Gdb,
    _folder: tempfile::TempDir,
}

impl Bare {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gdb");
        let stub = format!("unix:{},server=on,wait=off", socket.display());
        let spawned = Command::new("qemu-system-x86_64")
            .args(["-nodefaults", "-display", "none", "-m", "64M", "-smp", "2"])
            .args(["-accel", "tcg,thread=single", "-S", "-gdb", &stub])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(qemu) = spawned else {
            skip(Need::Qemu, "qemu-system-x86_64 is not installed");
            return None;
        };
        let gdb = Gdb::connect(&socket, Duration::from_secs(20), || true);
        Some(Self {
            qemu,
            gdb: gdb.unwrap(),
            _folder: folder,
        })
    }

    /// Has the first CPU, in real mode, stand before `code`.
    fn load(&mut self, code: &[u8]) {
        self.gdb.write(FIRST, CODE, code).unwrap();
        let mut registers = self.gdb.registers(FIRST).unwrap();
        registers.set(Register::Cs, 0);
        registers.set(Register::Rip, CODE);
        registers.set(Register::Rax, 0);
        self.gdb.set_registers(FIRST, &registers).unwrap();
    }

    fn register(&mut self, register: Register) -> u64 {
        self.gdb.registers(FIRST).unwrap().get(register)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// inc ax; jmp to it.
const COUNT: [u8; 3] = [0x40, 0xeb, 0xfd];

#[test]
fn each_step_is_one_instruction() {
    let Some(mut bare) = Bare::start() else {
        return;
    };
    assert_eq!(bare.gdb.vcpus().unwrap(), [Vcpu(1), Vcpu(2)]);
    bare.load(&COUNT);
    bare.gdb.hold_interrupts(true).unwrap();
    for step in 1..=6 {
        let stop = bare.gdb.step(FIRST).unwrap();
        assert_eq!((stop.signal, stop.vcpu), (5, FIRST));
        assert_eq!(bare.register(Register::Rip), CODE + step % 2);
    }
    assert_eq!(bare.register(Register::Rax), 3);
    assert_eq!(bare.register(Register::Cr0) & 1, 0, "real mode");
}

#[test]
fn what_is_written_is_read_back_beyond_one_packet() {
    let Some(mut bare) = Bare::start() else {
        return;
    };
    let bytes: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
    bare.gdb.write(FIRST, 0x2_0000, &bytes).unwrap();
    let read = bare.gdb.read(FIRST, 0x2_0000, bytes.len()).unwrap();
    assert_eq!(read, bytes);
}

#[test]
fn a_breakpoint_stops_a_running_cpu_and_is_passed_by_clearing_it_for_a_step() {
    let Some(mut bare) = Bare::start() else {
        return;
    };
    bare.load(&COUNT);
    bare.gdb.set_breakpoint(CODE + 1).unwrap();
    for round in 1..=3 {
        bare.gdb.resume(&[(FIRST, Go::Run)]).unwrap();
        assert_eq!(bare.gdb.wait(Duration::from_secs(10)).unwrap().vcpu, FIRST);
        assert_eq!(bare.register(Register::Rip), CODE + 1);
        assert_eq!(bare.register(Register::Rax), round);
        bare.gdb.clear_breakpoint(CODE + 1).unwrap();
        bare.gdb.step(FIRST).unwrap();
        bare.gdb.set_breakpoint(CODE + 1).unwrap();
    }
}

#[test]
fn a_guest_that_runs_for_ever_is_interrupted() {
    let Some(mut bare) = Bare::start() else {
        return;
    };
    bare.load(&COUNT);
    bare.gdb.resume_all().unwrap();
    let late = bare.gdb.wait(Duration::from_millis(200)).unwrap_err();
    assert!(matches!(late, GdbError::Late { .. }), "{late}");
    assert_eq!(bare.gdb.interrupt().unwrap().signal, 2);
    assert!((CODE..CODE + 3).contains(&bare.register(Register::Rip)));
}

#[test]
fn a_qemu_that_is_killed_is_noticed_at_once() {
    let Some(mut bare) = Bare::start() else {
        return;
    };
    bare.load(&COUNT);
    bare.gdb.resume_all().unwrap();
    bare.qemu.kill().unwrap();
    let gone = bare.gdb.wait(Duration::from_secs(10)).unwrap_err();
    assert!(matches!(gone, GdbError::Gone { .. }), "{gone}");
}

/// Boots the oldest kernel with a subject of `scenario` and has `work` done; `None` if there is no guest
/// to be had.
pub fn with_subject<T: Send>(
    scenario: &str,
    work: impl FnOnce(Gdb) -> T + Send,
) -> Option<(T, BootOutcome)> {
    let kernel = kernels().into_iter().next()?;
    let program = Path::new(env!("CARGO_BIN_EXE_cowpath"));
    let words = ["subject", scenario, "--folio", "4k", "--pages", "64"].map(str::to_owned);
    let spec = GuestSpec {
        program: program.into(),
        init: None,
        append: Vec::new(),
        modules: None,
        memory_mib: 768,
        cpu: None,
        qemu: None,
        stop: Arc::default(),
    };
    let kernels = spec.kernels(&[kernel], Some(Arch::X86)).unwrap();
    let initramfs = spec.initramfs(&kernels[0].image, &words).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let guest = Debugged {
        spec: &spec,
        qemu: &spec.qemu(Arch::X86).unwrap(),
        machine: spec.machine(Engine::Exact, Processors::Plain(1), ""),
        kernel: &kernels[0],
        initramfs: &initramfs,
        log: &folder.path().join("console.log"),
        time_limit: Duration::from_secs(120),
        tell: &|line| println!("{line}"),
    };
    let outcome = debug(&guest, |gdb| work(gdb.unwrap())).unwrap();
    Some((outcome.work, outcome.boot.verdict))
}

pub const BOOT: Duration = Duration::from_secs(100);

#[test]
fn a_guest_and_its_debugger_meet_at_the_first_store_and_go_through_its_fault() {
    let met = with_subject("copy/child-alive", |mut gdb| {
        let said = hear(&mut gdb, BOOT).unwrap();
        assert_eq!(said.word, Word::Ready);
        let symbols = Symbols::parse(std::str::from_utf8(&said.text).unwrap()).unwrap();
        leave(&mut gdb, said.vcpu).unwrap();
        gdb.set_breakpoint(store_address(0)).unwrap();
        gdb.resume_all().unwrap();
        let stop = gdb.wait(BOOT).unwrap();
        let before = gdb.registers(stop.vcpu).unwrap();
        assert_eq!(before.rip(), store_address(0));
        gdb.hold_interrupts(true).unwrap();
        let mut functions = Vec::new();
        loop {
            gdb.step(stop.vcpu).unwrap();
            let registers = gdb.registers(stop.vcpu).unwrap();
            if registers.rip() == store_address(0) + STORE_LENGTH {
                break;
            }
            if !registers.user() {
                assert_eq!(
                    registers.get(Register::Cr2),
                    before.get(Register::Rdi),
                    "the fault is the store's"
                );
                functions.push(symbols.at(registers.rip()).unwrap().name.clone());
            }
        }
        let stored = gdb.read(stop.vcpu, before.get(Register::Rdi), 8).unwrap();
        assert_eq!(stored, before.get(Register::Rsi).to_le_bytes());
        functions
    });
    let Some((functions, verdict)) = met else {
        return;
    };
    assert_eq!(
        verdict,
        BootOutcome::Interrupted,
        "the guest was still there"
    );
    assert!(functions.len() > 1000, "{}", functions.len());
    for name in ["handle_mm_fault", "do_wp_page", "wp_page_copy"] {
        assert!(functions.iter().any(|function| function == name), "{name}");
    }
}

#[test]
fn a_guest_that_cannot_store_says_why() {
    let met = with_subject("race/store-store", |mut gdb| hear(&mut gdb, BOOT).unwrap());
    let Some((said, _)) = met else {
        return;
    };
    assert_eq!(said.word, Word::Refused);
    let why = String::from_utf8(said.text).unwrap();
    assert!(why.contains("is a race"), "{why}");
}
