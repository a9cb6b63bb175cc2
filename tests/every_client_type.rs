//! Promise: every client type of the `rdkafka` crate is traced as it is, and behaves as untraced: callbacks, null keys,
//! seeking, transactions, groups.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult, FutureProducer, FutureRecord, Producer,
    ProducerContext, ThreadedProducer,
};
use rdkafka::util::AsyncRuntime;
use rdkafka::{Offset, TopicPartitionList};
use words::kafka::{assign, next_message, subscribe};
use words::{LIMIT, Traced, block_on, send};

const BOTH: &str = "[services.app]\ntopics = [\"*\"]\n";

/// Sleeps on a thread of its own: enough of a runtime for rdkafka's asynchronous clients.
struct Threads;

impl AsyncRuntime for Threads {
    type Delay = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

    fn spawn<T: Future<Output = ()> + Send + 'static>(task: T) {
        std::thread::spawn(move || block_on(task));
    }

    fn delay_for(duration: Duration) -> Self::Delay {
        let state = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            std::thread::sleep(duration);
            let mut state = shared.lock().unwrap();
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = state.lock().unwrap();
            if state.0 {
                return std::task::Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            std::task::Poll::Pending
        }))
    }
}

/// Counts deliveries, and what their callback saw as the topic.
#[derive(Clone, Default)]
struct Callback {
    calls: Arc<AtomicUsize>,
    topics: Arc<Mutex<Vec<String>>>,
}

impl ClientContext for Callback {}

impl ProducerContext for Callback {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<usize>) {
        let message = result.as_ref().unwrap();
        self.calls.fetch_add(*opaque, Ordering::SeqCst);
        self.topics.lock().unwrap().push(message.topic().to_owned());
    }
}

#[test]
fn one_message_through_base_clients_is_exactly_two_spans() {
    // K16, K22: with a null key at that.
    let traced = Traced::start(&["messages"], BOTH);
    send(&traced.producer(), BaseRecord::<str, str>::to("messages").payload("p"));
    let message = next_message(&traced.consumer("messages"));
    assert_eq!((message.key(), message.payload()), (None, Some(&b"p"[..])));
    assert_eq!(traced.traces(), "app: send messages\n  app: receive messages\n");
}

#[test]
fn delivery_callbacks_come_as_ever_with_the_application_s_own_opaque() {
    // K17: with and without a callback; it sees the topic.
    let traced = Traced::start(&["messages"], BOTH);
    let callback = Callback::default();
    let producer: ThreadedProducer<Callback> = traced.config(None).create_with_context(callback.clone()).unwrap();
    for opaque in [1, 10] {
        let record = BaseRecord::with_opaque_to("messages", Box::new(opaque)).key("k").payload("p");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    assert_eq!(callback.calls.load(Ordering::SeqCst), 11);
    assert_eq!(*callback.topics.lock().unwrap(), ["messages", "messages"]);
    let consumer = traced.consumer("messages");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(traced.spans().len(), 4);
}

#[test]
fn the_future_producer_and_the_stream_consumer_are_traced_across_awaits() {
    let traced = Traced::start(&["messages"], BOTH);
    let producer: FutureProducer<_, Threads> = traced.config(None).create().unwrap();
    let sent = block_on(producer.send(FutureRecord::to("messages").key("k").payload("p"), Duration::from_secs(10)));
    assert_eq!(sent.map_err(|(error, _)| error).unwrap().offset, 0);
    let consumer: StreamConsumer<_, Threads> = traced.config(Some("g")).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("messages", 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let message = block_on(consumer.recv()).unwrap().detach();
    let worked: Result<u8, std::num::ParseIntError> = block_on(async {
        let guard = tracer_resolver_rdkafka::Processing::start_for(traced.resolver(), None, &message);
        let context = guard.context().clone();
        drop(guard);
        use opentelemetry::context::FutureExt as _;
        let work = producer.send(FutureRecord::to("messages").key("k").payload("again"), Duration::from_secs(10));
        work.with_context(context).await.map_err(|(error, _)| error).unwrap();
        "7".parse()
    });
    assert_eq!(worked, Ok(7));
    assert_eq!(
        traced.traces(),
        "app: send messages\n  app: process messages\n    app: send messages\n",
        "the span is the parent although the send was polled after the guard"
    );
}

#[test]
fn an_untraced_producer_s_messages_begin_traces_at_the_traced_consumer() {
    // K19: a span even without a context, which the original gave only later.
    let traced = Traced::start(&["messages"], BOTH);
    traced.send_untraced("messages", &[]);
    traced.send_untraced("messages", &[]);
    let consumer = traced.consumer("messages");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(traced.traces(), "app: receive messages\napp: receive messages\n");
}

#[test]
fn seeking_back_gives_each_delivery_a_span_of_its_own() {
    // K23: assign, seek, close.
    let traced = Traced::start(&["messages"], BOTH);
    send(&traced.producer(), BaseRecord::to("messages").key("k").payload("p"));
    let consumer = traced.consumer("messages");
    next_message(&consumer);
    consumer.seek("messages", 0, Offset::Beginning, Duration::from_secs(10)).unwrap();
    next_message(&consumer);
    drop(consumer);
    assert_eq!(
        traced.traces_with(&["messaging.kafka.offset"]),
        "app: send messages {offset=0}\n  app: receive messages {offset=0}\n  app: receive messages {offset=0}\n"
    );
}

#[test]
fn a_group_s_consumer_joins_reads_and_commits_as_ever() {
    let traced = Traced::start(&["messages"], BOTH);
    send(&traced.producer(), BaseRecord::to("messages").key("k").payload("p"));
    let consumer = subscribe(&traced.config(Some("g")), "messages");
    next_message(&consumer);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("messages", 0, Offset::Offset(1)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    let committed = consumer.committed(Duration::from_secs(20)).unwrap();
    assert_eq!(committed.find_partition("messages", 0).unwrap().offset(), Offset::Offset(1));
    assert_eq!(traced.traces(), "app: send messages\n  app: receive messages\n");
}

#[test]
fn a_transaction_s_messages_are_traced_and_an_aborted_one_fails() {
    let traced = Traced::start(&["messages"], BOTH);
    let mut config = traced.config(None);
    config.set("transactional.id", "tx").set("linger.ms", "2000");
    // Committing needs deliveries to be polled, which this one does by itself.
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to("messages").key("k").payload("kept")).map_err(|(error, _)| error).unwrap();
    producer.commit_transaction(Duration::from_secs(20)).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to("messages").key("k").payload("not kept")).map_err(|(error, _)| error).unwrap();
    producer.abort_transaction(Duration::from_secs(20)).unwrap();
    assert_eq!(traced.traces(), "app: send messages\napp: send messages !_PURGE_QUEUE\n");
}

#[test]
fn a_configuration_used_for_several_clients_and_instrumented_twice_traces_each_message_once() {
    // D8: both ways at once traced everything twice.
    let traced = Traced::start(&["messages"], BOTH);
    let config = traced.apply(traced.config(None));
    for _ in 0..2 {
        let producer: BaseProducer = config.create().unwrap();
        send(&producer, BaseRecord::to("messages").key("k").payload("p"));
    }
    let consumer: BaseConsumer = assign(&traced.apply(traced.config(Some("g"))), "messages");
    next_message(&consumer);
    next_message(&consumer);
    assert_eq!(
        traced.traces(),
        "app: send messages\n  app: receive messages\napp: send messages\n  app: receive messages\n"
    );
}

#[test]
fn a_client_can_be_created_before_the_topic_exists_and_after_the_resolver_s_handle_is_gone() {
    let traced = Traced::start(&[], BOTH);
    let producer = traced.producer();
    let handle = traced.resolver().clone();
    drop(handle);
    traced.kafka.cluster().create_topic("late", 1, 1).unwrap();
    send(&producer, BaseRecord::to("late").key("k").payload("p"));
    assert_eq!(traced.traces(), "app: send late\n");
}
