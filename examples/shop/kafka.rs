//! The Kafka cluster, and clients of it: rdkafka's own, traced by one line.

mod feed;
mod producer;
mod topics;

use std::fmt;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub(crate) use self::feed::Feed;
pub(crate) use self::producer::Producer;
use crate::board::Board;
use crate::order::Failure;

/// The embedded cluster, which ends with this, or a real one.
pub(crate) struct Kafka {
    bootstrap: String,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
    /// Begins every key and ends the name of every group, so that runs on a real cluster are told apart.
    run: String,
}

impl Kafka {
    /// The cluster at `bootstrap`, with the topics it lacks made there, or without one librdkafka's mock cluster, in this process and on loopback.
    pub(crate) fn start(bootstrap: Option<&str>) -> Result<Self, Failure> {
        let run = format!("{:x}-{:x}", std::process::id(), started_nanos());
        if let Some(bootstrap) = bootstrap {
            let kafka = Kafka { bootstrap: bootstrap.to_owned(), mock: None, run };
            topics::make(&kafka.config("probe"), bootstrap)?;
            return Ok(kafka);
        }
        let mock = MockCluster::new(1)?;
        for topic in topics::TOPICS {
            mock.create_topic(topic, 2, 1)?;
        }
        Ok(Kafka { bootstrap: mock.bootstrap_servers(), mock: Some(mock), run })
    }

    /// A producer of one service.
    pub(crate) fn producer(&self, client_id: &str, board: &Arc<Board>) -> Result<Producer, Failure> {
        let mut config = self.config(client_id);
        config.set("linger.ms", "1");
        tracer_resolver_rdkafka::instrument(&mut config)?; // This line is all there is to tracing it.
        Producer::new(&config, &self.run, board)
    }

    /// A service's consumer, the one member of its group. The group is this run's own: in another one, a run that was
    /// killed is a member until Kafka has missed it for 45 seconds.
    pub(crate) fn feed(&self, group: &str, topics: &[&str], board: &Arc<Board>) -> Result<Feed, Failure> {
        let mut config = self.config(group);
        config.set("group.id", format!("{group}-{}", self.run)).set("fetch.wait.max.ms", "5");
        // Nobody goes on where this run ends; and a group without offsets leaves nothing behind.
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "latest");
        tracer_resolver_rdkafka::instrument(&mut config)?; // And this one.
        Feed::new(&config, topics, &self.run, board)
    }

    fn config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("client.id", client_id);
        config
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.mock.is_some() { "librdkafka's embedded mock cluster, " } else { "" };
        write!(f, "{kind}{}", self.bootstrap)
    }
}

fn started_nanos() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos())
}
