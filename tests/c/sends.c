/* Sends a first order, and four more by `produce`, `producev` or `produceva`; by `batch`, `partitions`, which names their
   partitions, one of which is not there, or `nowhere`, which names one for all that is not there. */
#include "clients.h"

static int delivered, failed;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    if (message->err) failed++;
    else delivered++;
}

int main(int count, char **arguments) {
    MUST(count == 2);
    const char *how = arguments[1];
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", getenv("KAFKA"));
    if (getenv("PLUGIN")) set(conf, "plugin.library.paths", getenv("PLUGIN"));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *shop = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    MUST(shop);
    rd_kafka_topic_t *orders = rd_kafka_topic_new(shop, "orders", NULL);
    /* From now on its partitions are known: there is one. */
    send_to(shop, "orders", "first");
    flushed(shop);

    rd_kafka_message_t batch[4];
    memset(batch, 0, sizeof batch);
    for (int number = 0; number < 4; number++) {
        batch[number].payload = "order";
        batch[number].len = 5;
        batch[number].partition = number == 2 ? 77 : 0;
    }
    int taken = 0;
    if (!strcmp(how, "batch"))
        taken = rd_kafka_produce_batch(orders, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, batch, 4);
    else if (!strcmp(how, "partitions"))
        taken = rd_kafka_produce_batch(orders, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION,
                                       batch, 4);
    else if (!strcmp(how, "nowhere"))
        taken = rd_kafka_produce_batch(orders, 77, RD_KAFKA_MSG_F_COPY, batch, 4);
    else
        for (int number = 0; number < 4; number++) {
            if (!strcmp(how, "produce")) {
                taken += !rd_kafka_produce(orders, 0, RD_KAFKA_MSG_F_COPY, "order", 5, "key", 3, NULL);
            } else if (!strcmp(how, "producev")) {
                send_to(shop, "orders", "order");
                taken++;
            } else if (!strcmp(how, "produceva")) {
                rd_kafka_vu_t with[] = {{.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = "orders"},
                                        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
                                        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {"order", 5}},
                                        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"shop", "books", 5}}};
                rd_kafka_error_t *error = rd_kafka_produceva(shop, with, 4);
                MUST(!error);
                taken++;
            }
        }
    /* librdkafka never takes back what it refused of a batch, so a flush may wait in vain. */
    rd_kafka_flush(shop, strcmp(how, "partitions") ? 30000 : 1000);
    printf("taken %d, delivered %d, failed %d, errors", taken, delivered, failed);
    for (int number = 0; number < 4; number++) printf(" %s", rd_kafka_err2name(batch[number].err));
    printf("\n");
    rd_kafka_topic_destroy(orders);
    rd_kafka_destroy(shop);
    return 0;
}
