/* Does what its standard input says, line by line, and answers each line with a line: the outcomes that a program sees. The clients are
   those of the cluster in KAFKA, with the plugin in PLUGIN when there is one; with HEADERS they tell what headers come. `client.rs` takes the same words. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS = 16, ERRORS = 8, WORDS = 32, SAMPLES = 1 << 20 };

typedef struct {
    char name[32];
    rd_kafka_t *client;
    long delivered, failed[ERRORS];
    rd_kafka_resp_err_t failures[ERRORS];
    long received, tombstones, bytes, errors;
    unsigned long digest;
} client_t;

static client_t clients[CLIENTS];
static long acks[SAMPLES], calls[SAMPLES], ack_count, call_count;

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void count_error(client_t *of, rd_kafka_resp_err_t error) {
    for (int at = 0; at < ERRORS; at++)
        if (!of->failed[at] || of->failures[at] == error) {
            of->failures[at] = error;
            of->failed[at]++;
            return;
        }
}

static void print_errors(client_t *of) {
    for (int at = 0; at < ERRORS && of->failed[at]; at++)
        printf(" %s %ld", rd_kafka_err2name(of->failures[at]), of->failed[at]);
    memset(of->failed, 0, sizeof of->failed);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client;
    client_t *of = opaque;
    if (message->_private && ack_count < SAMPLES) acks[ack_count++] = now_ns() - (long)message->_private;
    if (message->err) count_error(of, message->err);
    else of->delivered++;
}

static client_t *named(const char *name) {
    for (int at = 0; at < CLIENTS; at++)
        if (!strcmp(clients[at].name, name)) return &clients[at];
    fprintf(stderr, "no client %s\n", name);
    exit(1);
}

static void print_error(rd_kafka_error_t *error) {
    if (!error) {
        puts("ok");
        return;
    }
    printf("%s%s%s%s\n", rd_kafka_error_name(error), rd_kafka_error_is_fatal(error) ? " fatal" : "",
           rd_kafka_error_is_retriable(error) ? " retriable" : "",
           rd_kafka_error_txn_requires_abort(error) ? " abort" : "");
    rd_kafka_error_destroy(error);
}

static void make(rd_kafka_type_t type, char **words, int count) {
    char why[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    client_t *made = named("");
    memset(made, 0, sizeof *made);
    snprintf(made->name, sizeof made->name, "%s", words[1]);
    rd_kafka_conf_res_t set = rd_kafka_conf_set(conf, "bootstrap.servers", getenv("KAFKA"), why, sizeof why);
    if (getenv("PLUGIN") && !set) set = rd_kafka_conf_set(conf, "plugin.library.paths", getenv("PLUGIN"), why, sizeof why);
    for (int at = 2; at < count && !set; at++) {
        char *value = strchr(words[at], '=');
        *value = 0;
        set = rd_kafka_conf_set(conf, words[at], value + 1, why, sizeof why);
    }
    rd_kafka_conf_set_opaque(conf, made);
    if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    made->client = set ? NULL : rd_kafka_new(type, conf, why, sizeof why);
    if (made->client && type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(made->client);
    puts(made->client ? "ok" : why);
    if (!made->client) made->name[0] = 0;
}

static void make_topic(char **words) {
    char why[512];
    rd_kafka_t *client = named(words[1])->client;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(words[2], atoi(words[3]), atoi(words[4]), why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
    size_t count = 0;
    const rd_kafka_topic_result_t **results = NULL;
    if (event) results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    puts(count == 1 && !rd_kafka_topic_result_error(results[0]) ? "ok" : "topic not made");
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

/* With the time of the call as the message's opaque, when somebody wants to know how long it takes. */
static rd_kafka_resp_err_t produce(rd_kafka_t *by, const char *topic, const char *key, const char *value, long size, int partition,
                                   int timed) {
    void *began = timed ? (void *)now_ns() : NULL;
    rd_kafka_resp_err_t error = rd_kafka_producev(
        by, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
        RD_KAFKA_V_VALUE((void *)value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(began),
        RD_KAFKA_V_END);
    if (timed && call_count < SAMPLES) calls[call_count++] = now_ns() - (long)began;
    return error;
}

/* send CLIENT TOPIC COUNT SIZE [KEY [PARTITION]]: SIZE is `null` for a tombstone, KEY `-` for none. */
static void send_all(char **words, int count) {
    client_t *by = named(words[1]), refused = {0};
    long number = atol(words[3]), size = atol(words[4]), queued = 0;
    const char *key = count > 5 && strcmp(words[5], "-") ? words[5] : NULL;
    char *value = strcmp(words[4], "null") ? malloc(size + 1) : NULL;
    for (long at = 0; value && at < size; at++) value[at] = 'a' + at * at % 26;
    for (long at = 0; at < number; at++) {
        if (size > 0) value[0] = 'a' + at % 26;
        rd_kafka_resp_err_t error = produce(by->client, words[2], key, value, size, count > 6 ? atoi(words[6]) : -1, 0);
        if (error) count_error(&refused, error);
        else queued++;
        rd_kafka_poll(by->client, 0);
    }
    free(value);
    printf("queued %ld", queued);
    print_errors(&refused);
    puts("");
}

static int longs(const void *one, const void *other) {
    return (*(long *)one > *(long *)other) - (*(long *)one < *(long *)other);
}

static void print_times(const char *of, long *times, long count) {
    qsort(times, count, sizeof *times, longs);
    printf(" %s %ld %ld", of, count ? times[count / 2] / 1000 : 0, count ? times[count * 99 / 100] / 1000 : 0);
}

/* load CLIENT TOPIC,… RATE SECONDS: messages at a rate, and how long a call and an acknowledgement takes: p50 and p99 in µs. */
static void load(char **words) {
    client_t *by = named(words[1]), refused = {0};
    char *topics[WORDS];
    long topic_count = 0;
    for (char *topic = strtok(words[2], ","); topic; topic = strtok(NULL, ",")) topics[topic_count++] = topic;
    long rate = atol(words[3]), number = rate * atol(words[4]), queued = 0, began = now_ns();
    ack_count = call_count = 0;
    for (long at = 0; at < number; at++) {
        long due = began + at * (1000000000L / rate);
        while (now_ns() < due) rd_kafka_poll(by->client, 1);
        rd_kafka_resp_err_t error = produce(by->client, topics[at % topic_count], NULL, "a message", 9, -1, 1);
        if (error) count_error(&refused, error);
        else queued++;
        rd_kafka_poll(by->client, 0);
    }
    while (rd_kafka_outq_len(by->client) > 0 && now_ns() < began + 120000000000L) rd_kafka_poll(by->client, 10);
    printf("queued %ld delivered %ld", queued, by->delivered);
    by->delivered = 0;
    print_times("call", calls, call_count);
    print_times("ack", acks, ack_count);
    print_errors(&refused);
    print_errors(by);
    puts("");
}

/* flush CLIENT MS: and what became of the messages since the last one. */
static void flush(char **words) {
    client_t *of = named(words[1]);
    rd_kafka_resp_err_t error = rd_kafka_flush(of->client, atoi(words[2]));
    printf("%s delivered %ld", rd_kafka_err2name(error), of->delivered);
    of->delivered = 0;
    print_errors(of);
    puts("");
}

static unsigned long mix(unsigned long digest, const void *bytes, size_t count) {
    for (size_t at = 0; at < count; at++) digest = (digest ^ ((const unsigned char *)bytes)[at]) * 1099511628211UL;
    return digest;
}

/* The headers of a message, byte for byte, on standard error: header OFFSET NAME HEX. */
static void tell_headers(rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers)) return;
    for (size_t at = 0; !rd_kafka_header_get_all(headers, at, &name, &value, &size); at++) {
        fprintf(stderr, "header %ld %s ", (long)message->offset, name);
        for (size_t byte = 0; byte < size; byte++) fprintf(stderr, "%02x", ((const unsigned char *)value)[byte]);
        fprintf(stderr, "\n");
    }
}

static void take(client_t *by, int wait_ms) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(by->client, wait_ms);
    if (!message) return;
    if (message->err) {
        by->errors++;
    } else {
        if (getenv("HEADERS")) tell_headers(message);
        by->received++;
        by->tombstones += !message->payload;
        by->bytes += message->len;
        by->digest += mix(mix(14695981039346656037UL, message->key, message->key_len), message->payload, message->len);
    }
    rd_kafka_message_destroy(message);
}

/* receive COUNT MS CLIENT…: until they have so many together, or so long. */
static void receive(char **words, int count) {
    long wanted = atol(words[1]), end = now_ns() + atol(words[2]) * 1000000L, got, tombstones, bytes;
    unsigned long digest;
    do {
        got = tombstones = bytes = digest = 0;
        for (int at = 3; at < count; at++) {
            client_t *by = named(words[at]);
            take(by, 20);
            got += by->received, tombstones += by->tombstones, bytes += by->bytes, digest += by->digest;
        }
    } while (got < wanted && now_ns() < end);
    printf("received %ld tombstones %ld bytes %ld digest %lx\n", got, tombstones, bytes, digest);
    for (int at = 3; at < count; at++) {
        client_t *by = named(words[at]);
        by->received = by->tombstones = by->bytes = by->digest = 0;
    }
}

/* balanced PARTITIONS MS CLIENT…: until so many partitions are theirs, and each has some, for two seconds. */
static void balanced(char **words, int count) {
    long wanted = atol(words[1]), end = now_ns() + atol(words[2]) * 1000000L, since = now_ns(), all, least;
    do {
        all = 0, least = wanted;
        for (int at = 3; at < count; at++) {
            client_t *by = named(words[at]);
            rd_kafka_topic_partition_list_t *has = NULL;
            take(by, 20);
            rd_kafka_assignment(by->client, &has);
            all += has->cnt;
            if (has->cnt < least) least = has->cnt;
            rd_kafka_topic_partition_list_destroy(has);
        }
        if (all != wanted || !least) since = now_ns();
    } while (now_ns() < since + 2000000000L && now_ns() < end);
    printf("%ld partitions, %s\n", all, least ? "each has some" : "one has none");
}

/* How far the group of this consumer is in its partitions, summed up. */
static void committed(char **words) {
    rd_kafka_topic_partition_list_t *has = rd_kafka_topic_partition_list_new(8);
    for (int at = 0; at < atoi(words[3]); at++) rd_kafka_topic_partition_list_add(has, words[2], at);
    rd_kafka_resp_err_t error = rd_kafka_committed(named(words[1])->client, has, 30000);
    long sum = 0;
    for (int at = 0; at < has->cnt; at++) sum += has->elems[at].offset > 0 ? has->elems[at].offset : 0;
    printf("%s committed %ld\n", rd_kafka_err2name(error), sum);
    rd_kafka_topic_partition_list_destroy(has);
}

static void subscribe(char **words, int assign) {
    rd_kafka_t *client = named(words[1])->client;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, words[2], assign ? atoi(words[3]) : -1)->offset = RD_KAFKA_OFFSET_BEGINNING;
    puts(rd_kafka_err2name(assign ? rd_kafka_assign(client, list) : rd_kafka_subscribe(client, list)));
    rd_kafka_topic_partition_list_destroy(list);
}

static void send_offsets(char **words) {
    rd_kafka_t *consumer = named(words[2])->client;
    rd_kafka_topic_partition_list_t *has = NULL;
    rd_kafka_assignment(consumer, &has);
    rd_kafka_position(consumer, has);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
    print_error(rd_kafka_send_offsets_to_transaction(named(words[1])->client, has, group, 30000));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(has);
}

static void close_client(char **words) {
    client_t *of = named(words[1]);
    if (rd_kafka_type(of->client) == RD_KAFKA_CONSUMER) rd_kafka_consumer_close(of->client);
    rd_kafka_destroy(of->client);
    memset(of, 0, sizeof *of);
    puts("ok");
}

int main(void) {
    static char line[4096];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        char *words[WORDS] = {0};
        int count = 0;
        for (char *word = strtok(line, " \n"); word && count < WORDS; word = strtok(NULL, " \n")) words[count++] = word;
        const char *does = count ? words[0] : "";
        if (!strcmp(does, "producer")) make(RD_KAFKA_PRODUCER, words, count);
        else if (!strcmp(does, "consumer")) make(RD_KAFKA_CONSUMER, words, count);
        else if (!strcmp(does, "topic")) make_topic(words);
        else if (!strcmp(does, "send")) send_all(words, count);
        else if (!strcmp(does, "load")) load(words);
        else if (!strcmp(does, "flush")) flush(words);
        else if (!strcmp(does, "receive")) receive(words, count);
        else if (!strcmp(does, "balanced")) balanced(words, count);
        else if (!strcmp(does, "committed")) committed(words);
        else if (!strcmp(does, "subscribe")) subscribe(words, 0);
        else if (!strcmp(does, "assign")) subscribe(words, 1);
        else if (!strcmp(does, "commit")) puts(rd_kafka_err2name(rd_kafka_commit(named(words[1])->client, NULL, 0)));
        else if (!strcmp(does, "init")) print_error(rd_kafka_init_transactions(named(words[1])->client, 60000));
        else if (!strcmp(does, "begin")) print_error(rd_kafka_begin_transaction(named(words[1])->client));
        else if (!strcmp(does, "end")) print_error(rd_kafka_commit_transaction(named(words[1])->client, 60000));
        else if (!strcmp(does, "abort")) print_error(rd_kafka_abort_transaction(named(words[1])->client, 60000));
        else if (!strcmp(does, "offsets")) send_offsets(words);
        else if (!strcmp(does, "close")) close_client(words);
        else return fprintf(stderr, "what is %s?\n", does), 1;
    }
    return 0;
}
