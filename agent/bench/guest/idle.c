/* An idle VM as the scheduler sees it: threads named as QEMU names its own.
 * vCPUs wake up HERTZ times a second, as an idle Linux guest's timers do (NO_HZ
 * leaves 4-10 a second; the bench takes more), the others sleep for good. It
 * prints the vCPUs' thread ids and lives until its input ends. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *const others[] = {"call_rcu", "worker", "IO mon_iothread", "IO iothread1"};
static long period_ns;
static pthread_barrier_t named;

static void *other(void *name)
{
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&named);
	for (;;)
		pause();
	return NULL;
}

static void *vcpu(void *arg)
{
	char name[16];
	struct timespec ts = {period_ns / 1000000000, period_ns % 1000000000};

	snprintf(name, sizeof(name), "CPU %ld/KVM", (long)arg);
	prctl(PR_SET_NAME, name);
	printf("%ld\n", (long)syscall(SYS_gettid));
	pthread_barrier_wait(&named);
	for (;;)
		nanosleep(&ts, NULL);
	return NULL;
}

static void start(void *(*life)(void *), void *arg)
{
	pthread_attr_t small;
	pthread_t t;

	if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 64 << 10) ||
	    pthread_create(&t, &small, life, arg)) {
		fputs("idle: cannot start a thread\n", stderr);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	long vcpus = argc == 3 ? atol(argv[1]) : 0, hertz = argc == 3 ? atol(argv[2]) : 0;
	unsigned int n = sizeof(others) / sizeof(*others);
	char c;

	if (vcpus < 1 || vcpus > 64 || hertz < 1 || hertz > 1000) {
		fputs("usage: idle VCPUS HERTZ\n", stderr);
		return 64;
	}
	period_ns = 1000000000 / hertz;
	pthread_barrier_init(&named, NULL, vcpus + n + 1);
	for (long i = 0; i < vcpus; i++)
		start(vcpu, (void *)i);
	for (unsigned int i = 0; i < n; i++)
		start(other, (void *)others[i]);
	pthread_barrier_wait(&named);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
