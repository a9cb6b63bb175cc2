/* Sends what is refused at once, by `produce` or `produceva`: a third message where there is room for two, until it is taken, one that
   is too large, and one to a partition that is not there; or a `batch` of four where there is room for two; or a `flood` of a
   thousand; or `follows`, after one order, `several`, after one and then two, or `declares`, where it is said what it follows from.
   Says what each call gave. */
#include <errno.h>

#include "clients.h"
#include "../../resolver/librdkafka/include/tracer_interceptors.h"

#define ANY RD_KAFKA_PARTITION_UA

static char large[2000000];
static rd_kafka_t *shop;
static rd_kafka_topic_t *topic;
static const char *how;

/* What was sent by `produce` has come there whole. */
static void reported(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    if (message->_private != large) return;
    MUST(message->len == 5 && !memcmp(message->payload, "order", 5));
    MUST(message->key_len == 3 && !memcmp(message->key, "key", 3));
}

/* What became of the call, as the program sees it. */
static rd_kafka_resp_err_t sent(int partition, const void *value, size_t size) {
    if (!strcmp(how, "produceva")) {
        rd_kafka_vu_t with[] = {{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
                                {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
                                {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
                                {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value, size}}};
        rd_kafka_error_t *error = rd_kafka_produceva(shop, with, 4);
        rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : 0;
        printf("%s ", rd_kafka_err2name(code));
        if (error) rd_kafka_error_destroy(error);
        return code;
    }
    errno = 0;
    int result = rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, (void *)value, size, "key", 3, large);
    int number = errno;
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    if (strcmp(how, "flood")) printf("%d:%d:%s ", result, number, rd_kafka_err2name(code));
    return result ? code : 0;
}

static void waits_until_taken(void) {
    MUST(sent(ANY, "order", 5) == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    flushed(shop);
    MUST(!sent(ANY, "order", 5));
}

static void fills(void) { MUST(!sent(ANY, "order", 5) && !sent(ANY, "order", 5)); }

int main(int count, char **arguments) {
    MUST(count == 2);
    how = arguments[1];
    int several = !strcmp(how, "several"), follows = several || !strcmp(how, "follows");
    const char *name = follows ? "payments" : "orders";
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", getenv("KAFKA"));
    set(conf, "queue.buffering.max.messages", "2");
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    /* Nothing leaves before it is flushed. */
    set(conf, "linger.ms", "60000");
    if (getenv("PLUGIN")) set(conf, "plugin.library.paths", getenv("PLUGIN"));
    shop = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    MUST(shop);
    topic = rd_kafka_topic_new(shop, name, NULL);
    send_to(shop, name, "first");
    flushed(shop); /* From now on its one partition is known. */
    if (!strcmp(how, "batch")) {
        rd_kafka_message_t batch[4];
        memset(batch, 0, sizeof batch);
        for (int number = 0; number < 4; number++) batch[number].payload = "order", batch[number].len = 5;
        printf("%d ", rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, batch, 4));
        for (int number = 0; number < 4; number++) printf("%s ", rd_kafka_err2name(batch[number].err));
    } else {
        rd_kafka_t *orders = follows ? consumer("orders", 1) : NULL;
        if (follows) rd_kafka_message_destroy(next_message(orders));
        fills();
        for (int number = 0; several && number < 2; number++) rd_kafka_message_destroy(next_message(orders));
        if (!strcmp(how, "declares")) ti_next_send_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL, NULL);
        if (!strcmp(how, "flood"))
            for (int number = 0; number < 1000; number++) MUST(sent(0, "order", 5) == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        else
            waits_until_taken();
        if (!strncmp(how, "produce", 7)) {
            MUST(sent(0, large, sizeof large) == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
            MUST(sent(77, "order", 5) == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION);
        }
        if (follows) closed(orders);
    }
    flushed(shop);
    printf("\n");
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(shop);
    return 0;
}
