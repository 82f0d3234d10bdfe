/* Has the kernel pin the page for reading. */
static void read_pinned(char *page)
{
	uint64_t word;
	struct iovec here = { &word, 8 }, there = { page, 8 };

	if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != 8)
		die("process_vm_readv");
}

