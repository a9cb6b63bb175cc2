/* Consumes ten orders by `poll`, `batch`, `queue`, `callback`, `events` or `legacy`, and sends a payment after them. */
#include "clients.h"

static int got;

static void on_message(rd_kafka_message_t *message, void *opaque) {
    (void)opaque;
    if (!message->err) got++;
}

int main(int count, char **arguments) {
    MUST(count == 2);
    const char *how = arguments[1];
    rd_kafka_t *billing = producer();
    if (!strcmp(how, "legacy")) {
        rd_kafka_t *orders = client(RD_KAFKA_CONSUMER);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(orders, "orders", NULL);
        MUST(!rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING));
        while (got < 10) {
            rd_kafka_message_t *order = rd_kafka_consume(topic, 0, 30000);
            MUST(order && !order->err);
            got++;
            rd_kafka_message_destroy(order);
        }
        send_to(billing, "payments", "paid");
        flushed(billing);
        rd_kafka_consume_stop(topic, 0);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(orders);
    } else {
        rd_kafka_t *orders = consumer("orders", 1);
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(orders);
        while (got < 10) {
            if (!strcmp(how, "batch")) {
                rd_kafka_message_t *batch[10];
                ssize_t taken = rd_kafka_consume_batch_queue(queue, 30000, batch, 10 - got);
                MUST(taken > 0);
                for (ssize_t number = 0; number < taken; number++) rd_kafka_message_destroy(batch[number]);
                got += taken;
            } else if (!strcmp(how, "queue")) {
                rd_kafka_message_t *order = rd_kafka_consume_queue(queue, 30000);
                MUST(order && !order->err);
                got++;
                rd_kafka_message_destroy(order);
            } else if (!strcmp(how, "callback")) {
                rd_kafka_consume_callback_queue(queue, 1000, on_message, NULL);
            } else if (!strcmp(how, "events")) {
                rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
                MUST(event);
                while (rd_kafka_event_message_next(event)) got++;
                rd_kafka_event_destroy(event);
            } else {
                rd_kafka_message_destroy(next_message(orders));
                got++;
            }
        }
        send_to(billing, "payments", "paid");
        flushed(billing);
        rd_kafka_queue_destroy(queue);
        closed(orders);
    }
    rd_kafka_destroy(billing);
    printf("%d\n", got);
    return 0;
}
