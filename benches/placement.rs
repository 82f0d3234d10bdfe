//! What does it do to a fault, or to a call, where the code that times it lies? The same instructions at every fourth byte of
//! a cache line, taking turns in one process: as a loop times stores, and as a race times what a thread does after it has
//! waited for a deadline.

mod common;

use std::process::ExitCode;

fn main() -> ExitCode {
    common::guarded(|asked| placement(&asked))
}

#[cfg(not(target_arch = "x86_64"))]
fn placement(_: &common::Asked) -> Result<u8, String> {
    common::say("placement: measured on x86-64 alone");
    Ok(0)
}

#[cfg(target_arch = "x86_64")]
use measured::placement;

#[cfg(target_arch = "x86_64")]
mod measured {
    use std::arch::asm;

    use cowpath::memory::area::{Area, SharedWords, page_size};
    use cowpath::record::clock::ClockSource;
    use cowpath::stats::interval::median;
    use cowpath::sys::affinity::{allowed, pin_from_elsewhere};
    use nix::sys::wait::waitpid;
    use nix::unistd::{ForkResult, fork};

    use crate::common::{self, Asked, Mode, say};

    /// Pages of a trial, whose median time is taken.
    const PAGES: usize = 1024;
    /// Trials at each place.
    const TRIALS: usize = 9;
    /// Ticks until a race's deadline, as after a rendezvous.
    const LEAD: usize = 5000;

    /// What is called for a page.
    type Call = extern "C" fn(*mut u8);
    /// Times an access to each page from this address on, a stamp before and one after each; the address of the
    /// instruction that accesses.
    type Timed = fn(*mut u8, *mut u64, Call) -> usize;

    /// Reads the clock.
    macro_rules! now {
        () => {
            "rdtscp\nlfence\nshl rdx, 32\nor rax, rdx"
        };
    }
    /// Reads the clock until a deadline, as a race does.
    macro_rules! deadline {
        () => {
            concat!(
                "lea rsi, [rax + {lead}]\n2:\n",
                now!(),
                "\ncmp rax, rsi\njb 2b"
            )
        };
    }

    /// Code that begins at byte `AT` of a cache line.
    macro_rules! timed {
        ($name:ident, [$($before:expr)?], [$($access:literal),*]) => {
            fn $name<const AT: usize>(pages: *mut u8, stamps: *mut u64, call: Call) -> usize {
                assert_eq!(page_size(), 4096);
                let at: usize;
                // SAFETY: there are so many pages and two stamps for each.
                unsafe {
                    asm!(
                        "jmp 3f",
                        ".p2align 6",
                        ".skip {at}, 0x90",
                        "3:",
                        now!(),
                        "4:",
                        $($before,)?
                        "mov [r14], rax",
                        "5:",
                        $($access,)*
                        now!(),
                        "mov [r14 + 8], rax",
                        "add r14, 16",
                        "add r12, 4096",
                        "dec r13",
                        "jnz 4b",
                        "lea rax, [rip + 5b]",
                        "/* {lead} */",
                        at = const AT,
                        lead = const LEAD,
                        inout("r12") pages => _,
                        inout("r13") PAGES => _,
                        inout("r14") stamps => _,
                        in("r15") call,
                        out("rax") at,
                        clobber_abi("sysv64"),
                    );
                }
                at
            }
        };
    }

    timed!(loop_store, [], ["mov [r12], r13"]);
    timed!(loop_call, [], ["mov rdi, r12", "call r15"]);
    timed!(race_store, [deadline!()], ["mov [r12], r13"]);
    timed!(
        race_read,
        [deadline!()],
        ["mov rdi, [r12]", "mov r8, [r12 + 8]"]
    );
    timed!(race_call, [deadline!()], ["mov rdi, r12", "call r15"]);

    /// The code at every fourth byte of a cache line.
    macro_rules! places {
        ($name:ident) => {
            [
                $name::<0>,
                $name::<4>,
                $name::<8>,
                $name::<12>,
                $name::<16>,
                $name::<20>,
                $name::<24>,
                $name::<28>,
                $name::<32>,
                $name::<36>,
                $name::<40>,
                $name::<44>,
                $name::<48>,
                $name::<52>,
                $name::<56>,
                $name::<60>,
            ]
        };
    }

    extern "C" fn nothing(_: *mut u8) {}

    extern "C" fn read(page: *mut u8) {
        static SELF: std::sync::OnceLock<i32> = std::sync::OnceLock::new();
        let mut word = [0u64; 2];
        let local = libc::iovec {
            iov_base: word.as_mut_ptr().cast(),
            iov_len: 16,
        };
        let remote = libc::iovec {
            iov_base: page.cast(),
            iov_len: 16,
        };
        let own = *SELF.get_or_init(|| std::process::id() as i32);
        // SAFETY: both vectors describe 16 bytes that live across the call.
        unsafe { libc::process_vm_readv(own, &raw const local, 1, &raw const remote, 1, 0) };
    }

    extern "C" fn drop_page(page: *mut u8) {
        // SAFETY: a page of the area, which nobody reads afterwards.
        unsafe { libc::madvise(page.cast(), 4096, libc::MADV_DONTNEED) };
    }

    /// What is timed, on pages that a child has shared or that nobody has touched.
    struct Shape {
        name: &'static str,
        places: [Timed; 16],
        call: Call,
        shared: bool,
    }

    const SHAPES: [Shape; 7] = [
        Shape {
            name: "loop, store (reuse)",
            places: places!(loop_store),
            call: nothing,
            shared: true,
        },
        Shape {
            name: "race, store (reuse)",
            places: places!(race_store),
            call: nothing,
            shared: true,
        },
        Shape {
            name: "race, read (zero page)",
            places: places!(race_read),
            call: nothing,
            shared: false,
        },
        Shape {
            name: "loop, process_vm_readv",
            places: places!(loop_call),
            call: read,
            shared: true,
        },
        Shape {
            name: "race, process_vm_readv",
            places: places!(race_call),
            call: read,
            shared: true,
        },
        Shape {
            name: "loop, madvise",
            places: places!(loop_call),
            call: drop_page,
            shared: true,
        },
        Shape {
            name: "race, madvise",
            places: places!(race_call),
            call: drop_page,
            shared: true,
        },
    ];

    pub fn placement(asked: &Asked) -> Result<u8, String> {
        let wanted = SHAPES
            .iter()
            .filter(|shape| asked.wants(&format!("placement/{}", shape.name), true));
        if asked.mode == Mode::Show {
            wanted.for_each(|shape| common::print(&format!("placement/{}: benchmark", shape.name)));
            return Ok(0);
        }
        let clock = common::environment().clock;
        if clock.source != ClockSource::Tsc {
            say(&format!("placement: needs the TSC: {}", clock.note));
            return Ok(0);
        }
        let cpus = allowed(0).map_err(|e| e.to_string())?;
        pin_from_elsewhere(*cpus.last().ok_or("no CPU")?).map_err(|e| e.to_string())?;
        let trials = if asked.mode == Mode::Test { 1 } else { TRIALS };
        for shape in wanted {
            let mut at = [0; 16];
            let mut ticks = [const { Vec::new() }; 16];
            for _ in 0..trials {
                for (n, place) in shape.places.iter().enumerate() {
                    let took;
                    (at[n], took) = trial(shape, *place)?;
                    ticks[n].push(took);
                }
            }
            // Of each place the byte of its line, and the median of the trials' medians.
            let middle = |ticks: &Vec<f64>| clock.ns(median(ticks).unwrap_or_default() as u64);
            let found = at
                .iter()
                .zip(&ticks)
                .map(|(at, ticks)| (at % 64, middle(ticks)));
            common::print(&line(shape.name, found.collect()));
        }
        Ok(0)
    }

    fn trial(shape: &Shape, place: Timed) -> Result<(usize, f64), String> {
        let area = Area::map(PAGES).map_err(|e| e.to_string())?;
        let stamps = SharedWords::map(2 * PAGES).map_err(|e| e.to_string())?;
        if shape.shared {
            area.fill(1);
            // SAFETY: the child ends by _exit at once.
            match unsafe { fork() }.map_err(|e| format!("fork(): {e}"))? {
                // SAFETY: _exit has no preconditions.
                ForkResult::Child => unsafe { libc::_exit(0) },
                ForkResult::Parent { child } => {
                    waitpid(child, None).map_err(|e| format!("waitpid(): {e}"))?
                }
            };
        }
        let at = place(area.base(), stamps.as_ptr(), shape.call);
        let ticks = stamps
            .as_slice()
            .chunks(2)
            .map(|pair| pair[1].saturating_sub(pair[0]) as f64);
        Ok((at, median(&ticks.collect::<Vec<_>>()).unwrap_or_default()))
    }

    fn line(name: &str, mut found: Vec<(usize, f64)>) -> String {
        found.sort_by_key(|place| place.0);
        let each: Vec<String> = found
            .iter()
            .map(|(at, ns)| format!("{at}: {ns:.0}"))
            .collect();
        let mut ns: Vec<f64> = found.iter().map(|place| place.1).collect();
        ns.sort_by(f64::total_cmp);
        format!(
            "{name}: {:.0} to {:.0} ns, median {:.0}\n  by byte of the line: {}",
            ns[0],
            ns[ns.len() - 1],
            median(&ns).unwrap_or_default(),
            each.join(", ")
        )
    }
}
