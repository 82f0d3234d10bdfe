//! The phases of a write fault, told by the functions that begin them.
//!
//! A function that is not named here belongs to the phase of its caller. Names are those of 5.10 to
//! 7.2; which of them a kernel has depends on what its compiler inlined, so phases are a guide for the
//! eye and functions are the evidence.

/// The phases in the order in which a fault goes through them.
pub const PHASES: [&str; 9] = [
    "exception entry",
    "VMA lookup and locks",
    "page-table walk",
    "decision",
    "allocation",
    "copy",
    "page-table update",
    "TLB flush",
    "exit",
];

/// The phase in which a fault begins.
pub const FIRST: usize = 0;

/// How functions of each phase begin; the longest that fits decides.
const NAMES: [(usize, &[&str]); 9] = [
    (
        0,
        &[
            "asm_exc_page_fault",
            "asm_fred",
            "error_entry",
            "sync_regs",
            "exc_page_fault",
            "irqentry_enter",
            "fixup_bad_iret",
        ],
    ),
    (
        1,
        &[
            "do_user_addr_fault",
            "do_kern_addr_fault",
            "find_vma",
            "vmacache_",
            "lock_vma_under_rcu",
            "lock_mm_and_find_vma",
            "mt_find",
            "mas_",
            "mtree_",
            "down_read",
            "up_read",
            "vma_start_read",
            "vma_end_read",
            "vma_refcount_put",
            "access_error",
        ],
    ),
    (
        2,
        &[
            "handle_mm_fault",
            "__handle_mm_fault",
            "handle_pte_fault",
            "__pte_offset_map",
            "pte_offset_map",
            "___pte_offset_map",
        ],
    ),
    (
        3,
        &[
            "do_wp_page",
            "wp_page_copy",
            "vm_normal_page",
            "reuse_swap_page",
            "wp_can_reuse",
            "wp_page_shared",
            "do_anonymous_page",
            "do_huge_pmd_wp_page",
            "hugetlb_wp",
            "do_cow_fault",
            "do_swap_page",
        ],
    ),
    (
        4,
        &[
            "alloc_page",
            "__alloc_pages",
            "__alloc_frozen_pages",
            "alloc_pages_vma",
            "vma_alloc_folio",
            "folio_prealloc",
            "get_page_from_freelist",
            "mem_cgroup_charge",
            "__mem_cgroup_charge",
            "__cgroup_throttle_swaprate",
            "__folio_throttle_swaprate",
            "__anon_vma_prepare",
            "__vmf_anon_prepare",
        ],
    ),
    (
        5,
        &[
            "copy_user_highpage",
            "copy_page",
            "copy_mc_",
            "__wp_page_copy_user",
            "cow_user_page",
        ],
    ),
    (
        6,
        &[
            "wp_page_reuse",
            "ptep_set_access_flags",
            "set_pte",
            "__set_pte",
            "page_add_new_anon_rmap",
            "folio_add_new_anon_rmap",
            "page_add_anon_rmap",
            "page_remove_rmap",
            "folio_remove_rmap",
            "page_move_anon_rmap",
            "lru_cache_add",
            "folio_add_lru",
            "put_page",
            "__put_page",
            "__folio_put",
            "free_swap_cache",
            "update_mmu_cache",
            "__mmu_notifier",
        ],
    ),
    (
        7,
        &[
            "ptep_clear_flush",
            "flush_tlb",
            "native_flush_tlb",
            "arch_tlbbatch",
            "tlb_",
        ],
    ),
    (
        8,
        &[
            "irqentry_exit",
            "exit_to_user_mode",
            "prepare_exit_to_usermode",
            "error_return",
            "common_interrupt_return",
            "swapgs_restore_regs",
            "restore_regs",
            "native_iret",
            "native_irq_return",
            "fpregs_assert_state",
            "switch_fpu_return",
        ],
    ),
];

/// The phase that a function begins, if it begins one.
pub fn of(function: &str) -> Option<usize> {
    let fits = NAMES.iter().flat_map(|(phase, starts)| {
        let fitting = starts.iter().filter(|start| function.starts_with(**start));
        fitting.map(move |start| (start.len(), *phase))
    });
    fits.max().map(|(_, phase)| phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_begins_the_phase_of_the_longest_name_that_fits() {
        let phase = |function| of(function).map(|phase| PHASES[phase]);
        assert_eq!(phase("__handle_mm_fault"), Some("page-table walk"));
        assert_eq!(phase("wp_page_copy"), Some("decision"));
        assert_eq!(phase("wp_page_reuse"), Some("page-table update"));
        assert_eq!(phase("folio_add_lru_vma"), Some("page-table update"));
        assert_eq!(phase("memcpy"), None);
    }
}
