#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Trials of a process, and processes: each with other mappings beside the area. */
#ifndef TRIALS
#define TRIALS 6
#endif
#ifndef RUNS
#define RUNS 15
#endif

#define PAGE 4096ul
#define LENGTH (UNITS * STRIDE)
#define LINE 64
#define STACK 8192

static char *area, *reserved, *scratch;
static volatile uint64_t *stamps;

/* Pages that have another frame after their store, and those of which that may not be seen. */
struct seen {
	uint64_t moved, hidden;
};

static void die(const char *what)
{
	perror(what);
	_exit(2);
}

static void *map(size_t length, int flags)
{
	void *at = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

#if defined(__x86_64__)
static inline uint64_t now(void)
{
	uint64_t low, high;

	__asm__ volatile("rdtscp\n\tlfence" : "=a"(low), "=d"(high) : : "rcx", "memory");
	return high << 32 | low;
}
#elif defined(__aarch64__)
static inline uint64_t now(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}
#else
static inline uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_RAW, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}
#endif

static double raw_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC_RAW, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Nanoseconds between two ticks of now(). */
static double tick_ns(void)
{
	double begun = raw_ns(), ended;
	uint64_t first = now();

	do
		ended = raw_ns();
	while (ended - begun < 2e8);
	return (ended - begun) / (now() - first);
}

/* Has the stack below the caller written to, so that a store's own frames do not fault. */
static __attribute__((noinline)) void touch_stack(void)
{
	volatile char bytes[STACK];

	for (int at = 0; at < STACK; at += 1024)
		bytes[at] = 1;
	(void)bytes[0];
}

static inline void touch(void)
{
	touch_stack();
	for (size_t at = 0; at <= UNITS; at += PAGE / 8)
		stamps[at] = 0;
}

