/* Stores once to each of so many pages; stamps[n] is taken before the store to page n. */
static __attribute__((noinline)) void stores(char *at, uint64_t pages, uint64_t word)
{
	volatile uint64_t *stamp = stamps;

	*stamp++ = now();
#if defined(__x86_64__)
	/* Where a loop lies decides how well its faults are predicted: here, within one cache line. */
	__asm__ volatile(".p2align 6\n"
			 "1:\tmov %[word], (%[at])\n\t"
			 "rdtscp\n\t"
			 "lfence\n\t"
			 "shl $32, %%rdx\n\t"
			 "or %%rdx, %%rax\n\t"
			 "mov %%rax, (%[stamp])\n\t"
			 "add $8, %[stamp]\n\t"
			 "add %[stride], %[at]\n\t"
			 "inc %[word]\n\t"
			 "dec %[pages]\n\t"
			 "jnz 1b"
			 : [at] "+&r"(at), [stamp] "+&r"(stamp), [word] "+&r"(word), [pages] "+&r"(pages)
			 : [stride] "r"(STRIDE)
			 : "rax", "rcx", "rdx", "memory", "cc");
#else
	for (; pages; pages--, at += STRIDE) {
		*(volatile uint64_t *)at = word++;
		*stamp++ = now();
	}
#endif
}

static void timed_stores(void)
{
	touch();
	stores(area, UNITS, 1ull << 41);
}

