// Consumes ten orders and sends a payment of each, to the partition with the order's number, in coroutines that take turns on
// one thread: two take an order each, and then each pays its own.
extern "C" {
#include "../c/clients.h"
}
#include <coroutine>
#include <utility>

struct Turns {
    struct promise_type {
        Turns get_return_object() { return Turns{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { abort(); }
    };
    explicit Turns(std::coroutine_handle<promise_type> handle) : handle(handle) {}
    Turns(Turns &&other) : handle(std::exchange(other.handle, nullptr)) {}
    ~Turns() {
        if (handle) handle.destroy();
    }
    std::coroutine_handle<promise_type> handle;
};

static Turns work(rd_kafka_t *orders, rd_kafka_t *payments) {
    rd_kafka_message_t *message = next_message(orders);
    int order = static_cast<int>(message->offset);
    rd_kafka_message_destroy(message);
    co_await std::suspend_always{};
    MUST(!rd_kafka_producev(payments, RD_KAFKA_V_TOPIC("payments"), RD_KAFKA_V_PARTITION(order),
                            RD_KAFKA_V_VALUE(const_cast<char *>("paid"), 4), RD_KAFKA_V_END));
}

int main() {
    rd_kafka_t *orders = consumer("orders", 1), *payments = producer();
    for (int pair = 0; pair < 5; pair++) {
        Turns one = work(orders, payments), other = work(orders, payments);
        for (int turn = 0; turn < 2; turn++) {
            one.handle.resume();
            other.handle.resume();
        }
    }
    flushed(payments);
    closed(orders);
    rd_kafka_destroy(payments);
    return 0;
}
