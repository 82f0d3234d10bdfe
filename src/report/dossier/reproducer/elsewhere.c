/* Moves to another CPU, or back. */
static void elsewhere(int there)
{
	static cpu_set_t here;
	cpu_set_t others;
	int cpu = 0;

	if (there) {
		if (sched_getaffinity(0, sizeof(here), &here))
			die("sched_getaffinity");
		while (CPU_ISSET(cpu, &here))
			cpu++;
		CPU_ZERO(&others);
		CPU_SET(cpu, &others);
	} else {
		others = here;
	}
	if (sched_setaffinity(0, sizeof(others), &others))
		die("moving to another CPU");
}

