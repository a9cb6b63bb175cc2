package main

import "os"
import . "github.com/confluentinc/confluent-kafka-go/v2/kafka"

func main() {
	config := ConfigMap{"bootstrap.servers": os.Getenv("KAFKA"), "plugin.library.paths": os.Getenv("PLUGIN")}
	to := func(topic string) TopicPartition { return TopicPartition{Topic: &topic, Partition: PartitionAny} }
	producer, _ := NewProducer(&config)
	producer.Produce(&Message{TopicPartition: to("orders"), Value: []byte("order 1")}, nil)
	config["group.id"] = "payments"
	config["auto.offset.reset"] = "earliest"
	consumer, _ := NewConsumer(&config)
	consumer.SubscribeTopics([]string{"orders"}, nil)
	order, _ := consumer.ReadMessage(-1)
	producer.Produce(&Message{TopicPartition: to("payments"), Value: order.Value, Headers: order.Headers}, nil)
	producer.Flush(10000)
	consumer.Close()
	producer.Close()
}
