/* What tracer_interceptors.h says of edges: a processing that begins late, that is open when the process ends, that a child
 * of a fork takes over, or whose message's own headers are forwarded; and a topic whose messages get no span. */
#include "clients.h"
#include "../../resolver/librdkafka/include/tracer_interceptors.h"
#include <sys/wait.h>
#include <unistd.h>

#define PARENT "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
#define OTHER "00-fedcba9876543210fedcba9876543210-fedcba9876543210-01"

static void with_header(rd_kafka_t *by, const char *topic, const char *parent) {
    MUST(!rd_kafka_producev(by, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE("v", 1),
                            RD_KAFKA_V_HEADER("traceparent", parent, -1), RD_KAFKA_V_END));
}

int main(int count, char **words) {
    const char *how = count > 1 ? words[1] : "";
    rd_kafka_t *by = producer(), *from = consumer("orders", 1);
    ti_declare();
    rd_kafka_message_t *order = next_message(from);
    if (!strcmp(how, "late")) sleep(4);
    /* By its place, its context must be given to it; it is in the message's headers. */
    ti_processing processing = strcmp(how, "late") && ti_find()
                                   ? ti_find()->begin("orders", order->partition, order->offset, PARENT, NULL, 0)
                                   : ti_begin_message(order);
    ti_make_current(processing);
    if (!strcmp(how, "named")) {
        with_header(by, "payments", OTHER);
    } else if (!strcmp(how, "forked")) {
        pid_t child = fork();
        if (!child) {
            rd_kafka_t *own = producer();
            ti_end(processing); /* The parent's. */
            send_to(own, "payments", "v");
            MUST(!rd_kafka_flush(own, 30000));
            rd_kafka_destroy(own);
            exit(0);
        }
        int status;
        MUST(waitpid(child, &status, 0) == child && status == 0);
    } else {
        send_to(by, "payments", "v");
    }
    MUST(!rd_kafka_flush(by, 30000));
    if (!strcmp(how, "exec")) {
        MUST(execl("/no/such/program", "program", (char *)NULL) == -1);
        ti_fail(processing, "Late", "there is no such program");
    }
    if (strcmp(how, "open")) ti_end(processing);
    rd_kafka_message_destroy(order);
    MUST(!rd_kafka_consumer_close(from));
    rd_kafka_destroy(from);
    rd_kafka_destroy(by);
    puts("done");
    return 0;
}
