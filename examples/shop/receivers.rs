//! Where spans go: built-in servers that speak each backend's real protocol, or servers of the user's own.

use std::collections::HashSet;
use std::fmt;

use words::receivers::{JaegerReceiver, OtlpReceiver, Protocol, ReceivedSpan, Receiver, ZipkinReceiver};

use crate::kind::Kind;
use crate::order::Failure;
use crate::setup::{Environment, Server};

/// One place for each kind.
pub(crate) struct Receivers {
    places: Vec<Place>,
    /// The first traces that were seen: of these all spans are kept, of the others the number.
    kept_traces: HashSet<String>,
    kept: Vec<Sighting>,
}

/// A span, and who got it.
#[derive(Clone)]
pub(crate) struct Sighting {
    pub(crate) span: ReceivedSpan,
    pub(crate) backend: Kind,
}

/// Where the spans of one kind go.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) endpoint: String,
    pub(crate) killed: bool,
    /// Spans that a built-in receiver got.
    pub(crate) received: u64,
    /// `None`: the user's own server.
    built_in: Option<Box<dyn BuiltIn>>,
}

/// A receiver, whatever it speaks.
trait BuiltIn {
    fn take_spans(&self) -> Vec<ReceivedSpan>;
    fn stop(&mut self);
}

impl Receivers {
    /// Starts a receiver for every kind that the environment names no server for.
    pub(crate) fn start(environment: &Environment) -> Result<Self, Failure> {
        let places = environment.servers.iter().map(|(kind, server)| {
            let (endpoint, built_in) = match server {
                Server::Yours(endpoint) => (endpoint.clone(), None),
                Server::BuiltIn(port) => (kind.endpoint(*port), Some(listen(*kind, *port)?)),
            };
            Ok(Place { kind: *kind, endpoint, killed: false, received: 0, built_in })
        });
        let places = places.collect::<Result<_, Failure>>()?;
        Ok(Receivers { places, kept_traces: HashSet::new(), kept: Vec::new() })
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Counts what came since the last call, and keeps the spans of a bounded number of traces. Call it often.
    pub(crate) fn collect(&mut self) {
        for place in &mut self.places {
            let spans = place.built_in.as_ref().map(|receiver| receiver.take_spans()).unwrap_or_default();
            place.received += spans.len() as u64;
            for span in spans {
                if self.kept_traces.len() < KEPT_TRACES {
                    self.kept_traces.insert(span.trace_id.clone());
                }
                if self.kept_traces.contains(&span.trace_id) {
                    self.kept.push(Sighting { span, backend: place.kind });
                }
            }
        }
    }

    /// The spans that were kept.
    pub(crate) fn sightings(&self) -> &[Sighting] {
        &self.kept
    }

    /// Whether a kind can be killed: a server of the user's own cannot.
    pub(crate) fn check_kill(&self, kind: Kind) -> Result<(), Failure> {
        if self.places.iter().any(|place| place.kind == kind && place.is_built_in()) {
            return Ok(());
        }
        let (name, variable) = (kind.name(), kind.variable());
        Err(Failure::new(format!(
            "--kill {name}: that server is yours, since {variable} is set; unset it, or end the server"
        )))
    }

    /// Stops a built-in receiver in the middle of whatever is going on: its port is closed, its connections break.
    pub(crate) fn kill(&mut self, kind: Kind) {
        let place = self.places.iter_mut().filter(|place| place.kind == kind);
        for (receiver, killed) in place.filter_map(|place| Some((place.built_in.as_mut()?, &mut place.killed))) {
            receiver.stop();
            *killed = true;
        }
    }
}

impl Place {
    /// Whether the server is the shop's.
    pub(crate) fn is_built_in(&self) -> bool {
        self.built_in.is_some()
    }
}

impl fmt::Display for Receivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.iter().map(|place| {
            let whose = if place.built_in.is_some() { "built in" } else { "yours" };
            format!("{:<7} {} ({whose})", place.kind.name(), place.endpoint)
        });
        f.write_str(&places.collect::<Vec<_>>().join("\n       "))
    }
}

fn listen(kind: Kind, port: u16) -> Result<Box<dyn BuiltIn>, Failure> {
    let receiver: std::io::Result<Box<dyn BuiltIn>> = match kind {
        Kind::Jaeger => JaegerReceiver::start_on(port).map(|receiver| Box::new(receiver) as _),
        Kind::Zipkin => ZipkinReceiver::start_on(port).map(|receiver| Box::new(receiver) as _),
        Kind::Otlp => OtlpReceiver::start_on(port).map(|receiver| Box::new(receiver) as _),
    };
    receiver.map_err(|error| {
        let (name, variable) = (kind.name(), kind.variable());
        let way_out = format!("set {variable} to the address of a server of your own");
        Failure::new(format!("the built-in {name} receiver cannot listen on 127.0.0.1:{port}: {error}; {way_out}"))
    })
}

impl<P: Protocol> BuiltIn for Receiver<P> {
    fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.take_spans()
    }

    fn stop(&mut self) {
        self.stop();
    }
}

const KEPT_TRACES: usize = 1_000;
