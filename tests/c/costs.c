/* What a program on librdkafka takes: `costs HOW COUNT`, then figures, a line each, in KiB and microseconds.
 *
 *   producers COUNT  so many in one process, a message each: its resident memory
 *   steady COUNT     one that sends so many, a batch each: the process's resident memory
 *   workers COUNT    so many forked processes, each with a producer and a message: the largest private memory of one
 *   prefork COUNT    the same, forked from a process with a producer of its own
 *   first            the processor time until the first client is there, from the start of the process
 *
 * It looks once the file in DONE is there: when what it sent has been exported. */
#define _GNU_SOURCE
#include "clients.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The sum of these fields of the memory map. */
static long memory(const char *first, const char *second) {
    char line[4096];
    long sum = 0, kib;
    FILE *map = fopen("/proc/self/smaps_rollup", "r");
    MUST(map);
    while (fgets(line, sizeof line, map))
        for (int n = 0; n < 2; n++) {
            const char *name = n ? second : first;
            if (name && !strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), ": %ld", &kib) == 1) sum += kib;
        }
    fclose(map);
    return sum;
}

/* In a build of the tests, to say where it is. */
static void show_map(void) {
    char line[4096];
    FILE *map = getenv("MAP") ? fopen("/proc/self/smaps", "r") : NULL;
    while (map && fgets(line, sizeof line, map)) fputs(line, stderr);
    if (map) fclose(map);
}

static void wait_until_done(void) {
    for (int n = 0; n < 6000 && access(getenv("DONE"), F_OK); n++) usleep(10000);
}

static void one_message(rd_kafka_t *by) {
    send_to(by, "orders", "order");
    flushed(by);
}

static long producers(int count) {
    rd_kafka_t **all = calloc(count, sizeof *all);
    for (int n = 0; n < count; n++) one_message(all[n] = producer());
    wait_until_done();
    show_map();
    long resident = memory("Rss", NULL);
    for (int n = 0; n < count; n++) rd_kafka_destroy(all[n]);
    free(all);
    return resident;
}

static long steady(int count) {
    rd_kafka_t *one = producer();
    for (int n = 0; n < count; n++) {
        one_message(one);
        usleep(150000);
    }
    wait_until_done();
    show_map();
    long resident = memory("Rss", NULL);
    rd_kafka_destroy(one);
    return resident;
}

static long workers(int count) {
    int says[2], stays[2];
    MUST(!pipe(says) && !pipe(stays));
    for (int n = 0; n < count; n++)
        if (!fork()) {
            close(stays[1]);
            rd_kafka_t *own = producer();
            one_message(own);
            wait_until_done();
            if (n == 0) show_map();
            long private = memory("Private_Dirty", "Private_Clean");
            MUST(write(says[1], &private, sizeof private) == sizeof private);
            /* Until all have looked: what the last of several shares with nobody any more is its own. */
            MUST(read(stays[0], &private, 1) == 0);
            rd_kafka_destroy(own);
            exit(0);
        }
    long private, largest = 0;
    for (int told = 0; told < count; told++) {
        MUST(read(says[0], &private, sizeof private) == sizeof private);
        if (private > largest) largest = private;
    }
    close(stays[1]);
    while (wait(NULL) > 0);
    return largest;
}

static long first(void) {
    struct rusage used;
    rd_kafka_t *made = producer();
    MUST(!getrusage(RUSAGE_SELF, &used));
    rd_kafka_destroy(made);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

int main(int argc, char **argv) {
    MUST(argc > 1);
    int count = argc > 2 ? atoi(argv[2]) : 1;
    if (!strcmp(argv[1], "producers")) printf("%ld\n", producers(count));
    if (!strcmp(argv[1], "steady")) printf("%ld\n", steady(count));
    if (!strcmp(argv[1], "workers")) printf("%ld\n", workers(count));
    if (!strcmp(argv[1], "prefork")) {
        rd_kafka_t *own = producer();
        one_message(own);
        printf("%ld\n", workers(count));
    }
    if (!strcmp(argv[1], "first")) printf("%ld\n", first());
    return 0;
}
