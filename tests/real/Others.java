import brave.Tracing;
import brave.kafka.clients.KafkaTracing;
import brave.propagation.TraceContext;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends to a topic, or receives from it: {@code Others java_agent|brave send|receive SERVERS TOPIC COUNT}. With Brave it says its spans
 * itself ({@code span KIND TRACE ID PARENT}); the agent sends them where it is told to.
 */
class Others {
    public static void main(String[] words) throws Exception {
        boolean brave = words[0].equals("brave");
        int count = Integer.parseInt(words[4]);
        KafkaTracing tracing = brave ? KafkaTracing.create(Tracing.newBuilder().traceId128Bit(true).addSpanHandler(new Says()).build()) : null;
        if (words[1].equals("send")) {
            Producer<String, String> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", words[2]), new StringSerializer(), new StringSerializer());
            producer = brave ? tracing.producer(producer) : producer;
            for (int at = 0; at < count; at++) producer.send(new ProducerRecord<>(words[3], 0, "key", "message " + at)).get();
            producer.close();
            return;
        }
        Consumer<String, String> consumer = new KafkaConsumer<>(
            Map.of("bootstrap.servers", words[2], "group.id", "others-" + words[0] + words[3], "auto.offset.reset", "earliest"),
            new StringDeserializer(), new StringDeserializer());
        consumer = brave ? tracing.consumer(consumer) : consumer;
        consumer.subscribe(List.of(words[3]));
        while (count > 0)
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) count--;
        consumer.close();
    }

    static final class Says extends brave.handler.SpanHandler {
        @Override public boolean end(TraceContext of, brave.handler.MutableSpan span, Cause cause) {
            System.out.println("span " + span.kind() + " " + span.traceId() + " " + span.id() + " " + span.parentId());
            return true;
        }
    }
}
