/*
 * Load for trace tests: on each of the first CPUs, two threads that wake each other through pipes (scheduler events) and fill the
 * rest of the wanted rate with raw markers, several to a page: the cheapest bytes that an emulated guest can trace.
 *
 *   trace-load CPUS SECONDS BYTES_PER_SECOND_AND_CPU TRACE_MARKER_RAW
 *
 * At the end it prints, per CPU, the switches it caused and the markers it wrote.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MARKER_BYTES 1000
#define SWITCHES_PER_ROUND 8
#define BYTES_PER_SWITCH 64

struct cpu_load {
    int cpu;
    int ping[2], pong[2];
    pthread_t driver, echo;
    long switches, markers;
};

static double seconds;
static long rate;
static const char *marker_file;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static void *echo_thread(void *argument)
{
    struct cpu_load *load = argument;
    char byte;
    pin(load->cpu);
    while (read(load->ping[0], &byte, 1) == 1)
        if (write(load->pong[1], &byte, 1) != 1)
            break;
    return NULL;
}

static void *driver_thread(void *argument)
{
    struct cpu_load *load = argument;
    char byte = 0, text[MARKER_BYTES];
    memset(text, 'm', sizeof text);
    pin(load->cpu);
    int marker = open(marker_file, O_WRONLY);
    if (marker < 0) {
        perror(marker_file);
        exit(1);
    }
    double start = now(), elapsed;
    while ((elapsed = now() - start) < seconds) {
        double produced = (double)load->switches * BYTES_PER_SWITCH + (double)load->markers * (MARKER_BYTES + 32);
        if (produced > elapsed * rate) {
            usleep(5000);
            continue;
        }
        for (int i = 0; i < SWITCHES_PER_ROUND; i += 2) {
            if (write(load->ping[1], &byte, 1) != 1 || read(load->pong[0], &byte, 1) != 1)
                exit(1);
            load->switches += 2;
        }
        for (int i = 0; i < 8; i++)
            if (write(marker, text, sizeof text) == (ssize_t)sizeof text)
                load->markers++;
    }
    close(load->ping[1]);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: trace-load CPUS SECONDS BYTES_PER_SECOND_AND_CPU MARKER_FILE\n");
        return 2;
    }
    int cpus = atoi(argv[1]);
    seconds = atof(argv[2]);
    rate = atol(argv[3]);
    marker_file = argv[4];
    struct cpu_load *loads = calloc(cpus, sizeof *loads);
    for (int i = 0; i < cpus; i++) {
        struct cpu_load *load = &loads[i];
        load->cpu = i;
        if (pipe(load->ping) || pipe(load->pong)
            || pthread_create(&load->echo, NULL, echo_thread, load) || pthread_create(&load->driver, NULL, driver_thread, load)) {
            perror("trace-load");
            return 1;
        }
    }
    for (int i = 0; i < cpus; i++) {
        pthread_join(loads[i].driver, NULL);
        pthread_join(loads[i].echo, NULL);
        printf("cpu%d %ld switches %ld markers\n", i, loads[i].switches, loads[i].markers);
    }
    return 0;
}
