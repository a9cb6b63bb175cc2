/* Clients of the cluster in KAFKA, with the plugin in PLUGIN when there is one; nothing else here knows of tracing. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char why[512];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s: %s\n", name, why);
        exit(1);
    }
}

static inline rd_kafka_t *client(rd_kafka_type_t type) {
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", getenv("KAFKA"));
    if (getenv("PLUGIN")) set(conf, "plugin.library.paths", getenv("PLUGIN"));
    if (type == RD_KAFKA_CONSUMER) set(conf, "group.id", "readers");
    rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
    if (!made) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return made;
}

static inline rd_kafka_t *producer(void) { return client(RD_KAFKA_PRODUCER); }

/* Of these partitions, from their beginning. */
static inline rd_kafka_t *consumer(const char *topic, int partitions) {
    rd_kafka_t *made = client(RD_KAFKA_CONSUMER);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int partition = 0; partition < partitions; partition++)
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    MUST(!rd_kafka_assign(made, list));
    rd_kafka_topic_partition_list_destroy(list);
    MUST(!rd_kafka_poll_set_consumer(made));
    return made;
}

static inline rd_kafka_message_t *next_message(rd_kafka_t *from) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(from, 30000);
    MUST(message && !message->err);
    return message;
}

static inline void send_to(rd_kafka_t *by, const char *topic, const char *value) {
    MUST(!rd_kafka_producev(by, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((void *)value, strlen(value)),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
}

static inline void flushed(rd_kafka_t *client) { MUST(!rd_kafka_flush(client, 30000)); }

static inline void closed(rd_kafka_t *consumer) {
    MUST(!rd_kafka_consumer_close(consumer));
    rd_kafka_destroy(consumer);
}
