// With the librdkafka of the system, `-tags dynamic`: a client is made for one version of it and later ones.
module tracer-resolver.test/flow

go 1.21

require github.com/confluentinc/confluent-kafka-go/v2 v2.0.2
