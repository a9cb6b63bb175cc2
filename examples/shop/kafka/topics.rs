//! The topics of the shop.

use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::order::Failure;

/// All that the services say to each other.
pub(super) const TOPICS: [&str; 4] = ["orders", "payments.accepted", "payments.declined", "shipments"];

/// Makes those that the cluster lacks, and waits until every partition has its leader.
pub(super) fn make(config: &ClientConfig, bootstrap: &str) -> Result<(), Failure> {
    let probe: BaseConsumer = config.create()?;
    let there = probe
        .fetch_metadata(None, Duration::from_secs(10))
        .map_err(|error| Failure::new(format!("--bootstrap {bootstrap}: no Kafka answers there: {error}")))?;
    let missing = |topic: &&str| there.topics().iter().all(|known| known.name() != *topic);
    // As many copies as the brokers make by themselves.
    let wanted: Vec<_> = TOPICS.into_iter().filter(missing).collect();
    let wanted: Vec<_> =
        wanted.iter().map(|topic| NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(-1))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    for made in block_on(admin.create_topics(&wanted, &AdminOptions::new()))? {
        match made {
            // Another shop may have been quicker.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => {
                return Err(Failure::new(format!(
                    "--bootstrap {bootstrap}: the topic {topic} cannot be made there: {error}"
                )));
            }
        }
    }
    let made = Instant::now();
    while !TOPICS.into_iter().all(|topic| has_leaders(&probe, topic)) {
        if made.elapsed() > LEADER_LIMIT {
            return Err(Failure::new(format!("--bootstrap {bootstrap}: the new topics have no leaders")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn has_leaders(probe: &BaseConsumer, topic: &str) -> bool {
    let Ok(metadata) = probe.fetch_metadata(Some(topic), Duration::from_secs(5)) else { return false };
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut leaders = partitions.map(|partition| partition.leader()).peekable();
    leaders.peek().is_some() && leaders.all(|leader| leader >= 0)
}

const PARTITIONS: i32 = 4;
const LEADER_LIMIT: Duration = Duration::from_secs(30);
