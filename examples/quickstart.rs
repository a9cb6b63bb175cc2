//! One line traces a client. Run it with
//!
//! ```sh
//! INTERCEPTORS_CONFIG_FILE=examples/quickstart.toml cargo run --example quickstart
//! ```
//!
//! and every span comes to stderr, by the backend plugin of `examples/own_backend`. No Kafka is needed: librdkafka brings
//! a cluster for tests. Without the variable the same program runs untraced.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _};
use tracer_resolver_rdkafka::{Processing, Resolver, instrument};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kafka = MockCluster::new(1)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap_servers()).set("group.id", "payments");
    config.set("auto.offset.reset", "earliest");

    instrument(&mut config)?; // The one line.

    let producer: BaseProducer = config.create()?;
    producer.send(BaseRecord::to("orders").key("1").payload("two books")).map_err(|(error, _)| error)?;
    producer.flush(Duration::from_secs(10))?;

    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&["orders"])?;
    let message = loop {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            break message?;
        }
    };
    {
        // Optional: the consumer's span lasts as long as the work, and what is sent meanwhile continues the trace.
        let _processing = Processing::start(&message);
        let order = String::from_utf8_lossy(message.payload().unwrap_or_default());
        let payment = format!("paid: {order}");
        producer.send(BaseRecord::to("payments").key("1").payload(&payment)).map_err(|(error, _)| error)?;
        producer.flush(Duration::from_secs(10))?;
    }
    // Optional: at its normal end a process sends what it has in hand anyway.
    Resolver::global()?.flush(Duration::from_secs(5));
    Ok(())
}
