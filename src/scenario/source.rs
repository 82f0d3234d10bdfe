//! What was read in the kernel's source, and what follows from it: one constant for each chain of reasoning.
//!
//! Each text names functions and the line at which each begins, version by version. 5.10.223 (5.10.262 once), 6.1.192, 6.12.107, 7.2.13 and
//! 7.3.4 are Debian's packages linux-source. 5.4.286 and 5.8.1 (the mapcount rule), and 5.17.0 to 6.5.0 besides 6.1.192,
//! which were read for the version that brought something, are copies of those releases on GitHub.

use super::expectation::Basis;

/// Names for what is read in several chains.
macro_rules! read {
    (first_store) => {
        "mm/memory.c: do_anonymous_page() in 5.4.286 (line 3144), 5.8.1 (3321), 5.10.223 (3555), 6.1.192 (4137), \
         6.12.107 (4736), 7.2.13 (5288), 7.3.4 (5428); mm/memory.c: map_anon_folio_pte_nopf() in 7.2.13 (line 5251), \
         7.3.4 (5391)"
    };
    (read_zero_page) => {
        "mm/memory.c: do_anonymous_page() in 5.4.286 (line 3144), 5.8.1 (3321), 5.10.223 (3555), 6.1.192 (4137), \
         6.12.107 (4736), 7.2.13 (5288), 7.3.4 (5428); mm/memory.c: vm_normal_page() in 5.4.286 (line 586), 5.8.1 \
         (591), 5.10.223 (594), 6.1.192 (612), 6.12.107 (594), 7.2.13 (767), 7.3.4 (824)"
    };
    (wp_by_mapcount) => {
        "mm/memory.c: do_wp_page() in 5.4.286 (line 2711), 5.8.1 (2895); mm/swapfile.c: reuse_swap_page() in 5.4.286 \
         (line 1668), 5.8.1 (1690)"
    };
    (wp_by_refcount) => {
        "mm/memory.c: do_wp_page() in 5.10.223 (line 3120)"
    };
    (wp_by_flag) => {
        "mm/memory.c: do_wp_page() in 6.1.192 (line 3403), 6.12.107 (3656), 7.2.13 (4245), 7.3.4 (4381); mm/memory.c: \
         wp_can_reuse_anon_folio() in 6.12.107 (line 3586), 7.2.13 (4182), 7.3.4 (4314)"
    };
    (copied) => {
        "mm/memory.c: wp_page_copy() in 5.4.286 (line 2457), 5.8.1 (2640), 5.10.223 (2865), 6.1.192 (3129), 6.12.107 \
         (3332), 7.2.13 (3854), 7.3.4 (3986)"
    };
    (marked_when_new) => {
        "mm/rmap.c: page_add_new_anon_rmap() in 6.1.192 (line 1260); mm/rmap.c: folio_add_new_anon_rmap() in 6.12.107 \
         (line 1415), 7.2.13 (1646), 7.3.4 (1652)"
    };
    (async_cleared) => {
        "mm/memory.c: do_wp_page() in 6.12.107 (line 3656), 7.2.13 (4245), 7.3.4 (4381)"
    };
    (fork_clears_flag) => {
        "mm/memory.c: copy_present_pte() in 6.1.192 (line 948); mm/memory.c: copy_present_ptes() in 6.12.107 (line \
         981), 7.2.13 (1129), 7.3.4 (1211); include/linux/rmap.h: page_try_dup_anon_rmap() in 6.1.192 (line 234); \
         include/linux/rmap.h: __folio_try_dup_anon_rmap() in 6.12.107 (line 391), 7.2.13 (567), 7.3.4 (567)"
    };
    (soft_dirty) => {
        "fs/proc/task_mmu.c: clear_soft_dirty() in 5.4.286 (line 986), 5.8.1 (962), 5.10.223 (1072), 6.1.192 (1099), \
         6.12.107 (1403), 7.2.13 (1703), 7.3.4 (1706)"
    };
    (fork_before_pins) => {
        "mm/memory.c: copy_one_pte() in 5.4.286 (line 690), 5.8.1 (695)"
    };
    (fork_by_refcount) => {
        "mm/memory.c: copy_present_pte() in 5.10.223 (line 867)"
    };
    (switched_mapcount) => {
        "scripts/strategy-kernel/patches: wp_reuse_by_mapcount() for 5.10, 6.12 and 7.2"
    };
    (vmsplice) => {
        "fs/splice.c: iter_to_pipe() in 5.4.286 (line 1207), 5.8.1 (1195), 5.10.223 (1149), 6.1.192 (1179), 6.12.107 \
         (1451), 7.2.13 (1443), 7.3.4 (1443)"
    };
    (switched_refcount) => {
        "scripts/strategy-kernel/patches: wp_reuse_by_rule() for 5.10, 6.12 and 7.2"
    };
    (pipe_released) => {
        "fs/splice.c: page_cache_pipe_buf_release() in 5.4.286 (line 92), 5.8.1 (92), 5.10.223 (91), 6.1.192 (90), \
         6.12.107 (108), 7.2.13 (108), 7.3.4 (108)"
    };
    (batch_by_refcount) => {
        "mm/swap.c: lru_cache_add() in 5.10.223 (line 462)"
    };
    (local_batch) => {
        "mm/swap.c: folio_add_lru() in 6.1.192 (line 510), 6.12.107 (503), 7.2.13 (541); mm/folio.c: folio_add_lru() \
         in 7.3.4 (line 468)"
    };
    (drained_batch) => {
        "mm/swap.c: lru_add_drain() in 6.1.192 (line 762), 6.12.107 (729), 7.2.13 (785); mm/folio.c: lru_add_drain() \
         in 7.3.4 (line 715)"
    };
    (io_uring_pins) => {
        "io_uring/io_uring.c: io_sqe_buffer_register() in 5.10.223 (line 8857); io_uring/rsrc.c: io_pin_pages() in \
         6.1.192 (line 979); io_uring/memmap.c: io_pin_pages() in 6.12.107 (line 134), 7.2.13 (55), 7.3.4 (55)"
    };
    (fork_copies_pinned) => {
        "mm/memory.c: copy_present_page() in 5.10.223 (line 798), 6.1.192 (911), 6.12.107 (915), 7.2.13 (1063), 7.3.4 \
         (1122)"
    };
    (pins_by_references) => {
        "include/linux/mm.h: page_maybe_dma_pinned() in 5.10.262 (line 1274), 6.1.192 (1602)"
    };
    (direct_pins) => {
        "lib/iov_iter.c: iov_iter_extract_user_pages() in 6.5.0 (line 1743), 6.12.107 (1796), 7.2.13 (1749), 7.3.4 \
         (1754); block/bio.c: __bio_iov_iter_get_pages() in 6.5.0 (line 1246), 6.12.107 (1327); block/bio.c: \
         bio_iov_iter_get_pages() in 7.2.13 (line 1281), 7.3.4 (1284)"
    };
    (io_uring_gets) => {
        "fs/io_uring.c: io_sqe_buffer_register() in 5.4.286 (line 3380), 5.8.1 (7164)"
    };
    (write_needs_writable_pte) => {
        "mm/gup.c: follow_page_pte() in 5.4.286 (line 182), 5.8.1 (402), 5.10.223 (394), 6.1.192 (543), 6.12.107 \
         (839), 7.2.13 (802), 7.3.4 (802)"
    };
    (direct_gets) => {
        "lib/iov_iter.c: iov_iter_get_pages() in 5.4.286 (line 1268), 5.8.1 (1311), 5.10.223 (1309); lib/iov_iter.c: \
         __iov_iter_get_pages_alloc() in 6.1.192 (line 1431); block/bio.c: __bio_iov_iter_get_pages() in 5.4.286 \
         (line 923), 5.8.1 (991), 5.10.223 (1002), 6.1.192 (1191), 6.4.6 (1239)"
    };
    (direct_gets_by_refcount) => {
        "lib/iov_iter.c: iov_iter_get_pages() in 5.10.223 (line 1309)"
    };
    (unshared) => {
        "include/linux/mm.h: gup_must_unshare() in 5.19.0 (line 3033), 6.1.192 (3189); mm/internal.h: \
         gup_must_unshare() in 6.12.107 (line 1373), 7.2.13 (1678), 7.3.4 (1356)"
    };
    (forced_copy) => {
        "mm/gup.c: should_force_cow_break() in 5.4.286 (line 177), 5.8.1 (397); scripts/strategy-kernel/patches: \
         cow_pin_asks() for 5.10"
    };
    (direct_gets_by_mapcount) => {
        "lib/iov_iter.c: iov_iter_get_pages() in 5.4.286 (line 1268), 5.8.1 (1311)"
    };
    (read_by_pid_then) => {
        "mm/process_vm_access.c: process_vm_rw_single_vec() in 5.4.286 (line 74), 5.8.1 (73)"
    };
    (read_by_pid) => {
        "mm/process_vm_access.c: process_vm_rw_single_vec() in 5.4.286 (line 74), 5.8.1 (73), 5.10.223 (71), 6.1.192 \
         (70), 6.12.107 (73), 7.2.13 (73), 7.3.4 (73)"
    };
    (not_unshared) => {
        "mm/gup.c: follow_page_pte() in 5.10.223 (line 394), 5.17.0 (498)"
    };
    (read_by_pid_later) => {
        "mm/process_vm_access.c: process_vm_rw_single_vec() in 6.1.192 (line 70), 6.12.107 (73), 7.2.13 (73), 7.3.4 \
         (73)"
    };
    (switched_never) => {
        "scripts/strategy-kernel/patches: wp_reuse_by_rule() for 6.12 and 7.2"
    };
    (patched_pin) => {
        "scripts/strategy-kernel/patches: cow_pin_asks() and wp_unshare() for 5.10"
    };
    (mprotect_leaves) => {
        "mm/mprotect.c: change_pte_range() in 5.4.286 (line 38), 5.8.1 (38), 5.10.223 (38), 5.19.0 (41)"
    };
    (wp_5_19) => {
        "mm/memory.c: do_wp_page() in 5.19.0 (line 3352)"
    };
    (mprotect_restores) => {
        "mm/mprotect.c: can_change_pte_writable() in 6.0.1 (line 41), 6.1.192 (42), 6.12.107 (43), 7.2.13 (97), 7.3.4 \
         (97)"
    };
    (unprotect_leaves) => {
        "mm/userfaultfd.c: mwriteprotect_range() in 5.8.1 (line 639), 5.10.223 (654); mm/userfaultfd.c: \
         uffd_wp_range() in 6.1.192 (line 738), 6.2.1 (727)"
    };
    (wp_5_8) => {
        "mm/memory.c: do_wp_page() in 5.8.1 (line 2895)"
    };
    (wp_6_1) => {
        "mm/memory.c: do_wp_page() in 6.1.192 (line 3403)"
    };
    (unprotect_restores) => {
        "mm/userfaultfd.c: uffd_wp_range() in 6.3.8 (line 713), 6.12.107 (904), 7.2.13 (1075), 7.3.4 (1075)"
    };
    (cow_fault) => {
        "mm/memory.c: do_cow_fault() in 5.4.286 (line 3703), 5.8.1 (3868), 5.10.223 (4112), 6.1.192 (4641), 6.12.107 \
         (5333), 7.2.13 (5873), 7.3.4 (6013); mm/memory.c: alloc_set_pte() in 5.4.286 (line 3470), 5.8.1 (3638), \
         5.10.223 (3882); mm/memory.c: do_set_pte() in 6.1.192 (line 4396); mm/memory.c: set_pte_range() in 6.12.107 \
         (line 5015), 7.2.13 (5559), 7.3.4 (5699)"
    };
    (duplicated) => {
        "kernel/fork.c: dup_mmap() in 5.4.286 (line 478), 5.8.1 (485), 5.10.223 (477), 6.1.192 (589), 6.12.107 (641); \
         mm/mmap.c: dup_mmap() in 7.2.13 (line 1731), 7.3.4 (1708)"
    };
    (shared_mm) => {
        "kernel/fork.c: copy_mm() in 5.4.286 (line 1388), 5.8.1 (1393), 5.10.223 (1407), 6.1.192 (1583), 6.12.107 \
         (1742), 7.2.13 (1573), 7.3.4 (1575)"
    };
    (lazily_freed) => {
        "mm/madvise.c: madvise_free_pte_range() in 5.4.286 (line 565), 5.8.1 (563), 5.10.223 (571), 6.1.192 (594), \
         6.12.107 (642), 7.2.13 (660), 7.3.4 (663)"
    };
    (swap_in_read_only) => {
        "mm/memory.c: do_swap_page() in 5.4.286 (line 2929), 5.8.1 (3089)"
    };
    (swap_in_by_refcount) => {
        "mm/memory.c: do_swap_page() in 5.10.223 (line 3327)"
    };
    (switched_swap) => {
        "scripts/strategy-kernel/patches: do_swap_page() and wp_reuse_by_rule() for 6.12 and 7.2"
    };
    (swap_in_flag_read_only) => {
        "mm/memory.c: do_swap_page() in 5.19.0 (line 3710), 6.1.192 (3775), 6.5.0 (3714)"
    };
    (swap_in_flag_writable) => {
        "mm/memory.c: do_swap_page() in 6.12.107 (line 4201), 7.2.13 (4748), 7.3.4 (4882)"
    };
    (swap_in_by_flag) => {
        "mm/memory.c: do_swap_page() in 6.1.192 (line 3775), 6.12.107 (4201), 7.2.13 (4748), 7.3.4 (4882); \
         mm/memory.c: copy_nonpresent_pte() in 6.1.192 (line 795), 6.12.107 (793), 7.2.13 (941), 7.3.4 (1008); \
         mm/swapfile.c: folio_free_swap() in 6.1.192 (line 1592), 6.12.107 (1870), 7.2.13 (2091), 7.3.4 (2097)"
    };
    (ksm_reused) => {
        "mm/ksm.c: reuse_ksm_page() in 5.4.286 (line 2663), 5.8.1 (2663)"
    };
    ($first:ident, $($more:ident),+) => {
        concat!(read!($first), $("; ", read!($more)),+)
    };
}

/// The first store maps a page of one's own writable and dirty; nothing takes that away, so the CPU does not fault
/// again.
pub(super) const FIRST_STORE: Basis = Basis::Source(read!(first_store));
/// A read maps the zero page as a special entry, so `vm_normal_page()` finds no page. Without a page there is nothing
/// to reuse: `do_wp_page()` goes to `wp_page_copy()`, which allocates a zeroed page.
pub(super) const ZERO_PAGE: Basis = Basis::Source(read!(
    read_zero_page,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag,
    copied
));
/// Who has gone has dropped mapping and reference. One mapping and no swap entry are left (up to 5.8), one reference
/// (5.9 on), of a page that is proven to be on the LRU, so that no batch holds another: reused.
pub(super) const LAST_USER: Basis =
    Basis::Source(read!(wp_by_mapcount, wp_by_refcount, wp_by_flag));
/// A page is marked exclusive when it is made, and only fork, swapping, migration and KSM take that away: reused with
/// no further test. Before there was a mark, it has one mapping and one reference.
pub(super) const OWN_PAGE: Basis = Basis::Source(read!(
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag,
    marked_when_new
));
/// `do_wp_page()` clears the asynchronous protection itself and goes on: the page is marked exclusive and reused.
pub(super) const OWN_PAGE_ASYNC: Basis = Basis::Source(read!(async_cleared, marked_when_new));
/// `do_wp_page()` clears the asynchronous protection itself and goes on: fork took the mark away and the child has a
/// reference, so the page is copied.
pub(super) const SHARED_ASYNC: Basis = Basis::Source(read!(async_cleared, fork_clears_flag));
/// Clearing the soft-dirty bits write-protects the entries and leaves the pages alone: as any page of one's own.
pub(super) const SOFT_DIRTY: Basis = Basis::Source(read!(
    soft_dirty,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag,
    marked_when_new
));
/// Fork gives the child a mapping and a reference of its own, makes both entries read-only and takes the exclusive
/// mark away: two mappings, two references, copied under every rule.
pub(super) const SHARED: Basis = Basis::Source(read!(
    fork_before_pins,
    fork_by_refcount,
    fork_clears_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag,
    copied
));
/// By mapcount `reuse_swap_page()` adds up mappings and swap entries alone: a reference beside them does not matter,
/// and the page is reused. A switched kernel does so in `wp_reuse_by_mapcount()`.
pub(super) const REFERENCES_IGNORED: Basis =
    Basis::Source(read!(wp_by_mapcount, switched_mapcount));
/// A pipe keeps the reference that vmsplice took (`FOLL_GET`). Fork took the exclusive mark away, so references are
/// counted: more than one, copied.
pub(super) const REFERENCE_COUNTS: Basis = Basis::Source(read!(
    vmsplice,
    wp_by_refcount,
    fork_clears_flag,
    wp_by_flag,
    switched_refcount
));
/// By refcount more than one reference forces a copy, also of a page that was never shared.
pub(super) const REFERENCE_COUNTS_ALONE: Basis =
    Basis::Source(read!(wp_by_refcount, switched_refcount));
/// A pipe that closes gives back the reference that vmsplice took: nobody else has or holds the page, and it is
/// reused.
pub(super) const PIPE_GIVES_BACK: Basis = Basis::Source(read!(
    vmsplice,
    pipe_released,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// A page that was never shared is marked exclusive, which is looked at before references are; by mapcount they are
/// not looked at.
pub(super) const EXCLUSIVE_BEFORE_REFERENCES: Basis = Basis::Source(read!(
    wp_by_mapcount,
    marked_when_new,
    wp_by_flag,
    switched_mapcount
));
/// A fresh page's LRU batch holds a reference, and `do_wp_page()` drains nothing: more than one, copied.
pub(super) const BATCH_COUNTS: Basis = Basis::Source(read!(batch_by_refcount, wp_by_refcount));
/// `do_wp_page()` drains this CPU's batches where the page is not on the LRU; one reference is left. By mapcount
/// references do not matter.
pub(super) const LOCAL_BATCH_DRAINED: Basis = Basis::Source(read!(
    local_batch,
    drained_batch,
    wp_by_flag,
    wp_by_mapcount,
    switched_mapcount,
    switched_refcount
));
/// `lru_add_drain()` drains the batches of the CPU it runs on. Another CPU's keeps its reference: more than one,
/// copied. That the page stayed in the batch is proven after the store.
pub(super) const OTHER_BATCH_COUNTS: Basis = Basis::Source(read!(
    batch_by_refcount,
    local_batch,
    drained_batch,
    wp_by_refcount,
    wp_by_flag
));
/// Fork knows no pins yet: it shares the page and makes both entries read-only.
pub(super) const FORK_SHARES_PINNED: Basis = Basis::Source(read!(fork_before_pins, wp_by_mapcount));
/// io_uring pins its buffers for long (`FOLL_PIN`, `FOLL_LONGTERM`). Fork copies a page that may be pinned for the
/// child at once and leaves the parent's entry as it is: writable.
pub(super) const FORK_COPIES_PINNED: Basis =
    Basis::Source(read!(io_uring_pins, fork_copies_pinned, fork_clears_flag));
/// From 6.5 on a direct transfer pins its pages, and fork copies what may be pinned for the child at once: the
/// parent's entry stays writable.
pub(super) const DIRECT_FORK_COPIES_PINNED: Basis =
    Basis::Source(read!(direct_pins, fork_copies_pinned, fork_clears_flag));
/// Up to 6.4 a direct transfer takes references (`FOLL_GET`), one of each page, which fork does not take for pins: it
/// shares the page as any. The store copies, and what is read arrives in the page that the child is left with.
pub(super) const DIRECT_FORK_SHARES: Basis = Basis::Source(read!(
    direct_gets,
    fork_before_pins,
    fork_by_refcount,
    pins_by_references,
    fork_clears_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_6_1,
    copied
));
/// Buffers are pinned with `FOLL_WRITE`, for which the entry must be writable: GUP makes the store's fault itself.
pub(super) const IO_URING_WRITES: Basis = Basis::Source(read!(
    io_uring_gets,
    io_uring_pins,
    write_needs_writable_pte
));
/// What is read into is taken with `FOLL_WRITE`, for which the entry must be writable: GUP makes the store's fault
/// itself.
pub(super) const DIRECT_READ_WRITES: Basis =
    Basis::Source(read!(direct_gets, direct_pins, write_needs_writable_pte));
/// Up to 6.4 a direct write takes references (`FOLL_GET`), not pins: nothing is unshared.
pub(super) const DIRECT_WRITE_REFERENCES: Basis = Basis::Source(read!(direct_gets));
/// A direct write takes a reference on the page, or a pin of many, and by refcount that forces a copy.
pub(super) const DIRECT_WRITE_COUNTS: Basis = Basis::Source(read!(
    direct_gets_by_refcount,
    wp_by_refcount,
    switched_refcount
));
/// From 6.5 on a direct write pins for reading, which unshares: nobody else has the page, so it is marked exclusive
/// and reused. By mapcount references do not matter.
pub(super) const DIRECT_WRITE_MARKS: Basis =
    Basis::Source(read!(direct_pins, unshared, wp_by_flag, switched_mapcount));
/// From 6.5 on a direct write pins for reading: `gup_must_unshare()` asks for a page of one's own.
pub(super) const DIRECT_WRITE_UNSHARES: Basis =
    Basis::Source(read!(direct_pins, unshared, wp_by_flag, copied));
/// `get_user_pages_fast()` takes writable entries alone and then falls back; there `should_force_cow_break()` makes
/// of each reference to a private page a write fault, whose page and writable entry remain. 5.4.y has it too, from
/// some release on.
pub(super) const DIRECT_FORCED_COPY: Basis =
    Basis::Source(read!(forced_copy, direct_gets_by_mapcount, wp_by_mapcount));
/// `should_force_cow_break()` makes of each reading pin of a private page a write fault, whose page and writable
/// entry remain. 5.4.y has it too, from some release on.
pub(super) const FORCED_COPY: Basis =
    Basis::Source(read!(forced_copy, read_by_pid_then, wp_by_mapcount));
/// The page is marked exclusive, or its entry is writable: a pin for reading takes it as it is.
pub(super) const PIN_IS_READ_ONLY: Basis =
    Basis::Source(read!(read_by_pid, write_needs_writable_pte, unshared));
/// A pin for reading takes any present page: `FAULT_FLAG_UNSHARE` is not in 5.17, and is in 5.19.
pub(super) const NOTHING_UNSHARED: Basis = Basis::Source(read!(not_unshared));
/// process_vm_readv pins for reading (`FOLL_PIN` without `FOLL_WRITE`). `gup_must_unshare()` asks for a page that is
/// marked exclusive: `do_wp_page()` copies what somebody else has or holds, and marks what nobody else has.
pub(super) const UNSHARED: Basis =
    Basis::Source(read!(read_by_pid_later, unshared, wp_by_flag, copied));
/// The strategy kernel's pin that unshares, where there is no exclusive flag, copies what others map too and leaves the copy
/// read-only; all else it takes as it is, and a store to it is decided by the rule alone.
pub(super) const UNSHARED_IF_MAPPED: Basis =
    Basis::Source(read!(read_by_pid, patched_pin, switched_refcount));
/// `do_wp_page()` asks the same rule for an unshare as for a store: by mapcount a reference does not matter.
pub(super) const UNSHARED_BY_MAPCOUNT: Basis = Basis::Source(read!(unshared, switched_mapcount));
/// `do_wp_page()` asks the same rule for an unshare as for a store: what is not marked exclusive is copied.
pub(super) const UNSHARED_NEVER: Basis = Basis::Source(read!(unshared, switched_never));
/// The pin left the page marked exclusive and its entry read-only: `do_wp_page()` reuses it with no further test.
pub(super) const UNSHARED_THEN_STORED: Basis = Basis::Source(read!(unshared, wp_by_flag, copied));
/// `gup_must_unshare()` wants nothing of pages that are not anonymous, unless they are pinned for long.
pub(super) const ZERO_PAGE_NOT_UNSHARED: Basis = Basis::Source(read!(not_unshared, unshared));
/// Of a private mapping mprotect leaves entries read-only; the store's fault reuses.
pub(super) const MPROTECT_LEAVES: Basis = Basis::Source(read!(
    mprotect_leaves,
    wp_by_mapcount,
    wp_by_refcount,
    wp_5_19
));
/// `can_change_pte_writable()` gives the write bit back to what is anonymous and marked exclusive, and to nothing
/// else of a private mapping.
pub(super) const MPROTECT_RESTORES: Basis = Basis::Source(read!(mprotect_restores));
/// Of a private mapping mprotect leaves entries read-only, from 6.0 on those of pages that are not marked exclusive:
/// nobody else has the page, so the store's fault reuses.
pub(super) const MPROTECT_LEAVES_SHARED: Basis = Basis::Source(read!(
    mprotect_leaves,
    mprotect_restores,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// Of a private mapping mprotect leaves entries read-only, from 6.0 on those of pages that are not marked exclusive:
/// the child has the page too, so the store's fault copies.
pub(super) const MPROTECT_THEN_COPIED: Basis = Basis::Source(read!(
    mprotect_leaves,
    mprotect_restores,
    fork_before_pins,
    fork_by_refcount,
    fork_clears_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// `do_wp_page()` marks what it reuses exclusive before it maps it writable, so that `can_change_pte_writable()`
/// gives the write bit back.
pub(super) const MPROTECT_AFTER_REUSE: Basis = Basis::Source(read!(wp_by_flag, mprotect_restores));
/// Lifting userfaultfd's protection clears its bit and leaves the entry read-only; the store's fault reuses.
pub(super) const UNPROTECT_LEAVES: Basis =
    Basis::Source(read!(unprotect_leaves, wp_5_8, wp_by_refcount, wp_6_1));
/// Lifting userfaultfd's protection asks `can_change_pte_writable()` for the write bit, which what is marked
/// exclusive gets back: not yet in 6.2.1, and in 6.3.8.
pub(super) const UNPROTECT_RESTORES: Basis =
    Basis::Source(read!(unprotect_restores, mprotect_restores));
/// Lifting userfaultfd's protection leaves an entry read-only, from 6.3 on that of a page that is not marked
/// exclusive: nobody else has the page, so the store's fault reuses.
pub(super) const UNPROTECT_LEAVES_SHARED: Basis = Basis::Source(read!(
    unprotect_leaves,
    unprotect_restores,
    mprotect_restores,
    wp_5_8,
    wp_by_refcount,
    wp_by_flag
));
/// A page of the page cache is not anonymous: of a private mapping it is copied.
pub(super) const PAGE_CACHE: Basis =
    Basis::Source(read!(wp_by_mapcount, wp_by_refcount, wp_by_flag, copied));
/// The first store maps a copy as a new anonymous page; the child has gone, so it is reused as any.
pub(super) const COPY_OF_FILE: Basis =
    Basis::Source(read!(cow_fault, wp_by_mapcount, wp_by_refcount, wp_by_flag));
/// The first store maps a copy as a new anonymous page, which fork then shares as any.
pub(super) const COPY_OF_FILE_SHARED: Basis = Basis::Source(read!(
    cow_fault,
    fork_before_pins,
    fork_by_refcount,
    fork_clears_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// Fork leaves a `VM_DONTCOPY` mapping out and copies no entries of a `VM_WIPEONFORK` one: the parent's entries stay
/// writable.
pub(super) const NOT_FORKED: Basis = Basis::Source(read!(duplicated));
/// The child's range begins empty, so its read maps the zero page, and its store copies that.
pub(super) const WIPED: Basis = Basis::Source(read!(
    duplicated,
    read_zero_page,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag,
    copied
));
/// `CLONE_VM` takes the parent's address space as it is: no entry is made read-only.
pub(super) const ONE_ADDRESS_SPACE: Basis = Basis::Source(read!(shared_mm));
/// MADV_FREE makes entries clean and old and takes no write permission away.
pub(super) const LAZILY_FREED: Basis = Basis::Source(read!(lazily_freed));
/// MADV_FREE keeps the page mapped; this CPU's batch of such pages, which holds references, is pushed out by others
/// before the child is forked. Then as any last user.
pub(super) const LAZILY_FREED_LAST_USER: Basis = Basis::Source(read!(
    lazily_freed,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// MADV_FREE keeps the page mapped, and fork shares it as any.
pub(super) const LAZILY_FREED_SHARED: Basis = Basis::Source(read!(
    lazily_freed,
    fork_before_pins,
    fork_by_refcount,
    fork_clears_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// A read maps what was swapped out read-only; the store's fault finds one mapping and no other swap entry, and
/// reuses.
pub(super) const SWAP_READ_BY_MAPCOUNT: Basis =
    Basis::Source(read!(swap_in_read_only, wp_by_mapcount));
/// A read maps what was swapped out read-only; a kernel that was switched to mapcount asks `reuse_swap_page()`, as
/// those up to 5.8.
pub(super) const SWAP_READ_SWITCHED_TO_MAPCOUNT: Basis =
    Basis::Source(read!(swap_in_by_refcount, switched_mapcount));
/// A kernel that was switched to refcount forgets that the page was exclusive: a read maps it writable only where it
/// never was in the swap cache; else the store frees the cache and reuses.
pub(super) const SWAP_READ_BY_SWITCHED_REFCOUNT: Basis = Basis::Source(read!(switched_swap));
/// The swap entry remembers that the page was exclusive, and a read maps it so, but read-only: the store's fault
/// reuses. So in 6.1, and still in 6.5.
pub(super) const SWAP_READ_ONLY: Basis = Basis::Source(read!(swap_in_flag_read_only, wp_6_1));
/// The swap entry remembers that the page was exclusive, and even a read maps it writable at once, unless it is still
/// being written to a device that wants stable pages.
pub(super) const SWAP_WRITABLE: Basis = Basis::Source(read!(swap_in_flag_writable));
/// Fork takes the exclusive mark from the swap entry, so that reads map the page read-only. Both have read: no swap
/// entry is left, `do_wp_page()` frees the swap cache, and one reference remains.
pub(super) const SWAP_LAST_READER: Basis = Basis::Source(read!(
    swap_in_by_flag,
    wp_by_flag,
    swap_in_read_only,
    wp_by_mapcount
));
/// Both map the page that was read back, read-only: two mappings, two references, copied under every rule.
pub(super) const SWAP_READ_SHARED: Basis = Basis::Source(read!(
    swap_in_read_only,
    swap_in_by_refcount,
    swap_in_by_flag,
    wp_by_mapcount,
    wp_by_refcount,
    wp_by_flag
));
/// A KSM page is never reused while somebody else maps it: up to 5.8 because of its references, later because it is a
/// KSM page.
pub(super) const KSM_SHARED: Basis = Basis::Source(read!(
    wp_by_mapcount,
    ksm_reused,
    wp_by_refcount,
    wp_by_flag
));
/// Up to 5.8 `reuse_ksm_page()` reuses a KSM page with one reference; an LRU batch may hold another. A switched
/// kernel copies.
pub(super) const KSM_REUSED: Basis =
    Basis::Source(read!(wp_by_mapcount, ksm_reused, switched_mapcount));
/// From 5.9 on a KSM page is never reused, however few map it.
pub(super) const KSM_COPIED: Basis = Basis::Source(read!(wp_by_refcount, wp_by_flag));
