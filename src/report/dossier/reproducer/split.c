/* Neighbours differ in whether a core dump has them, so that each page is a VMA of its own. */
static void split_vma(void)
{
	for (size_t n = 1; n < UNITS; n += 2)
		if (madvise(area + n * STRIDE, STRIDE, MADV_DONTDUMP))
			die("madvise(MADV_DONTDUMP)");
}

