/* What stays in this CPU's batch on the way to the LRU lists has a reference more: push it out. */
static inline void drain(void)
{
	char *ballast = map(64 * PAGE, MAP_PRIVATE);

	madvise(ballast, 64 * PAGE, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < 64 * PAGE; at += PAGE)
		ballast[at] = 1;
	munmap(ballast, 64 * PAGE);
}

