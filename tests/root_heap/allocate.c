/*
 * Allocates in known places what it is told to, and says when it is done. Each place is a function
 * of its own; each keeps its hands off what others allocate.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone))
#define THREADS 4

/* So that nothing is optimised away. */
static void *volatile sink;
static void *kept[1 << 20];
static size_t kept_len;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t size_of(size_t i)
{
	/* 16 to 120 KB, so that a gigabyte is not too many and no mapping of its own. */
	return 16384 + i * 7919 % 106496;
}

static void keep(void *p)
{
	pthread_mutex_lock(&lock);
	kept[kept_len++] = p;
	pthread_mutex_unlock(&lock);
}

SITE static void leaks(size_t size)
{
	sink = malloc(size);
}

SITE static void frees_late(size_t size)
{
	void *p = malloc(size);

	sink = p;
	keep(p);
}

SITE static void balances(size_t size)
{
	void *p = malloc(size);

	sink = p;
	free(p);
}

struct work {
	size_t leaks, late, fair, scale;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct work *w = arg;
	size_t i;

	for (i = 0; i < w->leaks; i++)
		leaks(size_of(i) / w->scale);
	for (i = 0; i < w->late; i++)
		frees_late(size_of(i) / w->scale);
	for (i = 0; i < w->fair; i++)
		balances(size_of(i) / w->scale);
	return 0;
}

static size_t bytes(size_t count, size_t scale)
{
	size_t i, sum = 0;

	for (i = 0; i < count; i++)
		sum += size_of(i) / scale;
	return sum * THREADS;
}

/* So many of each kind in each of the threads; says how many bytes these were. */
static void share(size_t leaks, size_t late, size_t fair, size_t scale)
{
	struct work all[THREADS];
	int i;

	for (i = 0; i < THREADS; i++) {
		all[i] = (struct work){ leaks, late, fair, scale };
		pthread_create(&all[i].thread, 0, work, &all[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(all[i].thread, 0);
	printf("%zu %zu %zu\n", bytes(leaks, scale), bytes(late, scale), bytes(fair, scale));
}

SITE static void release(void)
{
	while (kept_len)
		free(kept[--kept_len]);
}

SITE static void callocs(void)
{
	volatile size_t huge = SIZE_MAX / 2;

	sink = calloc(10, 30);
	if (calloc(huge, 4))
		abort();
}

SITE static void reallocs(void)
{
	void *p = realloc(0, 100), *q;
	volatile size_t huge = PTRDIFF_MAX;

	p = realloc(p, 200);
	/* A mapping of its own, larger elsewhere, and back. */
	p = realloc(p, 1 << 20);
	p = realloc(p, 8 << 20);
	p = realloc(p, 1000);
	/* In place, in the end. */
	q = realloc(p, 1001);
	/* What cannot be had leaves what is. */
	if (realloc(q, huge))
		abort();
	sink = q;
}

SITE static void vanishes(void)
{
	void *p = malloc(333);

	sink = p;
	sink = realloc(p, 0);
}

SITE static void arrays(void)
{
	sink = reallocarray(0, 7, 11);
}

SITE static void posix(void)
{
	void *p = 0, *q = &p;

	if (posix_memalign(&p, 64, 500))
		abort();
	sink = p;
	if (posix_memalign(&q, 3, 700) != EINVAL)
		abort();
	/* Small alignments go another way. */
	if (posix_memalign(&p, 8, 60))
		abort();
	sink = p;
}

SITE static void aligned(void)
{
	sink = aligned_alloc(64, 640);
	sink = memalign(4096, 50);
	sink = memalign(8, 70);
	sink = valloc(80);
}

SITE static void fails(void)
{
	volatile size_t huge = PTRDIFF_MAX;

	if (malloc(huge))
		abort();
	free(0);
}

SITE static void forks(void)
{
	if (fork() == 0) {
		sink = malloc(12345);
		_exit(0);
	}
	sink = malloc(77);
}

SITE static void deeper(int n)
{
	if (n)
		deeper(n - 1);
	else
		sink = malloc(24);
	sink = &n;
}

/* Memory that is touched, page by page. */
SITE static void grows(size_t mb)
{
	char *p = mmap(0, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	for (i = 0; i < mb << 20; i += 4096)
		((volatile char *)p)[i] = 1;
}

/* One huge page after the other, where there are any. */
SITE static void grows_hugely(size_t mb)
{
	size_t huge = 2 << 20, i;
	char *p = mmap(0, (mb << 20) + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	p = (char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
	madvise(p, mb << 20, MADV_HUGEPAGE);
	for (i = 0; i < mb << 20; i += 4096)
		((volatile char *)p)[i] = 1;
}

static void *(*loaded)(size_t);

SITE static void loads(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	if (library)
		loaded = (void *(*)(size_t))dlsym(library, "mallocx");
}

SITE static void calls_loaded(void)
{
	void *(*mallocx)(size_t, int) = (void *(*)(size_t, int))loaded;

	sink = mallocx(5000, 0);
}

static size_t resident(void)
{
	size_t all = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%zu %zu", &all, &pages) != 2)
		abort();
	fclose(f);
	return pages * 4096;
}

int main(void)
{
	static char line[4096], path[4096];
	size_t a, b, c, d;

	/* What the library itself needs is there before it is watched. */
	setvbuf(stdout, malloc(65536), _IOLBF, 65536);
	setvbuf(stdin, malloc(65536), _IOLBF, 65536);
	resident();
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "share %zu %zu %zu %zu", &a, &b, &c, &d) == 4) {
			share(a, b, c, d);
			continue;
		}
		if (sscanf(line, "grow %zu", &a) == 1 || sscanf(line, "hugely %zu", &a) == 1) {
			b = resident();
			if (line[0] == 'g')
				grows(a);
			else
				grows_hugely(a);
			printf("%zu\n", resident() - b);
			continue;
		}
		if (sscanf(line, "load %4000s", path) == 1)
			loads(path);
		else if (sscanf(line, "exec %4000s", path) == 1)
			execl(path, path, "5", (char *)0);
		else if (!strcmp(line, "release\n"))
			release();
		else if (!strcmp(line, "call\n"))
			calls_loaded();
		else if (!strcmp(line, "stacks\n"))
			for (a = 0; a < 2000; a++)
				deeper(a % 40);
		else if (!strcmp(line, "kinds\n")) {
			callocs();
			reallocs();
			vanishes();
			arrays();
			posix();
			aligned();
			fails();
			forks();
		}
		puts("done");
	}
	return 0;
}
