/* Runs a program so many times, one after the other; or, told "fork", forks a child that works for
 * as long as it is told. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

__attribute__((noinline, noclone, noipa)) static void toil(double seconds)
{
	struct timespec t;

	do {
		for (int i = 0; i < 100000; i++)
			sink += i;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	} while (t.tv_sec + t.tv_nsec / 1e9 < seconds);
}

int main(int argc, char **argv)
{
	char what[16];
	double much;

	(void)argc;
	puts("ready");
	fflush(stdout);
	while (scanf("%15s %lf", what, &much) == 2) {
		int times = what[0] == 'f' ? 1 : (int)much;
		pid_t pid = 0;

		for (int i = 0; i < times; i++) {
			pid = fork();
			if (pid == 0) {
				if (what[0] == 'f') {
					toil(much);
					_exit(0);
				}
				execv(argv[1], argv + 1);
				_exit(1);
			}
			waitpid(pid, 0, 0);
		}
		printf("%d\n", pid);
		fflush(stdout);
	}
	return 0;
}
