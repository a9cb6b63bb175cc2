//! Who is at the other end: what Zipkin's dependency graph is drawn from.

use std::net::IpAddr;

use serde::Serialize;
use tracer_plugin_kit::spans::otlp::{Span, Value};

use crate::kind::{Kind, text};

/// One end of a span.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZipkinEndpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

impl<'a> ZipkinEndpoint<'a> {
    /// The service that runs here.
    pub(crate) fn local(service_name: &'a str) -> Self {
        ZipkinEndpoint { service_name: Some(service_name), ..Default::default() }
    }

    /// The other end, for the kinds that have one: the first of the attributes that says something.
    ///
    /// A messaging span names the messaging system before any address. Zipkin joins producers and consumers by the name
    /// of the broker between them: with addresses, which differ from broker to broker of one cluster, it would not.
    pub(crate) fn remote(kind: Option<Kind>, span: &'a Span) -> Option<Self> {
        let names: &[Source] = match kind? {
            Kind::Server => return None,
            Kind::Client => &BY_ADDRESS,
            Kind::Producer | Kind::Consumer => &BY_SYSTEM,
        };
        names.iter().find_map(|source| source.read(span))
    }
}

/// Where the other end's name may stand.
enum Source {
    /// A name.
    Name(&'static str),
    /// A host name or an IP address, with the port in another attribute.
    Address(&'static str, &'static str),
}

impl Source {
    fn read<'a>(&self, span: &'a Span) -> Option<ZipkinEndpoint<'a>> {
        match self {
            Source::Name(name) => text(span, name).map(ZipkinEndpoint::local),
            Source::Address(address, port) => {
                let address = text(span, address)?;
                let port = port_number(span, port);
                Some(match address.parse::<IpAddr>() {
                    Ok(IpAddr::V4(_)) => {
                        ZipkinEndpoint { service_name: Some(address), ipv4: Some(address), ipv6: None, port }
                    }
                    Ok(IpAddr::V6(_)) => {
                        ZipkinEndpoint { service_name: Some(address), ipv4: None, ipv6: Some(address), port }
                    }
                    Err(_) => ZipkinEndpoint { service_name: Some(address), ipv4: None, ipv6: None, port },
                })
            }
        }
    }
}

fn port_number(span: &Span, key: &str) -> Option<u16> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::IntValue(port) => u16::try_from(*port).ok().filter(|port| *port != 0),
        _ => None,
    }
}

/// The ranking of OpenTelemetry's specification.
const BY_ADDRESS: [Source; 11] = [
    Source::Name("peer.service"),
    Source::Address("server.address", "server.port"),
    Source::Address("net.peer.name", "net.peer.port"),
    Source::Address("network.peer.address", "network.peer.port"),
    Source::Address("server.socket.domain", "server.socket.port"),
    Source::Address("server.socket.address", "server.socket.port"),
    Source::Address("net.sock.peer.name", "net.sock.peer.port"),
    Source::Address("net.sock.peer.addr", "net.sock.peer.port"),
    Source::Name("peer.hostname"),
    Source::Name("peer.address"),
    Source::Name("db.name"),
];

const BY_SYSTEM: [Source; 5] = [
    Source::Name("peer.service"),
    Source::Name("messaging.system"),
    Source::Address("server.address", "server.port"),
    Source::Address("network.peer.address", "network.peer.port"),
    Source::Name("peer.hostname"),
];
