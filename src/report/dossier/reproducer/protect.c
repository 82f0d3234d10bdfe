#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

static int uffd = -1;

/* Userfaultfd's asynchronous write-protection, which nobody has to lift; 0 where the kernel has none (before 6.7). */
static inline int by_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED };
	struct uffdio_register all = {
		.range = { (uintptr_t)area, LENGTH },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect on = {
		.range = { (uintptr_t)area, LENGTH },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	return uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &all) &&
	       !ioctl(uffd, UFFDIO_WRITEPROTECT, &on);
}

/* Clears the soft-dirty bits, which write-protects all of this process's pages. */
static inline void soft_dirty(void)
{
	int file = open("/proc/self/clear_refs", O_WRONLY);

	if (file < 0 || write(file, "4", 1) != 1)
		die("/proc/self/clear_refs");
	close(file);
	/* What is stored to besides the area is not to fault. */
	touch();
}

