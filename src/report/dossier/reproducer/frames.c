/* The frame of each page that is stored to; 0 where this may not be seen, which needs CAP_SYS_ADMIN. */
static void frames(pid_t pid, uint64_t *found)
{
	char name[64];
	int file;

	snprintf(name, sizeof(name), "/proc/%d/pagemap", pid);
	file = open(name, O_RDONLY);
	if (file < 0)
		die(name);
	for (size_t n = 0; n < UNITS; n++) {
		uint64_t entry, page = ((uintptr_t)area + n * STRIDE) / PAGE;

		if (pread(file, &entry, 8, page * 8) != 8)
			die(name);
		found[n] = entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
	}
	close(file);
}

