/* A program on librdkafka that sends messages and consumes each one: `program ROLE MESSAGES BYTES PARTITIONS PLUGIN HEADER`.
 *
 *   ROLE     both     a producer and a consumer, each on a thread of its own
 *            produce  the one of two processes that sends; each byte of its stdin stands for a chunk that was consumed
 *            consume  the other one, which writes that byte to its stdout
 *   PLUGIN   what `plugin.library.paths` is set to; `-` for nothing
 *   HEADER   1: it sets a traceparent on what it sends and reads it off what it consumes; 0: it does not
 *
 * RATE is how many it tries to send a second, if it is set, a tenth of a second's at once. KAFKA and TOPIC say where, FIGURES names the file for what it measured: a line `seconds S` of the loop, and for each thread that
 * lives at its end a line `thread NAME SECONDS` of processor time. It knows nothing of tracing. */
#define _GNU_SOURCE
#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(that) ((that) ? (void)0 : fail(#that, __LINE__))

static int messages, bytes, partitions, chunk, rate, is_alone, sets_header;
static const char *plugin, *topic;
/* Chunks that were consumed. */
static int consumed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
/* What is made of the headers that were read, so that reading them is not optimised away. */
static volatile uint64_t seen;
/* All threads come here when their loops are over, and again when it is written what they used. */
static pthread_barrier_t over;

static void fail(const char *that, int line) {
    fprintf(stderr, "program.c:%d: %s is not so\n", line, that);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static rd_kafka_conf_t *configuration(const char *const *pairs) {
    char error[512];
    rd_kafka_conf_t *made = rd_kafka_conf_new();
    CHECK(!rd_kafka_conf_set(made, "bootstrap.servers", getenv("KAFKA"), error, sizeof error));
    for (; *pairs; pairs += 2) CHECK(!rd_kafka_conf_set(made, pairs[0], pairs[1], error, sizeof error));
    if (strcmp(plugin, "-") && rd_kafka_conf_set(made, "plugin.library.paths", plugin, error, sizeof error)) fail(error, __LINE__);
    return made;
}

/* A traceparent with ids as random as a tracer's. */
static void write_header(char text[56]) {
    static uint64_t state = 0x9E3779B97F4A7C15u;
    uint64_t part[3];
    for (int n = 0; n < 3; n++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        part[n] = state;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(text, "00-", 3);
    char *at = text + 3;
    for (int n = 0; n < 3; n++) {
        for (int shift = 60; shift >= 0; shift -= 4) *at++ = digits[part[n] >> shift & 15];
        if (n) *at++ = '-';
    }
    memcpy(at, "01", 3);
}

static void read_header(const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    CHECK(!rd_kafka_message_headers(message, &headers));
    CHECK(!rd_kafka_header_get_last(headers, "traceparent", &value, &size) && size == 55);
    uint64_t id = 0;
    for (const char *at = (const char *)value + 3; at < (const char *)value + 52; at++)
        if (*at != '-') id = id * 31 + (*at <= '9' ? *at - '0' : *at - 'a' + 10);
    seen ^= id;
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    CHECK(!message->err);
}

/* Waits until no more than one chunk is on its way: the cluster of librdkafka keeps 5 MiB of a partition. */
static void wait_for(int chunks) {
    char byte;
    for (; is_alone && consumed < chunks; consumed++) CHECK(read(0, &byte, 1) == 1);
    if (is_alone) return;
    pthread_mutex_lock(&lock);
    while (consumed < chunks) pthread_cond_wait(&more, &lock);
    pthread_mutex_unlock(&lock);
}

static void *produce(void *unused) {
    const char *const pairs[] = {"linger.ms", "5", "queue.buffering.max.messages", "1000000", NULL};
    char error[512], header[56], *payload = calloc(1, bytes);
    rd_kafka_conf_t *made = configuration(pairs);
    rd_kafka_conf_set_dr_msg_cb(made, delivered);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, made, error, sizeof error);
    CHECK(client && payload);
    double started = now();
    for (int n = 0; n < messages; n++) {
        if (n % chunk == 0) {
            double early = rate ? started + n / (double)rate - now() : 0;
            if (early > 0) usleep(early * 1e6);
            CHECK(!rd_kafka_flush(client, 60000));
            wait_for(n / chunk - 1);
        }
        rd_kafka_resp_err_t refused;
        if (sets_header) {
            write_header(header);
            refused = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(n % partitions),
                                        RD_KAFKA_V_VALUE(payload, bytes), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                        RD_KAFKA_V_HEADER("traceparent", header, 55), RD_KAFKA_V_END);
        } else {
            refused = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(n % partitions),
                                        RD_KAFKA_V_VALUE(payload, bytes), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        }
        CHECK(!refused);
        if (n % 100 == 0) rd_kafka_poll(client, 0);
    }
    CHECK(!rd_kafka_flush(client, 60000));
    /* Until all is consumed, so that the two processes live equally long. */
    wait_for((messages + chunk - 1) / chunk);
    pthread_barrier_wait(&over);
    pthread_barrier_wait(&over);
    rd_kafka_destroy(client);
    free(payload);
    return unused;
}

static void *consume(void *unused) {
    const char *const pairs[] = {"group.id", "bench", "enable.auto.commit", "false", "fetch.wait.max.ms", "10", NULL};
    char error[512];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, configuration(pairs), error, sizeof error);
    CHECK(client && !rd_kafka_poll_set_consumer(client));
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(partitions);
    for (int n = 0; n < partitions; n++) rd_kafka_topic_partition_list_add(all, topic, n)->offset = RD_KAFKA_OFFSET_BEGINNING;
    CHECK(!rd_kafka_assign(client, all));
    rd_kafka_topic_partition_list_destroy(all);
    for (int n = 1; n <= messages; n++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 60000);
        CHECK(message && !message->err);
        if (sets_header) read_header(message);
        rd_kafka_message_destroy(message);
        if (n % chunk && n != messages) continue;
        if (is_alone) CHECK(write(1, "+", 1) == 1);
        pthread_mutex_lock(&lock);
        consumed++;
        pthread_cond_signal(&more);
        pthread_mutex_unlock(&lock);
    }
    pthread_barrier_wait(&over);
    pthread_barrier_wait(&over);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return unused;
}

/* What each thread that lives has used. `schedstat` counts nanoseconds, and `getrusage()` only knows the whole. */
static void write_threads(FILE *figures) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], name[64] = "";
        unsigned long long used = 0;
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = 0;
        if (file) fclose(file);
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
        file = fopen(path, "r");
        if (file && fscanf(file, "%llu", &used) == 1) fprintf(figures, "thread %s %f\n", name, used / 1e9);
        if (file) fclose(file);
    }
    closedir(tasks);
}

int main(int count, char **arguments) {
    CHECK(count == 7 && getenv("KAFKA") && getenv("TOPIC") && getenv("FIGURES"));
    const char *role = arguments[1];
    messages = atoi(arguments[2]), bytes = atoi(arguments[3]), partitions = atoi(arguments[4]);
    topic = getenv("TOPIC"), plugin = arguments[5], sets_header = arguments[6][0] == '1';
    CHECK(messages > 0 && bytes > 0 && partitions > 0);
    /* Two chunks fit into the cluster, with what a message takes there beside its payload; a producer's queue holds 1 GiB. */
    chunk = partitions * (2 << 20) / (bytes + 200);
    if (chunk > 50000) chunk = 50000;
    rate = getenv("RATE") ? atoi(getenv("RATE")) : 0;
    if (rate && rate / 10 < chunk) chunk = rate / 10;
    CHECK(chunk > 0);
    is_alone = strcmp(role, "both") != 0;
    pthread_t producer, consumer;
    int produces = strcmp(role, "consume") != 0, consumes = strcmp(role, "produce") != 0;
    CHECK(!pthread_barrier_init(&over, NULL, 1 + produces + consumes));
    double started = now();
    if (produces) CHECK(!pthread_create(&producer, NULL, produce, NULL)), pthread_setname_np(producer, "produces");
    if (consumes) CHECK(!pthread_create(&consumer, NULL, consume, NULL)), pthread_setname_np(consumer, "consumes");
    pthread_barrier_wait(&over);
    /* Two processes write what they used into one file. */
    FILE *figures = fopen(getenv("FIGURES"), "a");
    CHECK(figures);
    fprintf(figures, "seconds %f\n", now() - started);
    write_threads(figures);
    CHECK(!fclose(figures));
    pthread_barrier_wait(&over);
    if (produces) CHECK(!pthread_join(producer, NULL));
    if (consumes) CHECK(!pthread_join(consumer, NULL));
    return 0;
}
