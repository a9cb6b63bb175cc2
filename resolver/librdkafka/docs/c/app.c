#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdlib.h>

static void *shop(void *producer) {
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_VALUE("order 1", 7), RD_KAFKA_V_END);
    return NULL;
}

int main(void) {
    pthread_t thread;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", getenv("KAFKA"), NULL, 0);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_dup(conf), NULL, 0);
    pthread_create(&thread, NULL, shop, producer);
    rd_kafka_conf_set(conf, "group.id", "payments", NULL, 0);
    rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", NULL, 0);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, "orders", RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    rd_kafka_message_t *order;
    while (!(order = rd_kafka_consumer_poll(consumer, 1000)) || order->err) continue;
    rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("payments"), RD_KAFKA_V_VALUE("paid", 4), RD_KAFKA_V_END);
    rd_kafka_flush(producer, 10000);
    rd_kafka_consumer_close(consumer);
}
