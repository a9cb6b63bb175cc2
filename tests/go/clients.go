// Clients of the tests' cluster. PLUGIN, where it is set, is their one property that has to do with tracing.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

const patience = 20 * time.Second

// properties are those of every client, and these.
func properties(more kafka.ConfigMap) *kafka.ConfigMap {
	all := kafka.ConfigMap{"bootstrap.servers": os.Getenv("KAFKA")}
	if plugin := os.Getenv("PLUGIN"); plugin != "" {
		all["plugin.library.paths"] = plugin
	}
	for name, value := range more {
		all[name] = value
	}
	return &all
}

// newProducer has no delivery reports that anybody would have to fetch.
func newProducer() *kafka.Producer {
	producer, err := kafka.NewProducer(properties(kafka.ConfigMap{"linger.ms": 1, "go.delivery.reports": false}))
	must(err)
	return producer
}

// newConsumer reads all partitions of a topic from the oldest message on.
func newConsumer(group, topic string, partitions int) *kafka.Consumer {
	consumer, err := kafka.NewConsumer(properties(kafka.ConfigMap{"group.id": group, "enable.auto.commit": false}))
	must(err)
	var all []kafka.TopicPartition
	for partition := 0; partition < partitions; partition++ {
		all = append(all, kafka.TopicPartition{Topic: &topic, Partition: int32(partition), Offset: kafka.OffsetBeginning})
	}
	must(consumer.Assign(all))
	return consumer
}

// send waits for a full queue only.
func send(producer *kafka.Producer, topic string, partition int32, value string, headers []kafka.Header) {
	for {
		err := producer.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition},
			Value:          []byte(value),
			Headers:        headers,
		}, nil)
		if failure, ok := err.(kafka.Error); !ok || failure.Code() != kafka.ErrQueueFull {
			must(err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// flush waits for every acknowledgement.
func flush(producer *kafka.Producer) {
	if left := producer.Flush(int(patience.Milliseconds())); left > 0 {
		must(fmt.Errorf("%d messages were not acknowledged", left))
	}
}

// next waits for a message.
func next(consumer *kafka.Consumer) *kafka.Message {
	message, err := consumer.ReadMessage(patience)
	must(err)
	return message
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
