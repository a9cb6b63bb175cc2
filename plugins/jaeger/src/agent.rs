//! The agent's UDP port: each packet one `emitBatch` call of some spans of one service.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
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
    /// [`look_up`]; tests put a slow one in its place.
    look_up: fn(&str, Duration) -> std::io::Result<Vec<SocketAddr>>,
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
            look_up,
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
        let deadline = Instant::now() + limit;
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
            self.send_packet(packet, deadline)?;
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

    fn send_packet(&self, packet: &[u8], deadline: Instant) -> Result<(), BackendError> {
        let socket = self.socket(deadline)?;
        let sent = socket.get().ok_or_else(|| ErrorKind::NotConnected.into()).and_then(|socket| socket.send(packet));
        match sent {
            Ok(bytes) => {
                self.counters.bytes_sent(bytes);
                Ok(())
            }
            Err(error) => {
                *self.kept() = None;
                Err(self.failed(&error))
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<OwnDescriptor<UdpSocket>>>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name is looked up without the lock: who waited for another's look-up would have no time left for its own.
    fn socket(&self, deadline: Instant) -> Result<Arc<OwnDescriptor<UdpSocket>>, BackendError> {
        if let Some(socket) = self.kept().as_ref().filter(|socket| socket.get().is_some()) {
            return Ok(Arc::clone(socket));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let addresses = (self.look_up)(self.settings.address.as_str(), left);
        let connected = addresses.and_then(connect).and_then(OwnDescriptor::new);
        let connected = Arc::new(connected.map_err(|error| self.failed(&error))?);
        self.counters.connected();
        *self.kept() = Some(Arc::clone(&connected));
        Ok(connected)
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
fn connect(addresses: Vec<SocketAddr>) -> std::io::Result<UdpSocket> {
    let mut last = None;
    for address in addresses {
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
    use std::sync::Barrier;

    use super::*;
    use crate::settings::AgentAddress;

    fn agent(look_up: fn(&str, Duration) -> std::io::Result<Vec<SocketAddr>>) -> Agent {
        let address = AgentAddress::parse("localhost:6831").unwrap();
        let settings = AgentSettings { address, max_packet_size: 1000 };
        Agent { look_up, ..Agent::new(settings, Arc::default()) }
    }

    #[test]
    fn a_name_is_connected_to() {
        agent(look_up).socket(Instant::now() + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn two_threads_look_a_name_up_side_by_side() {
        static LOOKING: Barrier = Barrier::new(2);
        static BOTH: AtomicU32 = AtomicU32::new(0);
        // Comes back when both are in here.
        let agent = agent(|_, _| {
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || sender.send(LOOKING.wait()));
            receiver.recv_timeout(Duration::from_secs(20)).map_err(|_| ErrorKind::TimedOut)?;
            BOTH.fetch_add(1, Ordering::Relaxed);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 6831))])
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| agent.socket(deadline).map(drop)));
            threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
        assert_eq!(BOTH.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_look_up_has_what_is_left_of_the_time() {
        let agent = agent(|_, limit| {
            assert!(limit.is_zero(), "{limit:?}");
            Err(ErrorKind::TimedOut.into())
        });
        assert!(agent.socket(Instant::now()).is_err());
    }
}
