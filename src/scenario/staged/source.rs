//! What staged races and races rest on: what was read in the kernel's source, and what follows from it.

use crate::scenario::expectation::Basis;

/// The two looks at the PTE that every race is about: one PTL is held from the first to the decision, pte_same() under the PTL
/// is the second.
macro_rules! looks {
    () => {
        "mm/memory.c: do_wp_page() in 5.8.1 (line 2895), 5.10.223 (3120), 6.1.192 (3403), 6.12.107 (3656), 7.2.13 (4245), \
         7.3.4 (4381); wp_page_copy() in 5.8.1 (2640), 5.10.223 (2865), 6.1.192 (3129), 6.12.107 (3332), 7.2.13 (3854), 7.3.4 \
         (3986); do_anonymous_page() in 5.8.1 (3321), 5.10.223 (3555), 6.1.192 (4137), 6.12.107 (4736), 7.2.13 (5288), 7.3.4 \
         (5428)"
    };
}

/// The patches that switch a kernel to another rule.
macro_rules! switched {
    () => {
        "; scripts/strategy-kernel/patches: wp_reuse_by_rule() for 5.10, 6.12 and 7.2"
    };
}

pub(in crate::scenario) use {looks, switched};

/// Thread 1 refers to the page from its decision to its second look, so that no other store or pin finds one reference: they copy,
/// and thread 1 finds pte_same() false.
pub const REFERENCED: Basis = Basis::Source(concat!(looks!(), switched!()));
/// Where mappings are counted, thread 1's reference does not count: with B gone another store makes the PTE writable, and thread 1
/// finds pte_same() false.
pub const MAPPED_ONCE: Basis = Basis::Source(concat!(looks!(), switched!()));
/// Up to 5.18 a read-only pin takes the page as its PTE has it, without a fault; thread 1 finds the PTE as it was.
pub const PINNED_UNASKED: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/gup.c: follow_page_pte() in 5.10.223 (394), which asks for no unsharing",
    switched!()
));
/// A pin that unshares where there is no exclusive flag asks whether others map the page, and with B gone nobody does.
pub const PINNED_ALONE: Basis = Basis::Source(concat!(
    looks!(),
    "; scripts/strategy-kernel/patches: follow_page_pte() and cow_pin_asks() for 5.10",
    switched!()
));
/// `should_force_cow_break()` makes of each reading pin a write fault: a store in all but the word that it stores.
pub const PIN_STORES: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/gup.c: should_force_cow_break() in 5.4.286 (177), 5.8.1 (397); scripts/strategy-kernel/patches: cow_pin_asks() for 5.10",
    switched!()
));
/// From 5.19 on a pin unshares by the reuse rule. Where mappings are counted it marks the page exclusive and leaves the PTE as it
/// was; cow_recheck=1 has thread 1 ask for PageAnonExclusive() as well.
pub const UNSHARED_BY_MARK: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/gup.c: follow_page_pte() in 6.1.192 (543), 6.12.107 (839), 7.2.13 (802), 7.3.4 (802)",
    switched!(),
    ", cow_became_exclusive() for 6.12 and 7.2"
));
/// Where references are counted the pin copies, since thread 1's is one more.
pub const UNSHARED_BY_COPY: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/gup.c: follow_page_pte() in 6.1.192 (543), 6.12.107 (839), 7.2.13 (802), 7.3.4 (802)",
    switched!()
));
/// As [`UNSHARED_BY_COPY`]; thread 1 backs off, its second fault does not trust the exclusive flag and counts the pin's references,
/// and the copy leaves the pin behind. That is the rule itself, not the race, and why the flag came.
pub const PIN_LEFT_BEHIND: Basis = Basis::Source(concat!(
    looks!(),
    switched!(),
    ", cow_trusts_exclusive() for 6.12 and 7.2"
));
/// Up to 6.2 lifting userfaultfd's protection leaves the PTE read-only, as thread 1 remembers it, although it was stored to through
/// it; from 6.3 on it makes an exclusive page's PTE writable.
pub const UNPROTECTED: Basis = Basis::Source(
    "mm/mprotect.c: change_pte_range() in 5.10.223 (line 38), 6.1.192 (75), can_change_pte_writable() in 6.12.107 (43), 7.2.13 \
     (97), 7.3.4 (97); mm/userfaultfd.c: mwriteprotect_range() in 5.10.223 (654), uffd_wp_range() in 6.1.192 (738), 6.2.1 (727), \
     6.3.8 (713; 931298e103c2), 6.12.107 (904), 7.2.13 (1075), 7.3.4 (1075)",
);
/// The PTE is cleared with a lock held for read, a store fills it anew, and thread 1 finds pte_same() false.
pub const DROPPED: Basis = Basis::Source(concat!(
    looks!(),
    "; zap_pte_range() in 5.10.223 (1229), 6.1.192 (1399), 6.12.107 (1582), 7.2.13 (1900), 7.3.4 (2031)"
));
/// The CPU sets the Accessed bit, and pte_same() compares whole entries.
pub const ACCESSED: Basis = Basis::Source(concat!(
    looks!(),
    "; arch/x86/include/asm/pgtable.h: pte_same() in 5.10.223 (760), 6.1.192 (730), 6.12.107 (997), 7.2.13 (946), 7.3.4 (946)"
));
/// Nothing that B does to its own mapping changes A's PTE, and what was decided is not asked again.
pub const NOT_ASKED_AGAIN: Basis = Basis::Source(looks!());
/// Whether reclaim gets as far as A's PTE is not to be read out: that depends on the LRU, on swap space and on the folio's lock.
pub const RECLAIMED: Basis = Basis::Observed("5.10, 6.1, 6.12, 7.2 and 7.3");
/// A fault holds the mmap lock for read up to 6.3, and from 6.4 on the lock of its mapping; mprotect and fork take that for write.
pub const LOCKED: Basis = Basis::Source(
    "mmap_write_lock_killable() in mm/mprotect.c: do_mprotect_pkey() in 5.10.223 (line 512), 6.1.192 (671) and in \
     kernel/fork.c: dup_mmap() in 5.10.223 (477), 6.1.192 (589), 6.3.8 (582); vma_start_write() in mm/mprotect.c: \
     mprotect_fixup() in 6.12.107 (603), 7.2.13 (725), 7.3.4 (760) and in dup_mmap() in 6.4.6 (650), 6.12.107 (641), of \
     mm/mmap.c in 7.2.13 (1731), 7.3.4 (1708); lock_vma_under_rcu() in arch/x86/mm/fault.c: do_user_addr_fault() in 6.12.107, \
     7.2.13, 7.3.4",
);
/// do_wp_page() is entered with the PTL held: another fault waits for it, and finds a writable PTE when thread 1 has reused the page
/// that B has left.
pub const PTL_HELD: Basis = Basis::Source(looks!());
/// The PTE is none from the flush on until the copy is set, under the PTL: do_anonymous_page() waits for it and finds the PTE no
/// longer none.
pub const NONE_MEANWHILE: Basis = Basis::Source(looks!());
