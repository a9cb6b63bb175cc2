//! The flow in which one service processes order by order, sending a payment for each, with nothing of ours in its code.

use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;

use crate::kafka::{assign, next_message};
use crate::{Traced, send};

/// The two services of the flow: the shop orders and is paid, billing is paid for orders.
pub const PROCESSING: &str = r#"
    [services.shop]
    produces = ["orders"]
    consumes = ["payments"]
    [services.billing]
    consumes = ["orders"]
    produces = ["payments"]
"#;

/// The services of programs that pay for orders in shapes of their own: what they send to `payments`, and what comes from there, is
/// billing's.
pub const PAYING: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    topics = ["payments"]
"#;

/// Whether the shop, which sends nothing while it is at a payment, says when it is done with it. A program without code
/// does so only where its polls are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shop {
    /// It does: a payment is processed.
    SaysWhenItIsDone,
    /// It does not: a payment is received.
    SaysNothing,
}

/// So many orders through the Rust crate, which opens a guard for each, drawn.
pub fn processing_in_rust(orders: usize, shop: Shop) -> String {
    let traced = Traced::start(&["orders", "payments"], PROCESSING);
    let resolver = traced.resolver();
    let producer = traced.producer();
    for number in 0..orders {
        send(&producer, BaseRecord::<str, str>::to("orders").payload(&format!("order {number}")));
    }
    let to_pay = assign(&traced.config(Some("billing")), "orders");
    for _ in 0..orders {
        let order = next_message(&to_pay);
        let _processing = Processing::start_for(resolver, None, &order);
        let payment = format!("paid: {}", String::from_utf8_lossy(order.payload().unwrap()));
        send(&producer, BaseRecord::<str, str>::to("payments").payload(&payment));
    }
    let paid = assign(&traced.config(Some("shop")), "payments");
    for _ in 0..orders {
        let payment = next_message(&paid);
        if shop == Shop::SaysWhenItIsDone {
            drop(Processing::start_for(resolver, None, &payment));
        }
    }
    traced.traces()
}
