//! Promise: one file gives each of several services in one process its own tracer and backend plugin, and a message's
//! whole way through them is one trace.

use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;
use words::kafka::{next_message, subscribe};
use words::receivers::{JaegerReceiver, ZipkinReceiver};
use words::{Traced, draw_traces, send};

#[test]
fn send_process_send_across_three_services_with_three_plugins_is_one_trace() {
    let (jaeger, zipkin) = (JaegerReceiver::start().unwrap(), ZipkinReceiver::start().unwrap());
    let file = format!(
        r#"
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
        "#,
        jaeger.endpoint(),
        zipkin.endpoint()
    );
    let traced = Traced::start(&["orders", "payments"], &file);
    let producer = traced.producer();
    send(&producer, BaseRecord::<str, str>::to("orders").key("1").payload("an order"));

    let orders = subscribe(&traced.config(Some("payments")), "orders");
    let message = next_message(&orders);
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        send(&producer, BaseRecord::<str, str>::to("payments").key("1").payload("a payment"));
    }
    let payments = subscribe(&traced.config(Some("shipping")), "payments");
    drop(Processing::start_for(traced.resolver(), None, &next_message(&payments)));

    // All three have what was exported, once the resolver is asked.
    let otlp = traced.spans();
    let spans = [jaeger.spans(), zipkin.spans(), otlp.clone()].concat();
    assert_eq!(
        draw_traces(&spans),
        "orders: send orders\n  payments: process orders\n    payments: send payments\n      shipping: process payments\n",
        "{spans:#?}"
    );
    assert_eq!((jaeger.spans().len(), zipkin.spans().len(), otlp.len()), (1, 2, 1));
}
