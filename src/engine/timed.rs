//! The timed loop: stores, and nothing else but reading the clock.

use crate::measure::clock::{Cntvct, MonotonicRaw, Source, Ticks, Tsc};
use crate::memory::area::{Area, SharedWords, stored_word};
use crate::memory::signpost::Signposts;

/// Stores once to every page, a timestamp between each two stores: `stamps[n]` is taken before the
/// store to page `n` and is the end of the store to page `n - 1`. One timestamp per store halves the
/// cost of reading the clock; a fault serialises the CPU, so no store leaks into its neighbour's time.
pub fn stores_timed(source: Source, area: &Area, tag: u64, stamps: &SharedWords) {
    assert!(stamps.as_slice().len() > area.pages());
    match source {
        Source::Tsc => timed::<Tsc>(area, tag, stamps.as_ptr()),
        Source::Cntvct => timed::<Cntvct>(area, tag, stamps.as_ptr()),
        Source::MonotonicRaw => timed::<MonotonicRaw>(area, tag, stamps.as_ptr()),
    }
}

/// The same stores with one timestamp before them all and one after: `stamps[0]` and `stamps[1]`.
pub fn stores_bare(source: Source, area: &Area, tag: u64, stamps: &SharedWords) {
    assert!(stamps.as_slice().len() > 1);
    match source {
        Source::Tsc => bare::<Tsc>(area, tag, stamps.as_ptr()),
        Source::Cntvct => bare::<Cntvct>(area, tag, stamps.as_ptr()),
        Source::MonotonicRaw => bare::<MonotonicRaw>(area, tag, stamps.as_ptr()),
    }
}

/// The same stores through a signpost, where a debugger can stop each; stamps as for [`stores_bare`].
pub fn stores_posted(source: Source, area: &Area, tag: u64, stamps: &SharedWords, by: Signposts) {
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
pub fn calls_timed(source: Source, area: &Area, stamps: &SharedWords, call: impl Fn(*mut u8)) {
    assert!(stamps.as_slice().len() > area.pages());
    match source {
        Source::Tsc => calls::<Tsc>(area, stamps.as_ptr(), call),
        Source::Cntvct => calls::<Cntvct>(area, stamps.as_ptr(), call),
        Source::MonotonicRaw => calls::<MonotonicRaw>(area, stamps.as_ptr(), call),
    }
}

/// The present tick of `source`.
pub fn now(source: Source) -> u64 {
    match source {
        Source::Tsc => Tsc::now(),
        Source::Cntvct => Cntvct::now(),
        Source::MonotonicRaw => MonotonicRaw::now(),
    }
}

#[inline(never)]
fn calls<T: Ticks>(area: &Area, stamps: *mut u64, call: impl Fn(*mut u8)) {
    // SAFETY: the caller has checked that there are more than `pages` stamps.
    unsafe {
        stamps.write_volatile(T::now());
        for page in 0..area.pages() {
            call(area.base().wrapping_add(page * area.stride()));
            stamps.add(page + 1).write_volatile(T::now());
        }
    }
}

#[inline(never)]
fn timed<T: Ticks>(area: &Area, tag: u64, stamps: *mut u64) {
    let (base, pages) = (area.base(), area.pages());
    let step = area.len() / pages.max(1);
    // SAFETY: page * step lies inside the area for page < pages; the caller has checked that there
    // are more than `pages` stamps.
    unsafe {
        stamps.write_volatile(T::now());
        for page in 0..pages {
            base.add(page * step)
                .cast::<u64>()
                .write_volatile(stored_word(tag, page));
            stamps.add(page + 1).write_volatile(T::now());
        }
    }
}

#[inline(never)]
fn bare<T: Ticks>(area: &Area, tag: u64, stamps: *mut u64) {
    let (base, pages) = (area.base(), area.pages());
    let step = area.len() / pages.max(1);
    // SAFETY: page * step lies inside the area for page < pages; the caller has checked that there
    // are at least two stamps.
    unsafe {
        stamps.write_volatile(T::now());
        for page in 0..pages {
            base.add(page * step)
                .cast::<u64>()
                .write_volatile(stored_word(tag, page));
        }
        stamps.add(1).write_volatile(T::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Content;

    #[test]
    fn both_loops_store_to_every_page_and_their_stamps_do_not_go_back() {
        for source in [Source::Tsc, Source::Cntvct, Source::MonotonicRaw] {
            let area = Area::map(32).unwrap();
            let stamps = SharedWords::map(33).unwrap();
            area.fill(1);
            stores_timed(source, &area, 50, &stamps);
            assert_eq!(area.violations(Content::Filled(1), Some(50)), 0);
            assert!(
                stamps
                    .as_slice()
                    .windows(2)
                    .all(|pair| 0 < pair[0] && pair[0] <= pair[1])
            );
            stores_bare(source, &area, 70, &stamps);
            assert_eq!(area.violations(Content::Filled(1), Some(70)), 0);
            assert!(stamps.as_slice()[0] <= stamps.as_slice()[1]);
        }
    }
}
