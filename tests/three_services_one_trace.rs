//! Promise: one file gives each of several services in one process its own tracer and backend plugin, and a message's
//! whole way through them is one trace.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver_rdkafka::{Instrumentation, Processing};
use words::kafka::{Kafka, next_message, subscribe};
use words::receivers::{JaegerReceiver, OtlpReceiver, ZipkinReceiver};

fn traced(resolver: &Resolver, mut config: ClientConfig) -> ClientConfig {
    Instrumentation::new(resolver).apply(&mut config).unwrap();
    config
}

#[test]
fn send_process_send_across_three_services_with_three_plugins_is_one_trace() {
    let (jaeger, zipkin, otlp) =
        (JaegerReceiver::start().unwrap(), ZipkinReceiver::start().unwrap(), OtlpReceiver::start().unwrap());
    let text = format!(
        r#"
        version = 1
        [services.orders]
        produces = ["orders"]
        export = ["jaeger"]
        [services.payments]
        consumes = ["orders"]
        produces = ["payments"]
        export = ["zipkin"]
        [services.shipping]
        consumes = ["payments"]
        export = ["otlp"]
        [backends.jaeger]
        plugin = "jaeger"
        config = {{ endpoint = "{}" }}
        [backends.zipkin]
        plugin = "zipkin"
        config = {{ endpoint = "{}" }}
        [backends.otlp]
        plugin = "otlp"
        config = {{ endpoint = "{}" }}
        "#,
        jaeger.endpoint(),
        zipkin.endpoint(),
        otlp.endpoint()
    );
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));

    let kafka = Kafka::start(&["orders", "payments"]);
    let producer: BaseProducer = traced(&resolver, kafka.config()).create().unwrap();
    producer.send(BaseRecord::<str, str>::to("orders").key("1").payload("an order")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();

    let orders = subscribe(&traced(&resolver, kafka.consumer_config("payments")), "orders");
    let message = next_message(&orders);
    {
        let _processing = Processing::start_for(&resolver, None, &message);
        producer.send(BaseRecord::<str, str>::to("payments").key("1").payload("a payment")).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }
    let payments = subscribe(&traced(&resolver, kafka.consumer_config("shipping")), "payments");
    drop(Processing::start_for(&resolver, None, &next_message(&payments)));
    assert!(resolver.flush(Duration::from_secs(10)));

    let spans = [jaeger.spans(), zipkin.spans(), otlp.spans()].concat();
    assert_eq!(
        words::draw_traces(&spans),
        "orders: send orders\n  payments: process orders\n    payments: send payments\n      shipping: process payments\n",
        "{spans:#?}"
    );
    assert_eq!((jaeger.spans().len(), zipkin.spans().len(), otlp.spans().len()), (1, 2, 1));
}
