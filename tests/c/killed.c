/* Sends so many orders, in as many processes as it is told, and then lives until it is killed. */
#include <unistd.h>

#include "clients.h"

static void send_all(int count) {
    rd_kafka_t *shop = producer();
    for (int number = 0; number < count; number++) {
        send_to(shop, "orders", "order");
        /* Over some time, so that there are many batches. */
        if (number % 50 == 49) {
            flushed(shop);
            usleep(20000);
        }
    }
    flushed(shop);
    for (;;) pause();
}

int main(int count, char **arguments) {
    MUST(count == 3);
    for (int more = atoi(arguments[2]); more > 1; more--)
        if (!fork()) break;
    send_all(atoi(arguments[1]));
    return 0;
}
