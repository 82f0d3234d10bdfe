static int by_size(const void *a, const void *b)
{
	double one = *(const double *)a, other = *(const double *)b;

	return (one > other) - (one < other);
}

/* A process: mappings beside the area, memory that the host has backed, a trial to warm up, and the trials that count. */
static void run(int number, double *samples, struct seen *seen)
{
	size_t ballast = 3 * LENGTH;
	char *touched;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int n = 0; n < number % 8 * 3; n++)
		if (mmap(NULL, PAGE, n % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			die("mmap");
	touched = map(ballast, MAP_PRIVATE);
	madvise(touched, ballast, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < ballast; at += PAGE)
		touched[at] = 1;
	munmap(touched, ballast);
	stamps = map((UNITS + 1) * 8, MAP_SHARED);
	scratch = map(PAGE, MAP_PRIVATE);
	trial(0, samples, seen);
	*seen = (struct seen){ 0 };
	for (int n = 0; n < TRIALS; n++)
		trial(n + 1, samples + n * SAMPLES, seen);
	_exit(0);
}

int main(int argc, char **argv)
{
	size_t count = (size_t)RUNS * TRIALS * SAMPLES;
	double *samples = map(count * sizeof(double), MAP_SHARED), tick = tick_ns(), sum = 0;
	struct seen *seen = map(RUNS * sizeof(struct seen), MAP_SHARED), all = { 0 };
	cpu_set_t cpus;
	int cpu = 0, status;

	if (sysconf(_SC_PAGESIZE) != PAGE) {
		fprintf(stderr, "this file is for pages of %lu bytes\n", PAGE);
		return 2;
	}
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		die("sched_getaffinity");
	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &cpus))
		cpu++;
	if (argc > 1)
		cpu = atoi(argv[1]);
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
	for (int n = 0; n < RUNS; n++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			run(n, samples + (size_t)n * TRIALS * SAMPLES, seen + n);
		if (waitpid(pid, &status, 0) != pid || status)
			return 2;
		all.moved += seen[n].moved;
		all.hidden += seen[n].hidden;
	}
	for (size_t n = 0; n < count; n++) {
		samples[n] *= tick;
		sum += samples[n];
	}
	qsort(samples, count, sizeof(double), by_size);
	printf("%s: median %.1f ns, p99 %.1f ns, mean %.1f ns of %zu %s on CPU %d\n", NAME, samples[count / 2],
	       samples[count - 1 - count / 100], sum / count, count, WHAT, cpu);
