//! Promise: what the shop sends and billing receives is one trace, in Rust and in any other language.

use rdkafka::producer::BaseRecord;
use words::fake_librdkafka::Workshop;
use words::kafka::next_message;
use words::{Traced, WayIn, run, send};

// The file that INTERCEPTORS_CONFIG_FILE names. The words add where spans go.
const FILE: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
"#;

#[test]
fn an_order_is_one_trace() {
    let traced = Traced::start(&["orders"], FILE);
    send(&traced.producer(), BaseRecord::to("orders").key("1").payload("an order"));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "shop: send orders\n  billing: receive orders\n");
}

#[test]
fn an_order_is_one_trace_in_a_program_that_is_not_in_rust() {
    let Some(workshop) = Workshop::open() else { return };
    let program = workshop.build_linked("program", &["program.c", "run.c"]);
    let traced = Traced::start(&[], FILE);
    // Preloaded, the library sees when the program asks for the next message, and so when it is done with this one.
    for (way, operation) in [(WayIn::Property, "receive"), (WayIn::Preload, "process")] {
        run(&mut traced.command(way, &program)).expect_success();
        assert_eq!(traced.take_traces(), format!("shop: send orders\n  billing: {operation} orders\n"), "{way:?}");
    }
}
