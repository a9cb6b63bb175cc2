// With the librdkafka that the client's package brings, to be linked in. `dynamic.mod` is the same for that of the system.
module tracer-resolver.test/flow

go 1.21

require github.com/confluentinc/confluent-kafka-go/v2 v2.11.1
