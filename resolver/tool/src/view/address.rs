//! Where a port is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// An address of this machine, with a port; 0 is any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(super) SocketAddr);

impl Address {
    /// Where the page is unless somebody says otherwise.
    pub(super) fn page() -> Self {
        Self(SocketAddr::new(LOOPBACK, 8318))
    }
}

impl FromStr for Address {
    type Err = String;

    /// Without a host it is the loopback: nobody else reaches it unless that is said.
    fn from_str(word: &str) -> Result<Self, String> {
        let loopback = word.strip_prefix("localhost:").or_else(|| word.strip_prefix(':'));
        let address = match loopback {
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(LOOPBACK, port)),
            None => word.parse().ok(),
        };
        address.map(Self).ok_or_else(|| format!("{word:?} is no address: write 127.0.0.1:4318, [::1]:4318 or :4318"))
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_it_is_the_loopback() {
        for (word, address) in [
            (":4318", "127.0.0.1:4318"),
            ("localhost:1", "127.0.0.1:1"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:4318", "[::1]:4318"),
            ("0.0.0.0:4318", "0.0.0.0:4318"),
        ] {
            assert_eq!(word.parse::<Address>().unwrap().0.to_string(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for word in ["", "4318", "spans.jsonl", ":", ":70000", "host:1", "127.0.0.1", "-"] {
            assert!(word.parse::<Address>().unwrap_err().contains(":4318"), "{word}");
        }
    }
}
