/* Sends 100 000 orders and consumes them, in rounds; between them it says how much of its memory is resident. */
#include <unistd.h>

#include "clients.h"

enum { ROUNDS = 5, ROUND = 20000, PARTITIONS = 8 };

static long resident_kib(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    MUST(file && fscanf(file, "%*s %ld", &pages) == 1);
    fclose(file);
    return pages * 4;
}

static void wait_for(int round) {
    char path[512];
    snprintf(path, sizeof path, "%s%d", getenv("ROUND_DONE"), round);
    for (int tries = 0; access(path, F_OK) && tries < 6000; tries++) usleep(10000);
}

int main(int count, char **arguments) {
    MUST(count == 2);
    int by_one = !strcmp(arguments[1], "one");
    rd_kafka_t *shop = producer(), *billing = consumer("orders", PARTITIONS);
    rd_kafka_topic_t *orders = rd_kafka_topic_new(shop, "orders", NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(billing);
    static char payload[100];
    for (int round = 0; round < ROUNDS; round++) {
        if (by_one) {
            for (int number = 0; number < ROUND; number++)
                MUST(!rd_kafka_produce(orders, number % PARTITIONS, RD_KAFKA_MSG_F_COPY, payload, sizeof payload, NULL, 0,
                                       NULL));
        } else {
            static rd_kafka_message_t batch[1000];
            for (int number = 0; number < 1000; number++)
                batch[number] = (rd_kafka_message_t){
                    .payload = payload, .len = sizeof payload, .partition = number % PARTITIONS};
            for (int number = 0; number < ROUND; number += 1000)
                MUST(rd_kafka_produce_batch(orders, RD_KAFKA_PARTITION_UA,
                                            RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION, batch, 1000) == 1000);
        }
        flushed(shop);
        for (int taken = 0; taken < ROUND;) {
            if (by_one) {
                rd_kafka_message_destroy(next_message(billing));
                taken++;
            } else {
                rd_kafka_message_t *batch[1000];
                ssize_t more = rd_kafka_consume_batch_queue(queue, 1000, batch, 1000);
                for (ssize_t number = 0; number < more; number++) rd_kafka_message_destroy(batch[number]);
                taken += more;
            }
        }
        /* Another poll: the last message is done with. */
        MUST(!rd_kafka_consumer_poll(billing, 0));
        wait_for(round);
        printf("%ld\n", resident_kib());
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_destroy(orders);
    closed(billing);
    rd_kafka_destroy(shop);
    return 0;
}
