import brave.kafka.clients.KafkaTracing;
import brave.propagation.TraceContext;
import io.jaegertracing.internal.JaegerSpan;
import io.jaegertracing.internal.JaegerTracer;
import io.jaegertracing.internal.samplers.ConstSampler;
import io.jaegertracing.spi.Reporter;
import io.opentelemetry.api.baggage.Baggage;
import io.opentelemetry.api.baggage.propagation.W3CBaggagePropagator;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.ContextPropagators;
import io.opentelemetry.context.propagation.TextMapPropagator;
import io.opentelemetry.instrumentation.kafkaclients.v2_6.KafkaTelemetry;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.trace.ReadWriteSpan;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.SpanProcessor;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import io.opentracing.Scope;
import io.opentracing.Span;
import io.opentracing.contrib.kafka.TracingKafkaConsumer;
import io.opentracing.contrib.kafka.TracingKafkaProducer;
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
 * Sends to a topic, or receives from it: {@code Others java_agent|java_library|java_2019|brave send|receive|pass SERVERS TOPIC,… COUNT}. To
 * pass is to receive and to send on, with the headers, to {@code TOPIC-on}. It says its spans itself ({@code span KIND TRACE ID PARENT}), but for the agent's, which go where the agent is told to. Each library is in a
 * class of its own: the others are not there when it runs. With {@code OTEL_TRACES_SAMPLER=always_off} no trace is kept.
 */
class Others {
    public static void main(String[] words) throws Exception {
        Tracing tracing = switch (words[0]) {
            case "brave" -> new WithBrave();
            case "java_library" -> new WithOpenTelemetry();
            case "java_2019" -> new WithOpenTracing();
            default -> new Tracing() {};
        };
        int count = Integer.parseInt(words[4]);
        Producer<String, String> producer = words[1].equals("receive") ? null : tracing.producer(new KafkaProducer<>(
            Map.of("bootstrap.servers", words[2]), new StringSerializer(), new StringSerializer()));
        if (words[1].equals("send")) {
            try (AutoCloseable order = tracing.order()) {
                for (int at = 0; at < count; at++) producer.send(new ProducerRecord<>(words[3], 0, "key", "message " + at)).get();
            }
            producer.close();
            return;
        }
        Consumer<String, String> consumer = tracing.consumer(new KafkaConsumer<>(
            Map.of("bootstrap.servers", words[2], "group.id", words[1] + words[3], "auto.offset.reset", "earliest"),
            new StringDeserializer(), new StringDeserializer()));
        consumer.subscribe(List.of(words[3].split(",")));
        while (count > 0)
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                count--;
                if (producer != null)
                    producer.send(new ProducerRecord<>(words[3] + "-on", 0, record.key(), record.value(), record.headers())).get();
            }
        consumer.close();
        if (producer != null) producer.close();
    }

    static final boolean KEEPS = !"always_off".equals(System.getenv("OTEL_TRACES_SAMPLER"));

    static void say(Object kind, String trace, String id, String parent) {
        System.out.println("span " + kind + " " + "0".repeat(32 - trace.length()) + trace + " " + id + " " + parent);
    }

    interface Tracing {
        default Producer<String, String> producer(Producer<String, String> producer) { return producer; }
        default Consumer<String, String> consumer(Consumer<String, String> consumer) { return consumer; }
        /** What is sent before its end belongs to it, and has its baggage. */
        default AutoCloseable order() { return () -> {}; }
    }

    static final class WithBrave extends brave.handler.SpanHandler implements Tracing {
        final KafkaTracing tracing = KafkaTracing.create(brave.Tracing.newBuilder().traceId128Bit(true)
            .sampler(KEEPS ? brave.sampler.Sampler.ALWAYS_SAMPLE : brave.sampler.Sampler.NEVER_SAMPLE).addSpanHandler(this).build());

        @Override public Producer<String, String> producer(Producer<String, String> producer) { return tracing.producer(producer); }
        @Override public Consumer<String, String> consumer(Consumer<String, String> consumer) { return tracing.consumer(consumer); }
        @Override public boolean end(TraceContext of, brave.handler.MutableSpan span, Cause cause) {
            say(span.kind(), span.traceId(), span.id(), span.parentId());
            return true;
        }
    }

    static final class WithOpenTelemetry implements SpanProcessor, Tracing {
        final KafkaTelemetry telemetry = KafkaTelemetry.create(OpenTelemetrySdk.builder()
            .setTracerProvider(SdkTracerProvider.builder().addSpanProcessor(this)
                .setSampler(KEEPS ? Sampler.parentBased(Sampler.alwaysOn()) : Sampler.alwaysOff())
                .build())
            .setPropagators(ContextPropagators.create(
                TextMapPropagator.composite(W3CTraceContextPropagator.getInstance(), W3CBaggagePropagator.getInstance())))
            .build());

        @Override public Producer<String, String> producer(Producer<String, String> producer) { return telemetry.wrap(producer); }
        @Override public Consumer<String, String> consumer(Consumer<String, String> consumer) { return telemetry.wrap(consumer); }
        @Override public AutoCloseable order() { return Baggage.builder().put("customer", "7").build().makeCurrent(); }
        @Override public void onStart(Context parent, ReadWriteSpan span) {}
        @Override public boolean isStartRequired() { return false; }
        @Override public boolean isEndRequired() { return true; }
        @Override public void onEnd(ReadableSpan span) {
            say(span.getKind(), span.getSpanContext().getTraceId(), span.getSpanContext().getSpanId(), span.getParentSpanContext().getSpanId());
        }
    }

    /** As it was in 2019: trace ids of 64 bits, and a consumer's span that follows from the producer's. */
    static final class WithOpenTracing implements Reporter, Tracing {
        final JaegerTracer tracer = new JaegerTracer.Builder("others").withSampler(new ConstSampler(KEEPS)).withReporter(this).build();

        @Override public Producer<String, String> producer(Producer<String, String> producer) { return new TracingKafkaProducer<>(producer, tracer); }
        @Override public Consumer<String, String> consumer(Consumer<String, String> consumer) { return new TracingKafkaConsumer<>(consumer, tracer); }
        @Override public AutoCloseable order() {
            Span order = tracer.buildSpan("order").start().setBaggageItem("customer", "7");
            Scope scope = tracer.activateSpan(order);
            return () -> {
                scope.close();
                order.finish();
            };
        }
        @Override public void close() {}
        @Override public void report(JaegerSpan span) {
            String parent = span.getReferences().stream().map(one -> one.getSpanContext().toSpanId()).findFirst().orElse(null);
            say(span.getTags().getOrDefault("span.kind", "internal").toString().toUpperCase(), span.context().toTraceId(), span.context().toSpanId(), parent);
        }
    }
}
