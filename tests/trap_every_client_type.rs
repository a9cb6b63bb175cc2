//! Promise: all five client types of the `rdkafka` crate are traced, and stay the crate's own.
//!
//! Without `Instrumentation::apply` setting `plugin.library.paths` every test here finds no span.

use std::time::Duration;

use futures_executor::block_on;
use rdkafka::Message;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext, StreamConsumer};
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, Producer as _, ThreadedProducer,
};
use rdkafka::util::NaiveRuntime;
use tracer_resolver_rdkafka::Processing;
use words::kafka::{next_message, subscribe};
use words::{LIMIT, ONE_SERVICE, Traced};

const TREE: &str = "app: send orders\n  app: process orders\n";

fn consume_with_base_consumer(traced: &Traced) {
    let consumer: BaseConsumer = subscribe(&traced.config(Some("shop")), "orders");
    drop(Processing::start_for(traced.resolver(), None, &next_message(&consumer)));
}

#[test]
fn base_producer_and_base_consumer() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer = traced.producer();
    producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    producer.flush(LIMIT).unwrap();
    consume_with_base_consumer(&traced);
    assert_eq!(traced.traces(), TREE);
}

#[test]
fn threaded_producer_and_stream_consumer() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer: ThreadedProducer<DefaultProducerContext> = traced.config(None).create().unwrap();
    producer.send(BaseRecord::<str, str>::to("orders").payload("an order")).unwrap();
    producer.flush(LIMIT).unwrap();
    let consumer: StreamConsumer<DefaultConsumerContext, NaiveRuntime> = traced.config(Some("shop")).create().unwrap();
    consumer.subscribe(&["orders"]).unwrap();
    let message = block_on(consumer.recv()).unwrap();
    assert_eq!(message.payload(), Some(&b"an order"[..]));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(traced.traces(), TREE);
}

#[test]
fn future_producer() {
    let traced = Traced::start(&["orders"], ONE_SERVICE);
    let producer: FutureProducer<DefaultClientContext, NaiveRuntime> = traced.config(None).create().unwrap();
    let record = FutureRecord::<str, str>::to("orders").payload("an order");
    block_on(producer.send(record, Duration::from_secs(10))).unwrap();
    consume_with_base_consumer(&traced);
    assert_eq!(traced.traces(), TREE);
}
