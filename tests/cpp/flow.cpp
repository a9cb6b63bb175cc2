// By librdkafka++: sends orders, and payments for each of them.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <librdkafka/rdkafkacpp.h>

static const int ORDERS = 3;

static void must(RdKafka::ErrorCode error) {
    if (error) throw std::runtime_error(RdKafka::err2str(error));
}

static std::unique_ptr<RdKafka::Conf> configuration() {
    std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
    const char *plugin = std::getenv("PLUGIN");
    const char *properties[][2] = {{"plugin.library.paths", plugin ? plugin : ""},
                                   {"bootstrap.servers", std::getenv("KAFKA")},
                                   {"group.id", "payments"},
                                   {"log_level", "3"},
                                   {"auto.offset.reset", "earliest"}};
    std::string why;
    for (auto &property : properties)
        if (conf->set(property[0], property[1], why)) throw std::runtime_error(why);
    return conf;
}

static void send(RdKafka::Producer &producer, const std::string &topic, std::string value) {
    must(producer.produce(topic, RdKafka::Topic::PARTITION_UA, RdKafka::Producer::RK_MSG_COPY, &value[0], value.size(),
                          nullptr, 0, 0, nullptr));
    must(producer.flush(20000));
}

int main() {
    std::string why;
    std::unique_ptr<RdKafka::Producer> producer(RdKafka::Producer::create(configuration().get(), why));
    if (!producer) throw std::runtime_error(why);
    // On a thread of its own: a message that a thread began the trace of is no cause of what it sends.
    std::thread([&] {
        for (int order = 0; order < ORDERS; order++) send(*producer, "orders", "order " + std::to_string(order));
    }).join();

    std::unique_ptr<RdKafka::KafkaConsumer> consumer(RdKafka::KafkaConsumer::create(configuration().get(), why));
    if (!consumer) throw std::runtime_error(why);
    must(consumer->subscribe({"orders"}));
    for (int paid = 0; paid < ORDERS;) {
        std::unique_ptr<RdKafka::Message> order(consumer->consume(20000));
        must(order->err());
        const std::string value(static_cast<const char *>(order->payload()), order->len());
        send(*producer, "payments", "paid: " + value);
        std::cout << "paid: " << value << std::endl;
        paid++;
    }
    must(consumer->close());
}
