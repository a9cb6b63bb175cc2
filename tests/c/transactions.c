/* Takes three orders, and is paid for each two of them in a transaction that takes along how far it has come. */
#include "clients.h"

int main(void) {
    rd_kafka_t *orders = consumer("orders", 1);
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", getenv("KAFKA"));
    set(conf, "transactional.id", "billing");
    if (getenv("PLUGIN")) set(conf, "plugin.library.paths", getenv("PLUGIN"));
    rd_kafka_t *billing = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    MUST(billing && !rd_kafka_init_transactions(billing, 30000));
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(orders);
    for (int round = 0; round < 2; round++) {
        MUST(!rd_kafka_begin_transaction(billing));
        int64_t next = 0;
        for (int number = 0; number < 2; number++) {
            rd_kafka_message_t *order = next_message(orders);
            next = order->offset + 1;
            send_to(billing, "payments", "paid");
            rd_kafka_message_destroy(order);
        }
        rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(offsets, "orders", 0)->offset = next;
        MUST(!rd_kafka_send_offsets_to_transaction(billing, offsets, group, 30000));
        MUST(!rd_kafka_commit_transaction(billing, 30000));
        rd_kafka_topic_partition_list_destroy(offsets);
    }
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_destroy(billing);
    closed(orders);
    return 0;
}
