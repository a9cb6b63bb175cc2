/* Says itself which message it processes (tracer_interceptors.h): takes all orders first, works them off later, the last first,
 * each on a thread of its own that sends two messages for it; then one that follows from nothing, and one from a context. */
#include "clients.h"
#include "../../resolver/librdkafka/include/tracer_interceptors.h"
#include <pthread.h>

#define ORDERS 5

static rd_kafka_t *by;
static rd_kafka_message_t *orders[ORDERS];

static void *work(void *argument) {
    rd_kafka_message_t *order = argument;
    char context[56], value[16];
    ti_processing processing = ti_begin_message(order), before = ti_make_current(processing);
    snprintf(value, sizeof value, "%.*s", (int)order->len, (char *)order->payload);
    send_to(by, "payments", value);
    if (order->offset == 1) ti_fail(processing, "CardDeclined", "no funds");
    ti_make_current(before);
    /* Nothing is current any more: this one says what it follows from. */
    ti_next_send(processing);
    send_to(by, "payments", value);
    MUST(ti_context(processing, context) == (processing != 0) && strlen(context) == (processing ? 55 : 0));
    ti_end(processing);
    /* Too late and twice: nothing happens. */
    ti_end(processing);
    ti_fail(processing, "x", "y");
    MUST(!ti_context(processing, context) && !*context && ti_make_current(processing) == 0);
    send_to(by, "orders", value);
    return NULL;
}

int main(void) {
    /* Before anything is traced, all of it does nothing. */
    MUST(!ti_begin("orders", 0, 0) && !ti_make_current(7));
    ti_end(7);
    by = producer();
    ti_declare();
    rd_kafka_t *from = consumer("orders", 1);
    ti_declare();
    for (int i = 0; i < ORDERS; i++) orders[i] = next_message(from);
    for (int i = ORDERS; i-- > 0;) {
        pthread_t thread;
        MUST(!pthread_create(&thread, NULL, work, orders[i]) && !pthread_join(thread, NULL));
        rd_kafka_message_destroy(orders[i]);
    }
    send_to(by, "orders", "nobody's");
    ti_next_send_of("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", "vendor=1", "tenant=acme");
    send_to(by, "orders", "the context's");
    send_to(by, "orders", "nobody's");
    MUST(!rd_kafka_flush(by, 30000) && !rd_kafka_consumer_close(from));
    rd_kafka_destroy(from);
    rd_kafka_destroy(by);
    puts("done");
    return 0;
}
