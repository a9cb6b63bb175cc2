/* Consumes ten orders and sends a payment of each, to the partition with the order's number, in an event loop: `epoll` or
 * `poll`. A pipe says that there may be orders; what is to be paid waits for its time in a list. */
#include "clients.h"
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { ORDERS = 10, LATER_MS = 30 };

static long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pay(rd_kafka_t *by, int order) {
    MUST(!rd_kafka_producev(by, RD_KAFKA_V_TOPIC("payments"), RD_KAFKA_V_PARTITION(order), RD_KAFKA_V_VALUE("paid", 4),
                            RD_KAFKA_V_END));
}

int main(int count, char **words) {
    MUST(count == 2);
    int pipe_ends[2], other_ends[2], with_epoll = !strcmp(words[1], "epoll"), loop = -1;
    MUST(!pipe(pipe_ends) && !pipe(other_ends));
    rd_kafka_t *orders = consumer("orders", 1), *payments = producer();
    if (with_epoll) {
        MUST((loop = epoll_create1(EPOLL_CLOEXEC)) >= 0);
        struct epoll_event event = {.events = EPOLLIN};
        MUST(!epoll_ctl(loop, EPOLL_CTL_ADD, pipe_ends[0], &event));
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(orders);
    rd_kafka_queue_io_event_enable(queue, pipe_ends[1], "!", 1);
    int taken = 0, paid = 0;
    long due[ORDERS];
    while (paid < ORDERS) {
        struct epoll_event event;
        struct pollfd fds[] = {{.fd = pipe_ends[0], .events = POLLIN}, {.fd = other_ends[0], .events = POLLIN}};
        int ready = with_epoll ? epoll_wait(loop, &event, 1, 5) : poll(fds, 2, 5);
        char drained[64];
        if (ready > 0) MUST(read(pipe_ends[0], drained, sizeof drained) > 0);
        rd_kafka_message_t *message = taken < ORDERS ? rd_kafka_consumer_poll(orders, 0) : NULL;
        if (message) {
            MUST(!message->err && message->offset == taken);
            due[taken++] = now_ms() + LATER_MS;
            rd_kafka_message_destroy(message);
        }
        while (paid < taken && due[paid] <= now_ms()) pay(payments, paid++);
    }
    flushed(payments);
    rd_kafka_queue_destroy(queue);
    closed(orders);
    rd_kafka_destroy(payments);
    return 0;
}
