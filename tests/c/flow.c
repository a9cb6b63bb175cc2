/* Two services in one process: the shop sends orders and gets payments; billing takes order by order and sends payments. */
#include "clients.h"
#include <pthread.h>

static void *sell(void *shop) {
    for (int number = 0; number < 3; number++) {
        char order[32];
        snprintf(order, sizeof order, "order %d", number);
        send_to(shop, "orders", order);
        flushed(shop);
    }
    return NULL;
}

int main(void) {
    rd_kafka_t *shop = producer(), *billing = producer();
    /* On a thread of its own: a message that a thread began the trace of is no cause of what it sends. */
    pthread_t seller;
    MUST(!pthread_create(&seller, NULL, sell, shop) && !pthread_join(seller, NULL));
    rd_kafka_t *orders = consumer("orders", 1);
    for (int number = 0; number < 3; number++) {
        rd_kafka_message_t *order = next_message(orders);
        char payment[64];
        snprintf(payment, sizeof payment, "paid: %.*s", (int)order->len, (const char *)order->payload);
        send_to(billing, "payments", payment);
        flushed(billing);
        rd_kafka_message_destroy(order);
    }
    closed(orders);
    rd_kafka_t *payments = consumer("payments", 1);
    for (int number = 0; number < 3; number++) {
        rd_kafka_message_t *payment = next_message(payments);
        printf("%.*s\n", (int)payment->len, (const char *)payment->payload);
        rd_kafka_message_destroy(payment);
    }
    closed(payments);
    rd_kafka_destroy(shop);
    rd_kafka_destroy(billing);
    return 0;
}
