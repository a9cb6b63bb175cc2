// Takes orders in batches from a queue, and works them off with a pool of threads, a bill for each; a heart beats beside them.
// Says with tracer_interceptors.h which thread is at which order.
#include <librdkafka/rdkafka.h>

#include "../../resolver/librdkafka/include/tracer_interceptors.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Work {
    rd_kafka_message_t *order;
    ti_processing processing;
};

std::mutex mutex;
std::condition_variable changed;
std::deque<Work> waiting;
bool over = false;
std::atomic<int> logged{0};

void send(rd_kafka_t *producer, const char *topic, const std::string &value) {
    while (rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(const_cast<char *>(value.data()), value.size()), RD_KAFKA_V_END)) {
        rd_kafka_poll(producer, 10);
    }
}

/// A thread of the pool.
void work(rd_kafka_t *producer) {
    for (;;) {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [] { return over || !waiting.empty(); });
        if (waiting.empty()) return;
        const Work one = waiting.front();
        waiting.pop_front();
        lock.unlock();
        const ti_processing before = ti_make_current(one.processing);
        char trace_id[33], span_id[17], traceparent[56];
        if (ti_ids(0, trace_id, span_id)) {
            ti_context(one.processing, traceparent);
            if (std::string("00-") + trace_id + "-" + span_id + "-01" == traceparent) ++logged;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        send(producer, "payments", std::string(static_cast<const char *>(one.order->payload), one.order->len));
        ti_make_current(before);
        ti_end(one.processing);
        rd_kafka_message_destroy(one.order);
    }
}

rd_kafka_t *client(rd_kafka_type_t type) {
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", std::getenv("KAFKA"), why, sizeof why);
    if (std::getenv("PLUGIN")) rd_kafka_conf_set(conf, "plugin.library.paths", std::getenv("PLUGIN"), why, sizeof why);
    if (type == RD_KAFKA_CONSUMER) rd_kafka_conf_set(conf, "group.id", "billing", why, sizeof why);
    rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
    if (!made) std::exit(1);
    return made;
}

}  // namespace

int main(int count, char **words) {
    const int orders = count > 1 ? std::atoi(words[1]) : 10;
    ti_declare();  // Harmless before there is a client; by the property the library comes with the first.
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER);
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER);
    ti_declare();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "orders", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);

    std::atomic<bool> beating{true};
    std::thread heart([&] {
        for (int beat = 0; beating; ++beat) {
            if (beat < 20) send(producer, "beats", "beat");
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    std::vector<std::thread> pool;
    for (int thread = 0; thread < 4; ++thread) pool.emplace_back(work, producer);
    for (int taken = 0; taken < orders;) {
        rd_kafka_message_t *batch[64];
        const ssize_t got = rd_kafka_consume_batch_queue(queue, 1000, batch, 64);
        for (ssize_t at = 0; at < got; ++at) {
            if (batch[at]->err) std::exit(2);
            std::lock_guard<std::mutex> lock(mutex);
            waiting.push_back(Work{batch[at], ti_begin_message(batch[at])});
            ++taken;
        }
        changed.notify_all();
    }
    {
        std::lock_guard<std::mutex> lock(mutex);
        over = true;
    }
    changed.notify_all();
    for (std::thread &thread : pool) thread.join();
    beating = false;
    heart.join();
    rd_kafka_flush(producer, 30000);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_destroy(producer);
    std::printf("%d\n", logged.load());
}
