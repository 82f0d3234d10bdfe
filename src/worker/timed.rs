//! The timed loop: stores, and nothing else but reading the clock.

use std::arch::asm;

use crate::measure::clock::{Cntvct, MonotonicRaw, Ticks, Tsc};
use crate::memory::area::{Area, SharedWords, stored_word};
use crate::memory::trampoline::Trampolines;
use crate::record::clock::ClockSource;

/// Stores once to every page, a timestamp between each two stores: `stamps[n]` is taken before the
/// store to page `n` and is the end of the store to page `n - 1`. One timestamp per store halves the
/// cost of reading the clock; a fault serialises the CPU, so no store leaks into its neighbour's time. With an `order`, which
/// names each page once, the n-th stamp is that of the n-th page in it.
pub fn stores_timed(
    source: ClockSource,
    area: &Area,
    tag: u64,
    stamps: &SharedWords,
    order: Option<&SharedWords>,
) {
    assert!(stamps.as_slice().len() > area.pages());
    let stores = Loop::over(area, tag, stamps);
    let order = order.map(|order| stores.ordered(area, order));
    // SAFETY: there is a stamp more than there are pages.
    unsafe { stores.stamps.write_volatile(now(source)) };
    match (source, order) {
        #[cfg(target_arch = "x86_64")]
        (ClockSource::Tsc, None) => stores.timed(),
        #[cfg(target_arch = "aarch64")]
        (ClockSource::Cntvct, None) => stores.timed(),
        #[cfg(target_arch = "x86_64")]
        (ClockSource::Tsc, Some(order)) => order.timed(),
        #[cfg(target_arch = "aarch64")]
        (ClockSource::Cntvct, Some(order)) => order.timed(),
        (_, order) => stores.timed_by_call(order.as_ref()),
    }
}

/// The same stores with one timestamp before them all and one after: `stamps[0]` and `stamps[1]`.
pub fn stores_bare(
    source: ClockSource,
    area: &Area,
    tag: u64,
    stamps: &SharedWords,
    order: Option<&SharedWords>,
) {
    untimed(
        source,
        area,
        tag,
        stamps,
        order,
        Loop::bare,
        OrderedLoop::bare,
    );
}

/// The same with a fence after each store, as reading the clock has one: the CPU can not run ahead into the next
/// fault.
pub fn stores_fenced(
    source: ClockSource,
    area: &Area,
    tag: u64,
    stamps: &SharedWords,
    order: Option<&SharedWords>,
) {
    untimed(
        source,
        area,
        tag,
        stamps,
        order,
        Loop::fenced,
        OrderedLoop::fenced,
    );
}

fn untimed(
    source: ClockSource,
    area: &Area,
    tag: u64,
    stamps: &SharedWords,
    order: Option<&SharedWords>,
    make: fn(Loop),
    make_ordered: fn(OrderedLoop),
) {
    assert!(stamps.as_slice().len() > 1);
    let stores = Loop::over(area, tag, stamps);
    let order = order.map(|order| stores.ordered(area, order));
    // SAFETY: there are at least two stamps.
    unsafe {
        stamps.as_ptr().write_volatile(now(source));
        match order {
            Some(order) => make_ordered(order),
            None => make(stores),
        }
        stamps.as_ptr().add(1).write_volatile(now(source));
    }
}

/// The same stores through a trampoline, where a debugger can stop each; stamps as for [`stores_bare`].
pub fn stores_by_trampoline(
    source: ClockSource,
    area: &Area,
    tag: u64,
    stamps: &SharedWords,
    by: Trampolines,
) {
    assert!(stamps.as_slice().len() > 1);
    let step = area.len() / area.pages().max(1);
    // SAFETY: page * step lies inside the area for page < pages; there are at least two stamps.
    unsafe {
        stamps.as_ptr().write_volatile(now(source));
        for page in 0..area.pages() {
            let at = area.base().add(page * step).cast();
            by.store(0, at, stored_word(tag, page));
        }
        stamps.as_ptr().add(1).write_volatile(now(source));
    }
}

/// Calls `call` with the address of every page, a timestamp between each two calls: `stamps` as for
/// [`stores_timed`].
///
/// # Errors
/// That of a call that failed: the stamps are those of an error return then, and of no use.
pub fn calls_timed(
    source: ClockSource,
    area: &Area,
    stamps: &SharedWords,
    call: impl Fn(*mut u8) -> nix::Result<()>,
) -> nix::Result<()> {
    assert!(stamps.as_slice().len() > area.pages());
    match source {
        ClockSource::Tsc => calls::<Tsc>(area, stamps.as_ptr(), call),
        ClockSource::Cntvct => calls::<Cntvct>(area, stamps.as_ptr(), call),
        ClockSource::MonotonicRaw => calls::<MonotonicRaw>(area, stamps.as_ptr(), call),
    }
}

/// The present tick of `source`.
pub fn now(source: ClockSource) -> u64 {
    match source {
        ClockSource::Tsc => Tsc::now(),
        ClockSource::Cntvct => Cntvct::now(),
        ClockSource::MonotonicRaw => MonotonicRaw::now(),
    }
}

#[inline(never)]
fn calls<T: Ticks>(
    area: &Area,
    stamps: *mut u64,
    call: impl Fn(*mut u8) -> nix::Result<()>,
) -> nix::Result<()> {
    let mut failed = Ok(());
    // SAFETY: the caller has checked that there are more than `pages` stamps.
    unsafe {
        stamps.write_volatile(T::now());
        for page in 0..area.pages() {
            let called = call(area.base().wrapping_add(page * area.stride()));
            stamps.add(page + 1).write_volatile(T::now());
            failed = failed.and(called);
        }
    }
    failed
}

/// Stores to be made.
///
/// The loops are written in assembly so that in every build each lies within one cache line: where a loop lies decides
/// what a fault costs, probably by how well the kernel's branches are predicted. On Zen 4 a reuse takes a quarter less
/// time for a loop across a multiple of 1 KiB than for one anywhere else, and a compiler puts it anywhere.
struct Loop {
    at: *mut u8,
    step: usize,
    pages: usize,
    word: u64,
    stamps: *mut u64,
}

/// Stores to be made in an order of their own: as [`Loop`], by a table of pages.
struct OrderedLoop {
    base: *mut u8,
    /// The number of the next page.
    next: *const u64,
    pages: usize,
    tag: u64,
    stamps: *mut u64,
}

/// A store to every page of a [`Loop`]: the instructions of one round, with the registers that they may use besides
/// `at`, `step`, `word` and `stamp`, which points to the stamp to be written next.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! rounds {
    ($loop:ident, [$($line:literal),*], [$($scratch:tt),*]) => {
        // SAFETY: the pointers stay inside the area for so many pages, and inside the stamps as far as the
        // instructions write any. Without `nomem` the compiler moves no access across.
        unsafe {
            asm!(
                ".p2align 6",
                "2:",
                $($line,)*
                "/* {stamp} */",
                at = inout(reg) $loop.at => _,
                step = in(reg) $loop.step,
                word = inout(reg) $loop.word => _,
                pages = inout(reg) $loop.pages => _,
                stamp = inout(reg) $loop.stamps.add(1) => _,
                $(out($scratch) _,)*
                options(nostack),
            )
        }
    };
}

/// The same of an [`OrderedLoop`], with `base`, `next` and `tag` in place of `at`, `step` and `word`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! ordered_rounds {
    ($loop:ident, [$($line:literal),*], [$($scratch:tt),*]) => {
        // SAFETY: as of `rounds`; whoever made the loop has checked that the table has so many pages, each in the area.
        unsafe {
            asm!(
                ".p2align 6",
                "2:",
                $($line,)*
                "/* {stamp} */",
                base = in(reg) $loop.base,
                next = inout(reg) $loop.next => _,
                tag = in(reg) $loop.tag,
                pages = inout(reg) $loop.pages => _,
                stamp = inout(reg) $loop.stamps.add(1) => _,
                $(out($scratch) _,)*
                options(nostack),
            )
        }
    };
}

/// A store to every page, each followed by the instructions given.
#[cfg(target_arch = "x86_64")]
macro_rules! stores {
    ($loop:ident, $($after:literal),*) => {
        rounds!(
            $loop,
            [
                "mov [{at}], {word}",
                $($after,)*
                "add {at}, {step}",
                "inc {word}",
                "dec {pages}",
                "jnz 2b"
            ],
            ["rax", "rcx", "rdx"]
        )
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! stores {
    ($loop:ident, $($after:literal),*) => {
        rounds!(
            $loop,
            [
                "str {word}, [{at}]",
                $($after,)*
                "add {at}, {at}, {step}",
                "add {word}, {word}, #1",
                "subs {pages}, {pages}, #1",
                "b.ne 2b"
            ],
            ["x9"]
        )
    };
}

/// As `stores`, in the order of the table. Pages are of 4 KiB.
#[cfg(target_arch = "x86_64")]
macro_rules! ordered_stores {
    ($loop:ident, $($after:literal),*) => {
        ordered_rounds!(
            $loop,
            [
                "mov rcx, [{next}]",
                "lea rax, [{tag} + rcx]",
                "shl rcx, 12",
                "mov [{base} + rcx], rax",
                $($after,)*
                "add {next}, 8",
                "dec {pages}",
                "jnz 2b"
            ],
            ["rax", "rcx", "rdx"]
        )
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! ordered_stores {
    ($loop:ident, $($after:literal),*) => {
        ordered_rounds!(
            $loop,
            [
                "ldr x9, [{next}], #8",
                "add x10, {tag}, x9",
                "lsl x9, x9, #12",
                "str x10, [{base}, x9]",
                $($after,)*
                "subs {pages}, {pages}, #1",
                "b.ne 2b"
            ],
            ["x9", "x10"]
        )
    };
}

impl Loop {
    fn over(area: &Area, tag: u64, stamps: &SharedWords) -> Self {
        assert!(area.pages() > 0);
        Loop {
            at: area.base(),
            step: area.len() / area.pages(),
            pages: area.pages(),
            word: stored_word(tag, 0),
            stamps: stamps.as_ptr(),
        }
    }

    /// The same stores in another order.
    fn ordered(&self, area: &Area, order: &SharedWords) -> OrderedLoop {
        assert!(order.len() == self.pages && area.stride() == 1 << PAGE_SHIFT);
        let pages = self.pages as u64;
        assert!(order.as_slice().iter().all(|&page| page < pages));
        OrderedLoop {
            base: self.at,
            next: order.as_ptr(),
            pages: self.pages,
            tag: self.word,
            stamps: self.stamps,
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn timed(self) {
        stores!(
            self,
            "rdtscp",
            "lfence",
            "shl rdx, 32",
            "or rax, rdx",
            "mov [{stamp}], rax",
            "add {stamp}, 8"
        );
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    fn timed(self) {
        stores!(self, "isb", "mrs x9, cntvct_el0", "str x9, [{stamp}], #8");
    }

    /// With the clock that every kernel has.
    fn timed_by_call(self, order: Option<&OrderedLoop>) {
        for place in 0..self.pages {
            self.store(order.map_or(place, |order| order.page(place)));
            // SAFETY: the caller has checked that there is a stamp more than there are pages.
            unsafe {
                self.stamps
                    .add(place + 1)
                    .write_volatile(MonotonicRaw::now())
            };
        }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline(never)]
    fn bare(self) {
        stores!(self,);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn fenced(self) {
        stores!(self, "lfence");
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    fn fenced(self) {
        stores!(self, "isb");
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn bare(self) {
        (0..self.pages).for_each(|page| self.store(page));
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn fenced(self) {
        self.bare();
    }

    fn store(&self, page: usize) {
        let word = self.word.wrapping_add(page as u64);
        // SAFETY: page * step lies inside the area.
        unsafe {
            self.at
                .add(page * self.step)
                .cast::<u64>()
                .write_volatile(word)
        };
    }
}

/// Of the pages that tables name.
const PAGE_SHIFT: u32 = 12;

impl OrderedLoop {
    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn timed(self) {
        ordered_stores!(
            self,
            "rdtscp",
            "lfence",
            "shl rdx, 32",
            "or rax, rdx",
            "mov [{stamp}], rax",
            "add {stamp}, 8"
        );
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    fn timed(self) {
        ordered_stores!(self, "isb", "mrs x9, cntvct_el0", "str x9, [{stamp}], #8");
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline(never)]
    fn bare(self) {
        ordered_stores!(self,);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    fn fenced(self) {
        ordered_stores!(self, "lfence");
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    fn fenced(self) {
        ordered_stores!(self, "isb");
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn bare(self) {
        for place in 0..self.pages {
            let page = self.page(place);
            // SAFETY: whoever made the loop has checked that the page lies in the area.
            unsafe {
                let at = self.base.add(page << PAGE_SHIFT).cast::<u64>();
                at.write_volatile(self.tag.wrapping_add(page as u64))
            };
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn fenced(self) {
        self.bare();
    }

    fn page(&self, place: usize) -> usize {
        debug_assert!(place < self.pages);
        // SAFETY: whoever made the loop has checked that the table has so many pages.
        unsafe { self.next.add(place).read() as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Content;

    #[test]
    fn all_loops_store_to_every_page_and_their_stamps_do_not_go_back() {
        for source in [
            ClockSource::Tsc,
            ClockSource::Cntvct,
            ClockSource::MonotonicRaw,
        ] {
            let area = Area::map(32).unwrap();
            let stamps = SharedWords::map(33).unwrap();
            area.fill(1);
            stores_timed(source, &area, 50, &stamps, None);
            assert_eq!(area.violations(Content::Filled(1), Some(50)), 0);
            assert!(
                stamps
                    .as_slice()
                    .windows(2)
                    .all(|pair| 0 < pair[0] && pair[0] <= pair[1])
            );
            stores_bare(source, &area, 70, &stamps, None);
            assert_eq!(area.violations(Content::Filled(1), Some(70)), 0);
            assert!(stamps.as_slice()[0] <= stamps.as_slice()[1]);
            stores_fenced(source, &area, 90, &stamps, None);
            assert_eq!(area.violations(Content::Filled(1), Some(90)), 0);
            assert!(stamps.as_slice()[0] <= stamps.as_slice()[1]);
        }
    }

    #[test]
    fn an_order_has_every_page_stored_to_with_its_own_word() {
        let set = |order: &SharedWords, place: usize, page: usize| {
            let word = order.atomic(place);
            word.store(page as u64, std::sync::atomic::Ordering::Relaxed);
        };
        let order = SharedWords::map(32).unwrap();
        (0..32).for_each(|place| set(&order, place, (5 * place + 3) % 32));
        let area = Area::map(32).unwrap();
        area.fill(1);
        let stamps = SharedWords::map(33).unwrap();
        for source in [
            ClockSource::Tsc,
            ClockSource::Cntvct,
            ClockSource::MonotonicRaw,
        ] {
            stores_timed(source, &area, 50, &stamps, Some(&order));
            assert_eq!(area.violations(Content::Filled(1), Some(50)), 0);
            let mut pairs = stamps.as_slice().windows(2);
            assert!(pairs.all(|pair| 0 < pair[0] && pair[0] <= pair[1]));
            stores_bare(source, &area, 70, &stamps, Some(&order));
            assert_eq!(area.violations(Content::Filled(1), Some(70)), 0);
            stores_fenced(source, &area, 90, &stamps, Some(&order));
            assert_eq!(area.violations(Content::Filled(1), Some(90)), 0);
        }
        // A page that comes twice is missing elsewhere.
        set(&order, 0, 4);
        stores_bare(ClockSource::MonotonicRaw, &area, 110, &stamps, Some(&order));
        assert_eq!(area.violations(Content::Filled(1), Some(110)), 1);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_loop_lies_within_one_cache_line() {
        use iced_x86::{Decoder, DecoderOptions, FlowControl};

        let loops = [Loop::timed as fn(Loop), Loop::bare, Loop::fenced];
        let ordered = [
            OrderedLoop::timed as fn(OrderedLoop),
            OrderedLoop::bare,
            OrderedLoop::fenced,
        ];
        let ordered = ordered.map(|make| make as usize as u64);
        for start in loops
            .map(|make| make as usize as u64)
            .into_iter()
            .chain(ordered)
        {
            // SAFETY: the program's own code, which is longer than that behind it.
            let code = unsafe { std::slice::from_raw_parts(start as *const u8, 512) };
            let instructions = Decoder::with_ip(64, code, start, DecoderOptions::NONE).into_iter();
            let back = instructions
                .filter(|it| it.flow_control() == FlowControl::ConditionalBranch)
                .find(|it| it.near_branch_target() < it.ip())
                .expect("a loop");
            let (first, last) = (back.near_branch_target(), back.next_ip() - 1);
            assert_eq!(first % 64, 0);
            assert_eq!(first / 64, last / 64);
        }
    }
}
