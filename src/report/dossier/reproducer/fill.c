/* Stores to every cache line. */
static inline void fill(uint64_t tag)
{
	for (size_t at = 0; at < LENGTH; at += LINE)
		*(volatile uint64_t *)(area + at) = tag + at;
}

