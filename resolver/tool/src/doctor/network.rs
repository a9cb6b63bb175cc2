//! The layers below a plugin: a host's name, and a port.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::address::Address;
use super::step::Step;

/// How long a name or a port is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries the name and the port of an address; `key` is the setting that it comes from.
pub(super) fn steps(address: &Address, key: &str) -> Vec<Step> {
    let (named, addresses) = name(address, key);
    let mut steps = vec![named];
    if addresses.is_empty() {
        steps.push(Step::skipped("port", "without an address"));
    } else if address.is_udp {
        steps.push(Step::skipped("port", format!("{address} takes datagrams: nobody answers them")));
    } else {
        steps.push(port(address, &addresses, key));
    }
    steps
}

fn name(address: &Address, key: &str) -> (Step, Vec<SocketAddr>) {
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return (Step::skipped("name", format!("{ip} needs none")), vec![SocketAddr::new(ip, address.port)]);
    }
    let host = &address.host;
    match look_up(address) {
        Ok(found) if !found.is_empty() => {
            let ips: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
            (Step::ok("name", format!("{host} is {}", ips.join(", "))), found)
        }
        Ok(_) => (Step::failed("name", format!("{host} has no address")).way_out(correct(key)), Vec::new()),
        Err(error) => (Step::failed("name", format!("{host}: {error}")).way_out(correct(key)), Vec::new()),
    }
}

/// On a thread of its own: the system's look-up knows no limit of ours.
fn look_up(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = mpsc::channel();
    let of = (address.host.clone(), address.port);
    thread::Builder::new().spawn(move || {
        // Nobody waits any more, if this fails.
        let _ = answer.send(of.to_socket_addrs().map(Iterator::collect));
    })?;
    answered.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut)))
}

fn port(address: &Address, addresses: &[SocketAddr], key: &str) -> Step {
    let mut refusals = Vec::new();
    for one in addresses {
        match TcpStream::connect_timeout(one, PATIENCE) {
            Ok(_) if refusals.is_empty() => return Step::ok("port", format!("{one} is open")),
            Ok(_) => return Step::ok("port", format!("{one} is open, but {}", refusals.join("; "))),
            Err(error) => refusals.push(format!("{one}: {error}")),
        }
    }
    let is_local = addresses.iter().all(|address| address.ip().is_loopback());
    let local =
        if is_local { format!(" (in a container, {} is the container itself)", address.host) } else { String::new() };
    let way_out = format!("start what is to listen there, let the firewall pass it, or correct `{key}`{local}");
    Step::failed("port", refusals.join("; ")).way_out(way_out)
}

fn correct(key: &str) -> String {
    format!("correct the host in `{key}`; in a container, only names of its own network are known")
}
