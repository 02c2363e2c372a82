/* Ten functions that call each other in every order, four deep: ten thousand different stacks, each
 * of which takes a millisecond of CPU time. */
#include <stdio.h>
#include <time.h>

#define ALONE __attribute__((noinline, noclone, noipa))

static volatile unsigned long sink;

static unsigned long own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

ALONE void spin(void)
{
	unsigned long until = own_ns() + 1000000;

	while (own_ns() < until)
		for (int i = 0; i < 20000; i++)
			sink += i;
}

typedef void path(int left, unsigned digits);
static path p0, p1, p2, p3, p4, p5, p6, p7, p8, p9;
static path *const next[10] = { p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 };

#define PATH(name)                                                                                \
	ALONE static void name(int left, unsigned digits)                                         \
	{                                                                                         \
		if (left)                                                                         \
			next[digits % 10](left - 1, digits / 10);                                 \
		else                                                                              \
			spin();                                                                   \
		sink++;                                                                           \
	}
PATH(p0) PATH(p1) PATH(p2) PATH(p3) PATH(p4) PATH(p5) PATH(p6) PATH(p7) PATH(p8) PATH(p9)

int main(void)
{
	int rounds;

	puts("ready");
	fflush(stdout);
	while (scanf("%d", &rounds) == 1) {
		for (unsigned i = 0; i < 10000u * rounds; i++)
			next[i % 10](3, i / 10);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
