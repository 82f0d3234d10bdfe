//! The architectures that guests can have, and what QEMU and a kernel's command line want to be told of each.

use serde::Serialize;

use crate::guest::engine::Engine;

/// A guest's architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86,
    /// 64-bit Arm.
    Aarch64,
}

impl Arch {
    /// This machine's own; `None` where it is neither.
    pub fn here() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// As `uname -m` and ELF's readers call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// `e_machine` of its ELF files.
    pub(super) fn elf_machine(self) -> u16 {
        match self {
            Self::X86 => object::elf::EM_X86_64,
            Self::Aarch64 => object::elf::EM_AARCH64,
        }
    }

    /// Debian's package of its QEMU.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::X86 => "qemu-system-x86",
            Self::Aarch64 => "qemu-system-arm",
        }
    }

    /// The machine in QEMU's words.
    pub(super) fn machine(self) -> &'static str {
        match self {
            Self::X86 => "pc",
            Self::Aarch64 => "virt,gic-version=max",
        }
    }

    /// The device of a second serial port on the chardev `serial`, where QEMU can add one that kernels have a driver for.
    pub(super) fn second_serial(self) -> Option<&'static str> {
        match self {
            Self::X86 => Some("isa-serial,chardev=serial,index=1"),
            Self::Aarch64 => None,
        }
    }

    /// The CPU model unless another is asked for.
    ///
    /// On x86, cmpxchg16b is left out where it is emulated, since some kernels panic over it there; the
    /// string instructions that count each byte as an instruction, where instructions are counted. On Arm, a
    /// server's: with atomics of one instruction, as kernels find them on machines of today.
    pub fn cpu(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (_, Engine::Kvm) => "host",
            (Self::X86, Engine::Tcg) => "max,cx16=off",
            (Self::X86, Engine::Exact) => "max,cx16=off,erms=off,fsrm=off",
            (Self::Aarch64, _) => "neoverse-n1",
        }
    }

    /// Words for the kernel: where its console is, not to mistake a slow timer for a broken one, and
    /// what keeps instructions the same in every boot where they are counted.
    ///
    /// There ticks come from the PIT on x86: calibrating the local APIC's timer takes more than 3 s, and the HPET
    /// loses ticks for good, and with them preemption. Address layout is not randomized: on 5.10 a reuse takes about
    /// 33 instructions more in some layouts than in others.
    pub(super) fn words(self, engine: Engine) -> &'static str {
        match (self, engine) {
            (Self::X86, Engine::Exact) => {
                "console=ttyS0 no_timer_check nolapic_timer hpet=disable norandmaps"
            }
            (Self::X86, _) => "console=ttyS0 no_timer_check",
            (Self::Aarch64, Engine::Exact) => "console=ttyAMA0 norandmaps",
            (Self::Aarch64, _) => "console=ttyAMA0",
        }
    }

    /// The smallest possible guest, which ends at once: how QEMU is to be told of it, the firmware, and QEMU's exit
    /// status then.
    pub(super) fn probe(self) -> ProbeGuest {
        match self {
            Self::X86 => {
                // At the reset vector: mov al, 0x10; out 0xf4, al; hlt.
                let mut firmware = vec![0xf4; 64 * 1024];
                let reset = firmware.len() - 16;
                firmware[reset..reset + 4].copy_from_slice(&[0xb0, 0x10, 0xe6, 0xf4]);
                ProbeGuest {
                    arguments: &["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
                    firmware,
                    // The device exits with twice the byte, plus one.
                    status: 0x21,
                }
            }
            Self::Aarch64 => {
                // PSCI's SYSTEM_OFF: movz w0, #8; movk w0, #0x8400, lsl 16; hvc #0; b .
                let words: [u32; 4] = [0x5280_0100, 0x72b0_8000, 0xd400_0002, 0x1400_0000];
                ProbeGuest {
                    arguments: &[],
                    firmware: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
                    status: 0,
                }
            }
        }
    }
}

/// See [`Arch::probe`].
pub(super) struct ProbeGuest {
    pub(super) arguments: &'static [&'static str],
    pub(super) firmware: Vec<u8>,
    pub(super) status: i32,
}
