//! The stack of functions, kept along a fault's steps: calls, returns, tail calls and jumps between
//! functions.
//!
//! A frame is known by the address to which its function returns and by where on the stack that
//! address lies. Thunks, through which kernels return and call indirectly, and the empty hook of tracers
//! at the start of functions are no functions: their instructions belong to the one that goes through
//! them.

use super::decode::{Decoded, Flow};
use super::document::Entered;
use super::trace::InstructionStep;

struct StackFrame {
    /// The visit that it belongs to; `None` from the call to the first instruction that is no thunk's.
    visit: Option<usize>,
    function: String,
    /// Where the function returns to; 0 for the first.
    back: u64,
    /// Where on the stack that is kept.
    slot: u64,
}

/// The functions under way.
#[derive(Default)]
pub struct CallStack {
    stack: Vec<StackFrame>,
}

/// Where a step belongs.
pub struct StepPlace {
    /// How its function was entered, if it is the first step there.
    pub entered: Option<Entered>,
    /// The visit from which it was.
    pub parent: Option<usize>,
}

/// No two frames on one stack are further apart.
const STACK: u64 = 64 << 10;

impl CallStack {
    /// Where a step in `function` belongs. If a function was entered, [`opened`](Self::opened) must
    /// follow.
    pub fn place(&mut self, step: &InstructionStep, function: &str) -> StepPlace {
        let inside = StepPlace {
            entered: None,
            parent: None,
        };
        let Some(top) = self.stack.last() else {
            self.stack.push(StackFrame {
                visit: None,
                function: function.to_owned(),
                back: 0,
                slot: step.rsp(),
            });
            return self.entered(Entered::Fault);
        };
        if is_thunk(function) && top.visit.or(self.caller()).is_some() {
            return inside;
        }
        if top.visit.is_none() {
            if let Some(top) = self.stack.last_mut() {
                top.function = function.to_owned();
            }
            return self.entered(Entered::Call);
        }
        if top.function == function {
            return inside;
        }
        // A jump, or the end of one function that is the beginning of the next. Back to one that jumped
        // here itself, or on to a new one.
        let slot = top.slot;
        let mates = self
            .stack
            .iter()
            .rev()
            .take_while(|frame| frame.slot == slot);
        let back = mates.take(8).position(|frame| frame.function == function);
        if let Some(above) = back {
            self.stack.truncate(self.stack.len() - above);
            return inside;
        }
        let back = top.back;
        self.stack.push(StackFrame {
            visit: None,
            function: function.to_owned(),
            back,
            slot,
        });
        self.entered(Entered::Jump)
    }

    fn entered(&self, by: Entered) -> StepPlace {
        StepPlace {
            entered: Some(by),
            parent: self.caller(),
        }
    }

    /// The innermost visit below the top.
    fn caller(&self) -> Option<usize> {
        let below = self.stack.iter().rev().skip(1);
        below.filter_map(|frame| frame.visit).next()
    }

    /// Tells which visit the function that was just entered has become.
    pub fn opened(&mut self, visit: usize) {
        if let Some(top) = self.stack.last_mut() {
            top.visit = Some(visit);
        }
    }

    /// The visit that a step belongs to.
    pub fn current(&self) -> Option<usize> {
        self.stack.iter().rev().find_map(|frame| frame.visit)
    }

    /// Follows an instruction from the step before it to the step behind it.
    pub fn go(&mut self, step: &InstructionStep, decoded: &Decoded, next: &InstructionStep) {
        match decoded.flow {
            Flow::Call => {
                self.stack.push(StackFrame {
                    visit: None,
                    function: String::new(),
                    back: step.rip + decoded.length,
                    slot: step.rsp() - 8,
                });
            }
            Flow::Return => self.back(step, next),
            _ => {}
        }
    }

    /// A return goes to one of the frames; or it is a jump that looks like a return, as a kernel's
    /// indirect calls are, and only takes its own word off the stack.
    fn back(&mut self, step: &InstructionStep, next: &InstructionStep) {
        let to = self.stack.iter().rposition(|frame| frame.back == next.rip);
        if let Some(to) = to {
            // Those that jumped here return as one.
            let slot = self.stack[to].slot;
            let mut first = to;
            while first > 0 && self.stack[first - 1].slot == slot {
                first -= 1;
            }
            self.stack.truncate(first.max(1));
            return;
        }
        let gone = |slot: u64| slot <= step.rsp() && step.rsp() - slot < STACK;
        while self.stack.len() > 1 && self.stack.last().is_some_and(|top| gone(top.slot)) {
            self.stack.pop();
        }
    }
}

/// Code through which others return or call indirectly, or that only stands at their start for tracers.
fn is_thunk(function: &str) -> bool {
    [
        "__x86_indirect_",
        "__x86_return_thunk",
        "srso_",
        "retbleed_",
        "its_",
        "__SCT__",
        "__fentry__",
    ]
    .iter()
    .any(|thunk| function.starts_with(thunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rip: u64, rsp: u64) -> InstructionStep {
        let mut general = [0; 16];
        general[4] = rsp;
        InstructionStep {
            rip,
            general,
            fs_base: 0,
            gs_base: 0,
            user: false,
        }
    }

    /// The bytes at an address, decoded.
    fn code(bytes: &[u8], rip: u64) -> Decoded {
        crate::profile::decode::decode(bytes, rip).unwrap()
    }

    const CALL: [u8; 5] = [0xe8, 0, 0, 0, 0];
    const RET: [u8; 1] = [0xc3];
    const JUMP: [u8; 2] = [0xeb, 0];

    /// Runs steps, each with its function and its instruction, and gives for each the functions that it is
    /// in, outermost first.
    fn run(steps: &[(u64, u64, &str, &[u8])]) -> Vec<String> {
        let mut frames = CallStack::default();
        let mut visits: Vec<(String, Option<usize>)> = Vec::new();
        let mut ways = Vec::new();
        for (index, (rip, rsp, function, bytes)) in steps.iter().enumerate() {
            let here = step(*rip, *rsp);
            let place = frames.place(&here, function);
            if place.entered.is_some() {
                visits.push(((*function).to_owned(), place.parent));
                frames.opened(visits.len() - 1);
            }
            let mut way = Vec::new();
            let mut visit = frames.current();
            while let Some(at) = visit {
                way.insert(0, visits[at].0.clone());
                visit = visits[at].1;
            }
            ways.push(way.join(" "));
            if let Some((rip, rsp, ..)) = steps.get(index + 1) {
                frames.go(&here, &code(bytes, here.rip), &step(*rip, *rsp));
            }
        }
        ways
    }

    #[test]
    fn a_callee_returns_to_its_caller() {
        let ways = run(&[
            (0x100, 0x1000, "outer", &CALL),
            (0x200, 0xff8, "inner", &RET),
            (0x105, 0x1000, "outer", &JUMP),
        ]);
        assert_eq!(ways, ["outer", "outer inner", "outer"]);
    }

    #[test]
    fn a_tail_call_returns_for_both() {
        let ways = run(&[
            (0x100, 0x1000, "outer", &CALL),
            (0x200, 0xff8, "inner", &JUMP),
            (0x300, 0xff8, "tail", &RET),
            (0x105, 0x1000, "outer", &JUMP),
        ]);
        assert_eq!(ways, ["outer", "outer inner", "outer inner tail", "outer"]);
    }

    #[test]
    fn an_indirect_call_through_a_thunk_is_a_call_by_the_caller() {
        let thunk = "__x86_indirect_thunk_rax";
        let ways = run(&[
            (0x100, 0x1000, "outer", &CALL),
            (0x900, 0xff8, thunk, &CALL),
            (0x910, 0xff0, thunk, &RET),
            (0x200, 0xff8, "target", &RET),
            (0x105, 0x1000, "outer", &JUMP),
        ]);
        assert_eq!(ways, ["outer", "outer", "outer", "outer target", "outer"]);
    }

    #[test]
    fn a_return_thunk_belongs_to_the_function_that_returns() {
        let ways = run(&[
            (0x100, 0x1000, "outer", &CALL),
            (0x200, 0xff8, "inner", &JUMP),
            (0x980, 0xff8, "__x86_return_thunk", &RET),
            (0x105, 0x1000, "outer", &JUMP),
        ]);
        assert_eq!(ways, ["outer", "outer inner", "outer inner", "outer"]);
    }

    #[test]
    fn a_return_on_another_stack_is_known_by_where_it_goes() {
        let ways = run(&[
            (0x100, 0x1000, "entry", &CALL),
            (0x200, 0xff8, "switch", &JUMP),
            (0x202, 0xff_0000, "switch", &RET),
            (0x105, 0xff_0008, "entry", &JUMP),
        ]);
        assert_eq!(ways, ["entry", "entry switch", "entry switch", "entry"]);
    }
}
