//! What an instruction does, as far as a path's figures need it: control flow and memory.

use std::collections::HashMap;

use iced_x86::{
    Code as Opcode, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory,
    OpAccess, Register, UsedMemory,
};

use super::trace::{Code, InstructionStep};

/// Where an instruction leaves the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// At the next instruction.
    Next,
    /// At the next instruction or elsewhere.
    Branch,
    /// Elsewhere in the same frame.
    Jump,
    /// In a new frame.
    Call,
    /// In the frame before.
    Return,
    /// In another mode of the CPU: iret, sysret.
    Leave,
}

/// One access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccess {
    /// The first byte.
    pub address: u64,
    /// Bytes; 0 where the instruction decides only as it runs (xsave).
    pub size: u64,
    /// Whether it is read.
    pub reads: bool,
    /// Whether it is written.
    pub writes: bool,
}

/// An instruction.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Bytes of code.
    pub length: u64,
    /// Where it leads.
    pub flow: Flow,
    /// Whether it locks its operand: a `lock` prefix, or xchg with memory, which locks without one.
    pub atomic: bool,
    /// Whether it is a string instruction with a rep prefix, each repetition of which is a step.
    pub repeated: bool,
    /// Bytes of one repetition where it moves or stores a string.
    pub string: u64,
    memory: Vec<(UsedMemory, u64, OpAccess)>,
}

/// Instructions by address.
#[derive(Default)]
pub struct Decodings {
    known: HashMap<u64, Option<Decoded>>,
}

impl Decodings {
    /// The instruction at an address, or `None` if its bytes are none that the decoder knows.
    pub fn at(&mut self, code: &Code, address: u64) -> Option<&Decoded> {
        self.known
            .entry(address)
            .or_insert_with(|| decode(&code.at(address), address))
            .as_ref()
    }

    /// Addresses whose bytes the decoder does not know.
    pub fn unknown(&self) -> Vec<u64> {
        let mut unknown: Vec<u64> = self
            .known
            .iter()
            .filter_map(|(address, decoded)| decoded.is_none().then_some(*address))
            .collect();
        unknown.sort_unstable();
        unknown
    }
}

pub(super) fn decode(bytes: &[u8], address: u64) -> Option<Decoded> {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return None;
    }
    let mut factory = InstructionInfoFactory::new();
    let memory = factory.info(&instruction).used_memory();
    let memory = memory
        .iter()
        .map(|used| (*used, used.memory_size().size() as u64, used.access()))
        .collect();
    Some(Decoded {
        length: instruction.len() as u64,
        flow: flow(&instruction),
        atomic: is_atomic(&instruction),
        repeated: instruction.is_string_instruction()
            && (instruction.has_rep_prefix() || instruction.has_repne_prefix()),
        string: string(&instruction),
        memory,
    })
}

fn flow(instruction: &Instruction) -> Flow {
    match instruction.flow_control() {
        FlowControl::ConditionalBranch => Flow::Branch,
        FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => Flow::Jump,
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
        FlowControl::Return => match instruction.code() {
            Opcode::Retnq | Opcode::Retnq_imm16 => Flow::Return,
            _ => Flow::Leave,
        },
        _ => Flow::Next,
    }
}

fn is_atomic(instruction: &Instruction) -> bool {
    let exchanges = matches!(
        instruction.code(),
        Opcode::Xchg_rm8_r8 | Opcode::Xchg_rm16_r16 | Opcode::Xchg_rm32_r32 | Opcode::Xchg_rm64_r64
    );
    instruction.has_lock_prefix() || exchanges && instruction.op0_kind() == iced_x86::OpKind::Memory
}

fn string(instruction: &Instruction) -> u64 {
    match instruction.code() {
        Opcode::Movsb_m8_m8 | Opcode::Stosb_m8_AL => 1,
        Opcode::Movsw_m16_m16 | Opcode::Stosw_m16_AX => 2,
        Opcode::Movsd_m32_m32 | Opcode::Stosd_m32_EAX => 4,
        Opcode::Movsq_m64_m64 | Opcode::Stosq_m64_RAX => 8,
        _ => 0,
    }
}

impl Decoded {
    /// Whether a step is one that does nothing any more: a repetition with nothing left to do.
    pub fn is_spent(&self, step: &InstructionStep) -> bool {
        self.repeated && step.general[1] == 0
    }

    /// The memory that the instruction touches, given the registers before it.
    pub fn accesses(&self, step: &InstructionStep) -> Vec<MemoryAccess> {
        if self.is_spent(step) {
            return Vec::new();
        }
        let accesses = self.memory.iter();
        accesses
            .filter_map(|(used, size, access)| {
                let (reads, writes) = directions(*access);
                let address = used.virtual_address(0, |register, _, _| value(step, register))?;
                (reads || writes).then_some(MemoryAccess {
                    address,
                    size: *size,
                    reads,
                    writes,
                })
            })
            .collect()
    }
}

/// A conditional access is one: what does not happen then is a repetition with nothing to do, which is
/// left out, or the write of a failed cmpxchg, which the CPU makes all the same with the old value.
fn directions(access: OpAccess) -> (bool, bool) {
    match access {
        OpAccess::Read | OpAccess::CondRead => (true, false),
        OpAccess::Write | OpAccess::CondWrite => (false, true),
        OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
        OpAccess::None | OpAccess::NoMemAccess => (false, false),
    }
}

/// A register's value; of a segment register, its base.
fn value(step: &InstructionStep, register: Register) -> Option<u64> {
    match register {
        Register::CS | Register::DS | Register::ES | Register::SS => Some(0),
        Register::FS => Some(step.fs_base),
        Register::GS => Some(step.gs_base),
        other if other.is_gpr() => {
            let whole = step.general[other.full_register().number()];
            Some(match other.size() {
                8 => whole,
                4 => whole & 0xffff_ffff,
                2 => whole & 0xffff,
                // AH, CH, DH, BH are no address's part.
                _ => whole & 0xff,
            })
        }
        _ => None,
    }
}
