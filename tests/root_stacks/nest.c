/* Twenty calls inside each other, then three parts of work in one leaf and one in another. Works
 * for as many seconds of its own CPU time as it is told, and says what each leaf took. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ALONE __attribute__((noinline, noclone, noipa))

static volatile unsigned long sink;
static unsigned long heavy_ns, light_ns;

static unsigned long own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

ALONE void leaf_heavy(unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++)
		sink += i * i;
}

ALONE void leaf_light(unsigned long rounds)
{
	for (unsigned long i = 0; i < rounds; i++)
		sink += i * i;
}

ALONE void f20(unsigned long rounds)
{
	unsigned long a = own_ns(), b;

	leaf_heavy(3 * rounds);
	b = own_ns();
	leaf_light(rounds);
	heavy_ns += b - a;
	light_ns += own_ns() - b;
}

#define PASS(name, next)                                                                          \
	ALONE void name(unsigned long rounds)                                                     \
	{                                                                                         \
		next(rounds);                                                                     \
		sink++;                                                                           \
	}
PASS(f19, f20) PASS(f18, f19) PASS(f17, f18) PASS(f16, f17) PASS(f15, f16) PASS(f14, f15)
PASS(f13, f14) PASS(f12, f13) PASS(f11, f12) PASS(f10, f11) PASS(f09, f10) PASS(f08, f09)
PASS(f07, f08) PASS(f06, f07) PASS(f05, f06) PASS(f04, f05) PASS(f03, f04) PASS(f02, f03)
PASS(f01, f02)

int main(void)
{
	double seconds;

	puts("ready");
	fflush(stdout);
	while (scanf("%lf", &seconds) == 1) {
		unsigned long start = own_ns();

		heavy_ns = light_ns = 0;
		while (own_ns() - start < seconds * 1e9)
			f01(8000000);
		printf("%lu %lu %lu\n", heavy_ns, light_ns, own_ns() - start);
		fflush(stdout);
	}
	return 0;
}
