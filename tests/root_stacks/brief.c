/* Works for 20 ms of its own CPU time and ends. */
#include <time.h>

#define ALONE __attribute__((noinline, noclone, noipa))

static volatile unsigned long sink;

ALONE static unsigned long own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

ALONE static void brief_leaf(void)
{
	for (int i = 0; i < 20000; i++)
		sink += i;
}

ALONE static void brief_work(void)
{
	while (own_ns() < 20000000)
		brief_leaf();
	sink++;
}

int main(void)
{
	brief_work();
	return sink == 1;
}
