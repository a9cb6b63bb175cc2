//! The engine's function table, filled from the librdkafka that this program is linked with.

use rdkafka::bindings as rd;
use tracer_resolver::interceptor::KafkaApi;

/// Both sides declare the same C functions of `rdkafka.h`, each with its own names for the same types.
macro_rules! function {
    ($name:ident) => {
        // SAFETY: the same C function under the engine's declaration of it; the layouts agree, see `tests` below.
        unsafe { std::mem::transmute::<*const (), _>(rd::$name as *const ()) }
    };
}

/// The functions of the one librdkafka in this program.
#[expect(clippy::missing_transmute_annotations, reason = "the fields of the table are the annotations")]
pub(crate) static KAFKA_API: std::sync::LazyLock<KafkaApi> = std::sync::LazyLock::new(|| KafkaApi {
    conf_interceptor_add_on_new: function!(rd_kafka_conf_interceptor_add_on_new),
    conf_interceptor_add_on_conf_destroy: function!(rd_kafka_conf_interceptor_add_on_conf_destroy),
    interceptor_add_on_destroy: function!(rd_kafka_interceptor_add_on_destroy),
    interceptor_add_on_send: function!(rd_kafka_interceptor_add_on_send),
    interceptor_add_on_acknowledgement: function!(rd_kafka_interceptor_add_on_acknowledgement),
    interceptor_add_on_consume: function!(rd_kafka_interceptor_add_on_consume),
    client_type: function!(rd_kafka_type),
    conf_get: function!(rd_kafka_conf_get),
    topic_name: function!(rd_kafka_topic_name),
    message_headers: function!(rd_kafka_message_headers),
    message_set_headers: function!(rd_kafka_message_set_headers),
    message_latency: function!(rd_kafka_message_latency),
    message_timestamp: function!(rd_kafka_message_timestamp),
    headers_new: function!(rd_kafka_headers_new),
    header_add: function!(rd_kafka_header_add),
    header_remove: function!(rd_kafka_header_remove),
    header_get_last: function!(rd_kafka_header_get_last),
    header_get: Some(function!(rd_kafka_header_get)),
    header_get_all: function!(rd_kafka_header_get_all),
    err2name: function!(rd_kafka_err2name),
    interceptor_add_on_response_received: Some(function!(rd_kafka_interceptor_add_on_response_received)),
    interceptor_add_on_commit: Some(function!(rd_kafka_interceptor_add_on_commit)),
});

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::rd;
    use tracer_resolver::interceptor::{RdKafkaMessage, RdKafkaTopicPartition, RdKafkaTopicPartitionList};

    #[test]
    fn the_engine_reads_what_was_committed_as_librdkafka_lays_it_out() {
        type Theirs = rd::rd_kafka_topic_partition_s;
        assert_eq!(size_of::<RdKafkaTopicPartition>(), size_of::<Theirs>());
        macro_rules! same {
            ($($field:ident),*) => {
                $(assert_eq!(offset_of!(RdKafkaTopicPartition, $field), offset_of!(Theirs, $field));)*
            };
        }
        same!(topic, partition, offset, err);
        type TheirList = rd::rd_kafka_topic_partition_list_s;
        assert_eq!(offset_of!(RdKafkaTopicPartitionList, cnt), offset_of!(TheirList, cnt));
        assert_eq!(offset_of!(RdKafkaTopicPartitionList, elems), offset_of!(TheirList, elems));
    }

    #[test]
    fn the_engine_reads_a_message_as_librdkafka_lays_it_out() {
        type Theirs = rd::rd_kafka_message_t;
        assert_eq!(size_of::<RdKafkaMessage>(), size_of::<Theirs>());
        macro_rules! same {
            ($($ours:ident = $theirs:ident),*) => {
                $(assert_eq!(offset_of!(RdKafkaMessage, $ours), offset_of!(Theirs, $theirs));)*
            };
        }
        same!(err = err, rkt = rkt, partition = partition, payload = payload, len = len, key = key);
        same!(key_len = key_len, offset = offset, private = _private);
    }
}
