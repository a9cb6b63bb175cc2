//! Promise: `relation = "link"` makes a consumer's span the root of a new trace that points to the span that sent the
//! message; what follows from it belongs to the new trace.

use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;
use words::kafka::next_message;
use words::{Traced, send};

const LINKED: &str = r#"
[services.shop]
produces = ["orders.*"]
[services.billing]
consumes = ["orders.*"]
produces = ["bills"]
relation = "link"
[services.billing.topic."orders.urgent"]
relation = "parent"
"#;

#[test]
fn a_received_message_is_a_trace_of_its_own_that_links_to_the_sender() {
    let traced = Traced::start(&["orders.new"], LINKED);
    send(&traced.producer(), BaseRecord::to("orders.new").key("k").payload("p"));
    next_message(&traced.consumer("orders.new"));
    assert_eq!(traced.traces(), "shop: send orders.new\nbilling: receive orders.new -> send orders.new\n");
    let spans = traced.collector.spans();
    let send = spans.iter().find(|span| span.name.starts_with("send")).unwrap();
    let receive = spans.iter().find(|span| span.name.starts_with("receive")).unwrap();
    assert_eq!(receive.links[0].trace_id, send.trace_id);
    assert_ne!(receive.trace_id, send.trace_id);
}

#[test]
fn a_processed_message_links_too_and_what_it_sends_is_in_the_new_trace() {
    let traced = Traced::start(&["orders.new", "bills"], LINKED);
    send(&traced.producer(), BaseRecord::to("orders.new").key("k").payload("p"));
    let message = next_message(&traced.consumer("orders.new"));
    {
        let _processing = Processing::start_for(traced.resolver(), None, &message);
        send(&traced.producer(), BaseRecord::to("bills").key("k").payload("p"));
    }
    assert_eq!(
        traced.traces(),
        "shop: send orders.new\nbilling: process orders.new -> send orders.new\n  billing: send bills\n"
    );
}

#[test]
fn a_topic_of_the_service_can_have_the_other_relation() {
    let traced = Traced::start(&["orders.urgent"], LINKED);
    send(&traced.producer(), BaseRecord::to("orders.urgent").key("k").payload("p"));
    next_message(&traced.consumer("orders.urgent"));
    assert_eq!(traced.traces(), "shop: send orders.urgent\n  billing: receive orders.urgent\n");
}

#[test]
fn a_message_without_a_context_has_nothing_to_link_to() {
    let traced = Traced::start(&["orders.new"], LINKED);
    traced.send_untraced("orders.new", &[("traceparent", "nonsense")]);
    next_message(&traced.consumer("orders.new"));
    assert_eq!(traced.traces(), "billing: receive orders.new\n");
    assert!(traced.collector.spans()[0].links.is_empty());
}

#[test]
fn the_new_trace_is_sampled_by_the_consumer_s_own_sampler_and_has_no_state_of_others() {
    let traced = Traced::start(&["orders.new"], LINKED);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    traced.send_untraced("orders.new", &[("traceparent", unsampled), ("tracestate", "vendor=1")]);
    let message = next_message(&traced.consumer("orders.new"));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(traced.traces_with(&["trace_state"]), "billing: process orders.new -> ?\n");
}
