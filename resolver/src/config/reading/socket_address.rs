//! An address to listen at.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. Other names are not looked up: what they are may change.
pub(crate) fn socket_address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let address = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?),
        None => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_that_can_be_asked() {
        let read = |text: &str| socket_address(text).map(|address| address.to_string());
        for (text, address) in [
            ("127.0.0.1:9464", "127.0.0.1:9464"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:9464", "[::1]:9464"),
            (" 0.0.0.0:80 ", "0.0.0.0:80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(address));
        }
        for text in ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "example:9464", "::1:9464"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
