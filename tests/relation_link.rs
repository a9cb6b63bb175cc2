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
    let cluster = Traced::start(&["orders.new"], LINKED);
    send(&cluster.producer(), BaseRecord::to("orders.new").key("k").payload("p"));
    next_message(&cluster.consumer("orders.new"));
    assert_eq!(cluster.traces(), "shop: send orders.new\nbilling: receive orders.new -> send orders.new\n");
    let spans = cluster.collector.spans();
    let send = spans.iter().find(|span| span.name.starts_with("send")).unwrap();
    let receive = spans.iter().find(|span| span.name.starts_with("receive")).unwrap();
    assert_eq!(receive.links[0].trace_id, send.trace_id);
    assert_ne!(receive.trace_id, send.trace_id);
}

#[test]
fn a_processed_message_links_too_and_what_it_sends_is_in_the_new_trace() {
    let cluster = Traced::start(&["orders.new", "bills"], LINKED);
    send(&cluster.producer(), BaseRecord::to("orders.new").key("k").payload("p"));
    let message = next_message(&cluster.consumer("orders.new"));
    {
        let _processing = Processing::start_for(cluster.resolver(), None, &message);
        send(&cluster.producer(), BaseRecord::to("bills").key("k").payload("p"));
    }
    assert_eq!(
        cluster.traces(),
        "shop: send orders.new\nbilling: process orders.new -> send orders.new\n  billing: send bills\n"
    );
}

#[test]
fn a_topic_of_the_service_can_have_the_other_relation() {
    let cluster = Traced::start(&["orders.urgent"], LINKED);
    send(&cluster.producer(), BaseRecord::to("orders.urgent").key("k").payload("p"));
    next_message(&cluster.consumer("orders.urgent"));
    assert_eq!(cluster.traces(), "shop: send orders.urgent\n  billing: receive orders.urgent\n");
}

#[test]
fn a_message_without_a_context_has_nothing_to_link_to() {
    let cluster = Traced::start(&["orders.new"], LINKED);
    cluster.send_untraced("orders.new", &[("traceparent", "nonsense")]);
    next_message(&cluster.consumer("orders.new"));
    assert_eq!(cluster.traces(), "billing: receive orders.new\n");
    assert!(cluster.collector.spans()[0].links.is_empty());
}

#[test]
fn the_new_trace_is_sampled_by_the_consumer_s_own_sampler_and_has_no_state_of_others() {
    let cluster = Traced::start(&["orders.new"], LINKED);
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    cluster.send_untraced("orders.new", &[("traceparent", unsampled), ("tracestate", "vendor=1")]);
    let message = next_message(&cluster.consumer("orders.new"));
    drop(Processing::start_for(cluster.resolver(), None, &message));
    assert_eq!(cluster.traces_with(&["trace_state"]), "billing: process orders.new -> ?\n");
}
