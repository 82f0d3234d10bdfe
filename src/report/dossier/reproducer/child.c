/* A process that shares the area and does what it is told: r reads, s stores, t makes the timed stores. */
struct child {
	pid_t pid;
	int to, from;
};

static inline void read_area(void)
{
	for (size_t n = 0; n < UNITS; n++)
		(void)*(volatile uint64_t *)(area + n * STRIDE);
}

static inline void store_area(uint64_t word)
{
	for (size_t n = 0; n < UNITS; n++)
		*(volatile uint64_t *)(area + n * STRIDE) = word + n;
}

static struct child start(void)
{
	int to[2], from[2];
	char order;
	pid_t pid;

	if (pipe(to) || pipe(from))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		close(to[0]);
		close(from[1]);
		return (struct child){ pid, to[1], from[0] };
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(to[1]);
	close(from[0]);
	while (read(to[0], &order, 1) == 1) {
		if (order == 'r')
			read_area();
		else if (order == 's')
			store_area(1ull << 40);
		else
			@timed@
		if (write(from[1], &order, 1) != 1)
			break;
	}
	_exit(0);
}

static inline void tell(struct child *child, char order)
{
	if (write(child->to, &order, 1) != 1 || read(child->from, &order, 1) != 1)
		die("the child");
}

static inline void end(struct child *child)
{
	if (!child->pid)
		return;
	close(child->to);
	close(child->from);
	/* Another child may have the pipe open, too. */
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

