/* Forks a child that exits at once; the ticks that fork took. */
static uint64_t fork_once(void)
{
	uint64_t start = now(), took;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	took = now() - start;
	if (pid < 0)
		die("fork");
	waitpid(pid, NULL, 0);
	return took;
}

