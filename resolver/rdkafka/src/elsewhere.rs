//! The same names where no client can be traced: on anything but Linux with glibc on x86_64 or aarch64.
//!
//! A program that is deployed there and developed on a Mac compiles and runs on both, without a line for that in its code. Tracing
//! is off, one WARN of the process says so, and nothing is read, loaded or started. What is here has the signatures of what it stands
//! in for, which `tests` below hold it to.

#![forbid(unsafe_code)]

mod config;
mod instrument;
mod measurement;
mod off;
mod processing;
mod refused;
mod stats;
mod transaction;

pub use crate::record::Record;
pub use instrument::{InstrumentError, Instrumentation, instrument};
pub use off::Resolver;
pub use processing::{Processing, process};
pub use refused::tell_if_refused;
pub use transaction::send_offsets_to_transaction;

/// What the crate `tracer-resolver` has for a program that is traced: of its `config` what [`Resolver`] takes and gives.
pub mod resolver {
    pub use super::measurement::{MeasuredIn, Measurement};
    pub use super::off::{EXIT_DEADLINE, Resolver, ResolverError, UnknownService};
    pub use super::stats::{BackendServiceStats, BackendState, BackendStats, ClientStats, DataPointStats, DropReason};
    pub use super::stats::{PluginCounts, ReloadStats, Reloaded, ServiceStats, SpoolStats, Stats, TopicStats};
    /// Where a configuration would come from, and what would be said of it.
    pub mod config {
        pub use super::super::config::{Report, Source};
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    /// A program that uses everything, compiled with each of the two: what one takes or gives, the other does too.
    macro_rules! program {
        ($program:ident, $integration:path) => {
            mod $program {
                use std::error::Error;
                use std::fmt::Debug;
                use std::time::Duration;

                use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
                use opentelemetry::{Context, ContextGuard};
                use rdkafka::ClientConfig;
                use rdkafka::client::DefaultClientContext;
                use rdkafka::message::{BorrowedMessage, OwnedMessage};
                use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord};
                use rdkafka::util::AsyncRuntime;
                use $integration as integration;

                use integration::resolver::config::{Report, Source};
                use integration::resolver::{
                    BackendServiceStats, BackendState, BackendStats, DropReason, EXIT_DEADLINE,
                };
                use integration::resolver::{ClientStats, DataPointStats, MeasuredIn, Measurement, ReloadStats};
                use integration::resolver::{Reloaded, ServiceStats, Stats, TopicStats, UnknownService};
                use integration::{InstrumentError, Instrumentation, Processing, Resolver};

                fn is_an_error<E: Error + Send + Sync + 'static>() {}
                fn is_shared<T: Clone + Debug + Send + Sync + 'static>() {}

                pub(super) fn sets_up(config: &mut ClientConfig) -> Result<bool, Box<dyn Error>> {
                    is_an_error::<InstrumentError>();
                    is_an_error::<integration::resolver::ResolverError>();
                    is_an_error::<UnknownService>();
                    is_shared::<Resolver>();
                    is_shared::<Instrumentation>();
                    is_shared::<Stats>();
                    integration::instrument(config)?;
                    let resolver: &'static Resolver = Resolver::global()?;
                    let bound = Instrumentation::new(resolver).service("shop").service(String::from("shop"));
                    match bound.apply(config) {
                        Err(InstrumentError::UnknownService { service, known }) => drop((service, known)),
                        Err(InstrumentError::NotLoadable(error)) => return Err(error.into()),
                        Err(InstrumentError::Resolver(error)) => return Err(error.report().render(false).into()),
                        other => other?,
                    }
                    let text = Source::Text {
                        name: "t.toml".into(),
                        text: "version = 1\n[services.shop]\nproduces = [\"orders\"]\nexport = []".into(),
                    };
                    let own: Resolver = Resolver::load(text)?;
                    let report: &Report = own.report();
                    drop((report.has_errors(), report.render(false), own.is_strict(), own.id(), own.service("shop")));
                    let _ = (own.service_names().next(), own.shutdown(Duration::ZERO), EXIT_DEADLINE);
                    let _ = (Resolver::from_file("/nowhere").is_ok(), Source::File("a".into()) == Source::Process);
                    let _: (Reloaded, Reloaded) = (own.reload()?, Resolver::reload_global()?);
                    let _: ReloadStats = own.stats().reloads;
                    own.report_untraced("a test says so");
                    let mut span = resolver.tracer_provider("shop")?.tracer("a test").start("a span");
                    assert!(!span.span_context().is_sampled());
                    span.end();
                    assert!(resolver.flush(Duration::from_secs(1)));
                    let stats: Stats = resolver.stats();
                    assert!(counted(&stats).is_empty() && met(&stats) == 0);
                    assert_eq!(measured(&resolver.measurements()), 0.0);
                    #[cfg(feature = "application-metrics")]
                    resolver.export_metrics_to(&*opentelemetry::global::meter_provider());
                    assert!(resolver.status().starts_with("{\"interceptors_status\":1,"));
                    Ok(resolver.is_on())
                }

                fn measured(all: &[Measurement]) -> f64 {
                    let of_exemplar = |of: &MeasuredIn| of.value + (of.trace_id.len() + of.span_id.len()) as f64;
                    let of_one = |of: &Measurement| {
                        let words = of.service.len() + of.instrument.len() + of.unit.len() + of.attributes.len();
                        let words = words + of.attribute("error.type").iter().len() + of.bounds.len();
                        let counted = of.count + of.buckets.iter().sum::<u64>();
                        of.sum + (words as u64 + counted) as f64 + of.exemplars.iter().map(of_exemplar).sum::<f64>()
                    };
                    all.iter().map(of_one).sum()
                }

                fn met(stats: &Stats) -> usize {
                    let of_topic = |of: &TopicStats| {
                        let counts = of.spans + of.sampled_out + of.not_injected + of.without_span;
                        let words = of.name.len() + of.side.len() + of.why.len() + of.service.iter().len();
                        words + usize::from(of.is_traced) + counts as usize
                    };
                    let of_client = |of: &ClientStats| of.side.len() + of.client_id.len() + of.group_id.iter().len();
                    let clients = stats.clients.iter().map(of_client).sum::<usize>();
                    let others = stats.clients_beyond + stats.clients_closed;
                    let topics = stats.topics.iter().chain([&stats.topics_beyond]).map(of_topic).sum::<usize>();
                    clients + topics + others as usize
                }

                fn counted(stats: &Stats) -> Vec<(&str, u64)> {
                    let of_service = |of: &ServiceStats| {
                        of.spans
                            + of.dropped_buffer_full
                            + of.sampled_out
                            + of.shed
                            + of.unacknowledged
                            + of.not_injected
                            + of.parents_lost
                    };
                    let of_backend = |of: &BackendServiceStats| {
                        let dropped: u64 =
                            of.dropped.iter().filter(|(why, _)| !why.name().is_empty()).map(|(_, n)| n).sum();
                        let rest = of.offered + of.exported + of.rejected + of.waiting + of.dropped_total();
                        rest + dropped + of.service.len() as u64
                    };
                    let of_points = |of: &DataPointStats| {
                        let superseded = of.dropped.iter().filter(|(why, _)| *why == DropReason::Superseded);
                        let rest = of.offered + of.exported + of.rejected + of.waiting;
                        rest + superseded.map(|(_, n)| n).sum::<u64>()
                    };
                    let in_all = |of: &BackendStats| {
                        let bad = matches!(
                            of.state,
                            BackendState::Refusing
                                | BackendState::Retrying
                                | BackendState::Stuck
                                | BackendState::OutOfService
                        );
                        let reasons = DropReason::ALL.len() as u64;
                        let held =
                            (of.held_bytes + of.queue_bytes + of.last_error.iter().len() + of.last_export.iter().len())
                                as u64;
                        let named = held
                            + of.share_of_traces as u64
                            + of.state.name().len() as u64
                            + of_points(&of.data_points);
                        of.services.iter().map(of_backend).sum::<u64>() + named + of.retries + u64::from(bad) + reasons
                    };
                    let services = stats.services.iter().map(|of| (of.name.as_str(), of_service(of)));
                    let backends = stats.backends.iter().map(|of| (of.plugin.as_str(), in_all(of)));
                    services.chain(backends).collect()
                }

                /// Never called: no producer without a cluster.
                #[expect(dead_code, reason = "that it compiles is the test")]
                fn sends<R: AsyncRuntime>(producer: &BaseProducer, others: &FutureProducer<DefaultClientContext, R>) {
                    let record = BaseRecord::to("orders").key("k").payload("p");
                    let result = integration::tell_if_refused(producer, BaseProducer::send, record);
                    drop(result.map_err(|(error, record)| (error, record.key)));
                    let record: FutureRecord<'_, str, str> = FutureRecord::to("orders");
                    drop(integration::tell_if_refused(others, FutureProducer::send_result, record));
                }

                /// Never called: no message without a cluster.
                #[expect(dead_code, reason = "that it compiles is the test")]
                async fn works(resolver: &Resolver, message: &BorrowedMessage<'_>, owned: &OwnedMessage) {
                    let mut processing = Processing::start(message);
                    processing.fail(&"a reason");
                    let context: &Context = processing.context();
                    let _guard: ContextGuard = context.clone().attach();
                    drop(Processing::start_for(resolver, Some("shop"), owned));
                    fn is_sent<T: Send>(value: T) -> T {
                        value
                    }
                    let work = async { Ok::<u32, std::io::Error>(1) };
                    drop(is_sent(integration::process(owned, work)).await);
                }
            }
        };
    }

    program!(traced, crate);
    program!(elsewhere, crate::elsewhere);

    const CHILD: &str = "INSTRUMENTS_IN_A_CHILD";

    /// What this process becomes for the test below: a program without a logger.
    fn in_child() {
        let mut config = ClientConfig::new();
        config.set("client.id", "as it was");
        for _ in 0..3 {
            assert!(!elsewhere::sets_up(&mut config).unwrap(), "it is off");
        }
        assert_eq!(config.config_map().len(), 1, "{config:?}");
        assert_eq!(config.get("client.id"), Some("as it was"));
    }

    #[test]
    fn where_nothing_can_be_traced_a_configuration_stays_as_it_is_and_one_warning_of_the_process_says_so() {
        if std::env::var_os(CHILD).is_some() {
            return in_child();
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["where_nothing_can_be_traced", "--nocapture"]).env(CHILD, "1");
        // A file that is named, and strict: the program runs all the same.
        child.env("INTERCEPTORS_CONFIG_FILE", "/nowhere/at/all.toml").env("INTERCEPTORS_STRICT", "1");
        let ended = child.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("tracer-resolver: WARN: Kafka clients are not traced on this platform"), "{said}");
    }

    /// The one condition: where it is written twice, the two could part.
    #[test]
    fn what_is_compiled_and_what_is_linked_depend_on_the_same_condition() {
        let condition =
            r#"all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), target_env = "gnu")"#;
        for (name, text) in [("lib.rs", include_str!("lib.rs")), ("Cargo.toml", include_str!("../Cargo.toml"))] {
            assert!(text.matches("target_os").count() > 1, "{name}");
            assert_eq!(text.matches("target_os").count(), text.matches(condition).count(), "{name}");
        }
    }

    #[test]
    fn the_same_program_runs_where_clients_can_be_traced() {
        // Whatever the environment of the tests configures, it is no file of this name.
        assert!(traced::sets_up(&mut ClientConfig::new()).is_ok());
    }
}
