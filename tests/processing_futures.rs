//! Promise: a future that is the processing of a message has the message's span current at every poll and on whatever
//! thread, gives it its length, and fails it when it fails; with the process's own resolver and nothing else at hand.

use std::fmt;
use std::task::Poll;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::producer::{BaseProducer, BaseRecord};
use tracer_resolver_rdkafka::{Processing, instrument, process};
use words::kafka::{assign, next_message};
use words::{ORDERS_AND_BILLS, Traced, block_on, child, draw_traces, is_child, run, send};

struct Refused {
    by: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by {}", self.by)
    }
}

/// What the child does: four orders, each processed in another way.
#[test]
fn program() {
    if !is_child() {
        return;
    }
    let mut out = child::kafka();
    instrument(&mut out).unwrap();
    let mut back = out.clone();
    back.set("group.id", "g");
    let producer: BaseProducer = out.create().unwrap();
    for _ in 0..4 {
        send(&producer, BaseRecord::to("orders").key("k").payload("p"));
    }
    let consumer = assign(&back, "orders");
    let bill = || send(&producer, BaseRecord::to("bills").key("k").payload("p"));

    let message = next_message(&consumer);
    let charged: Result<u32, Refused> = block_on(process(&message, async {
        bill();
        pause().await;
        std::thread::sleep(Duration::from_millis(30));
        bill();
        Ok(7)
    }));
    assert_eq!(charged.map_err(|refused| refused.to_string()), Ok(7), "what the work returns is returned");
    assert!(!Context::current().has_active_span());

    let message = next_message(&consumer);
    let refused: Result<u32, Refused> = block_on(process(&message, async {
        pause().await;
        Err(Refused { by: "the bank" })
    }));
    assert!(refused.is_err());

    // Begun on one thread, polled to its end on another, as runtimes do.
    let message = next_message(&consumer);
    let work = process(&message, async {
        bill();
        Ok::<_, Refused>(())
    });
    std::thread::scope(|scope| scope.spawn(|| block_on(work)).join().unwrap())
        .map_err(|refused| refused.to_string())
        .unwrap();

    // A future that is dropped before its end: the processing ended there.
    let message = next_message(&consumer);
    drop(process(&message, std::future::pending::<Result<(), Refused>>()));

    // And the guard, with the process's own resolver.
    drop(Processing::start(&message));
}

async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_future_is_the_processing_of_its_message() {
    let traced = Traced::start(&["orders", "bills"], ORDERS_AND_BILLS);
    run(&mut traced.again("program")).expect_success();
    let spans = traced.spans();
    assert_eq!(
        draw_traces(&spans),
        "shop: send orders\n  billing: process orders\n    billing: send bills\n    billing: send bills\n\
         shop: send orders\n  billing: process orders !Refused\n\
         shop: send orders\n  billing: process orders\n    billing: send bills\n\
         shop: send orders\n  billing: process orders\n  billing: process orders\n"
    );
    let processed: Vec<_> = spans.iter().filter(|span| span.name == "process orders").collect();
    assert!(processed.iter().any(|span| span.duration_nano() >= 30_000_000), "as long as the work");
    assert!(processed.iter().any(|span| span.status_message == "refused by the bank"));
}
