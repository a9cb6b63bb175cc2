//! One traced service and the collector its spans go to.

use std::time::Duration;

use rdkafka::ClientConfig;
use tracer_resolver::config::Source;
use tracer_resolver::{Resolver, ServiceStats};
use tracer_resolver_rdkafka::Instrumentation;

use crate::draw_traces;
use crate::receivers::{OtlpReceiver, ReceivedSpan};

/// A resolver of one service, `app`, which gets every topic, and a collector.
pub struct Traced {
    /// The resolver.
    pub resolver: Resolver,
    /// Where its spans go.
    pub collector: OtlpReceiver,
}

impl Traced {
    /// Starts both; `settings` are lines of `[services.app]`.
    pub fn start(settings: &str) -> Self {
        let collector = OtlpReceiver::start().unwrap();
        Self { resolver: resolver_to(&collector.endpoint(), settings), collector }
    }

    /// `config`, traced.
    pub fn config(&self, mut config: ClientConfig) -> ClientConfig {
        Instrumentation::new(&self.resolver).apply(&mut config).unwrap();
        config
    }

    /// Every span that has ended so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        assert!(self.resolver.flush(Duration::from_secs(20)), "{:?}", self.resolver.stats());
        self.collector.spans()
    }

    /// Every trace so far, drawn.
    pub fn drawing(&self) -> String {
        draw_traces(&self.spans())
    }

    /// What was counted for the service.
    pub fn counters(&self) -> ServiceStats {
        counters(&self.resolver)
    }
}

/// A resolver of one service, `app`, which gets every topic and sends its spans to an OTLP collector at `endpoint`.
/// `settings` are lines of `[services.app]`.
pub fn resolver_to(endpoint: &str, settings: &str) -> Resolver {
    let text = format!(
        r#"
        version = 1
        default_service = "app"
        [services.app]
        export = ["collector"]
        {settings}
        [backends.collector]
        plugin = "otlp"
        timeout = "60s"
        config = {{ endpoint = "{endpoint}" }}
        "#
    );
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text }).unwrap();
    assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));
    resolver
}

/// What was counted for the first service.
pub fn counters(resolver: &Resolver) -> ServiceStats {
    resolver.stats().services.into_iter().next().unwrap()
}
