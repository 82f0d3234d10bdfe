/* Pipes that hold a reference to each page. */
static int pipes[UNITS][2];
static int pipe_count;

static void into_pipes(void)
{
	size_t done = 0;

	while (done < UNITS) {
		int *ends = pipes[pipe_count++];
		size_t room;

		if (pipe(ends))
			die("pipe");
		/* Where a larger pipe is refused, there are more of them. */
		(void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
		room = fcntl(ends[1], F_GETPIPE_SZ) / PAGE;
		for (; room && done < UNITS; room--, done++) {
			struct iovec page = { area + done * STRIDE, PAGE };

			if (vmsplice(ends[1], &page, 1, 0) != (ssize_t)PAGE)
				die("vmsplice");
		}
	}
}

static void close_pipes(void)
{
	while (pipe_count) {
		pipe_count--;
		close(pipes[pipe_count][0]);
		close(pipes[pipe_count][1]);
	}
}

