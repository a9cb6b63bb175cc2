//! The flow in which each service passes on the headers that it got, with nothing of ours in its code.

use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;

use crate::kafka::next_message;
use crate::{Traced, send};

/// The two services of the flow: `front` orders and is paid, `back` is paid for orders.
pub const FORWARDING: &str = r#"
    [services.front]
    produces = ["orders"]
    consumes = ["payments"]
    [services.back]
    consumes = ["orders"]
    produces = ["payments"]
    # The application finds the context of its own consumer span in the headers, and passes that on.
    reinject = true
"#;

/// So many orders one after the other through the Rust crate, drawn.
pub fn forwarding_in_rust(orders: usize) -> String {
    let traced = Traced::start(&["orders", "payments"], FORWARDING);
    let producer = traced.producer();
    let (back, front) = (traced.consumer("orders"), traced.consumer("payments"));
    for _ in 0..orders {
        send(&producer, BaseRecord::<str, str>::to("orders").payload("order"));
        let order = next_message(&back);
        let headers = order.headers().unwrap().clone();
        send(&producer, BaseRecord::<str, str>::to("payments").payload("paid").headers(headers));
        next_message(&front);
    }
    traced.traces()
}
