//! The agent's UDP port: each packet one `emitBatch` call of some spans of one service.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracer_plugin_api::BackendError;
use tracer_plugin_kit::spans::otlp::ResourceSpans;
use tracer_plugin_kit::{Counters, OwnDescriptor, Refused, look_up, spans};

use crate::jaeger_batch::{process, span, write_batch};
use crate::pace::Pace;
use crate::settings::AgentSettings;
use crate::thrift::{Compact, Kind, Writer};

/// Sends to an agent. UDP: what leaves here is not known to have arrived.
pub(crate) struct Agent {
    settings: AgentSettings,
    counters: Arc<Counters>,
    /// Connected, so that an agent that is not there shows as an error. `None` before the first packet and after an
    /// error: the name is looked up again then. So it is where the program has closed the socket.
    socket: Mutex<Option<Arc<OwnDescriptor<UdpSocket>>>>,
    sequence: AtomicU32,
    pace: Mutex<Pace>,
}

impl Agent {
    /// Looks nothing up yet.
    pub(crate) fn new(settings: AgentSettings, counters: Arc<Counters>) -> Self {
        Agent {
            settings,
            counters,
            socket: Mutex::new(None),
            sequence: AtomicU32::new(0),
            pace: Mutex::new(Pace::new()),
        }
    }

    /// Sends the spans of a batch in as many packets as they need, at a pace that a socket's buffer bears. It ends by half
    /// of `limit`, or with it if the agent's name has to be looked up.
    ///
    /// # Errors
    ///
    /// Retryable if a packet cannot be sent: the whole batch is sent again, and Jaeger merges what it has already by
    /// span id. Partial if there are spans that are too large for a packet: these are lost.
    pub(crate) fn send(&self, otlp: &[u8], limit: Duration) -> Result<(), BackendError> {
        let sendable = spans::sendable(otlp)?;
        let mut refused = Refused::default();
        let mut packets = Vec::new();
        for resource_spans in &sendable.request.resource_spans {
            let of_resource = self.packets(resource_spans);
            packets.extend(of_resource.packets);
            if of_resource.too_large > 0 {
                let limit = self.settings.max_packet_size;
                let message =
                    format!("spans larger than a packet of {limit} bytes (`max_packet_size`) cannot go to an agent");
                refused.add(of_resource.too_large, BackendError::partial(of_resource.too_large, message));
            }
        }
        let mut errand = self.pace().begin(packets.iter(), Instant::now(), limit);
        for packet in &packets {
            let wait = self.pace().next(&mut errand, packet, Instant::now());
            std::thread::sleep(wait);
            self.send_packet(packet, limit)?;
        }
        refused.into_result(sendable.span_count(), sendable.without_ids)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn packets(&self, resource_spans: &ResourceSpans) -> Packets {
        let spans = resource_spans.scope_spans.iter().flat_map(|scope_spans| {
            let scope = scope_spans.scope.as_ref();
            scope_spans.spans.iter().map(move |otlp| span::<Compact>(scope, otlp))
        });
        let process = process::<Compact>(resource_spans.resource.as_ref());
        let mut packets = Packets::default();
        let room = self.settings.max_packet_size.saturating_sub(ENVELOPE + process.len());
        let mut pending = Vec::new();
        let mut pending_bytes = 0;
        for span in spans {
            if span.len() > room {
                packets.too_large = packets.too_large.saturating_add(1);
                continue;
            }
            if pending_bytes + span.len() > room {
                packets.packets.push(self.packet(&process, &pending));
                pending.clear();
                pending_bytes = 0;
            }
            pending_bytes += span.len();
            pending.push(span);
        }
        if !pending.is_empty() {
            packets.packets.push(self.packet(&process, &pending));
        }
        packets
    }

    fn packet(&self, process: &[u8], spans: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = Compact::default();
        writer.one_way_call("emitBatch", self.sequence.fetch_add(1, Ordering::Relaxed));
        writer.begin_struct();
        writer.field(1, Kind::Struct);
        write_batch(&mut writer, process, spans);
        writer.end_struct();
        writer.into_bytes()
    }

    fn send_packet(&self, packet: &[u8], limit: Duration) -> Result<(), BackendError> {
        let socket = self.socket(limit)?;
        let sent = socket.get().ok_or_else(|| ErrorKind::NotConnected.into()).and_then(|socket| socket.send(packet));
        match sent {
            Ok(bytes) => {
                self.counters.bytes_sent(bytes);
                Ok(())
            }
            Err(error) => {
                *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(self.failed(&error))
            }
        }
    }

    fn socket(&self, limit: Duration) -> Result<Arc<OwnDescriptor<UdpSocket>>, BackendError> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = socket.as_ref().filter(|socket| socket.get().is_some()) {
            return Ok(Arc::clone(socket));
        }
        let connected = connect(self.settings.address.as_str(), limit).and_then(OwnDescriptor::new);
        let connected = connected.map_err(|error| self.failed(&error))?;
        self.counters.connected();
        Ok(Arc::clone(socket.insert(Arc::new(connected))))
    }

    fn failed(&self, error: &std::io::Error) -> BackendError {
        BackendError::retryable(format!("the agent at {}: {error}", self.settings.address.as_str()))
    }
}

/// The packets of one resource.
#[derive(Default)]
struct Packets {
    packets: Vec<Vec<u8>>,
    /// Spans that fit into none.
    too_large: u32,
}

/// A socket of the family of the first address that can be used.
fn connect(address: &str, limit: Duration) -> std::io::Result<UdpSocket> {
    let mut last = None;
    for address in look_up(address, limit)? {
        let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        match UdpSocket::bind(local).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("the name has no address")))
}

/// More than what a packet holds beside its process and its spans: two bytes of protocol, up to five of sequence, ten of
/// name, three field heads, up to eleven of list head, two stops.
const ENVELOPE: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_connected_to() {
        connect("localhost:6831", Duration::from_secs(10)).unwrap();
    }
}
