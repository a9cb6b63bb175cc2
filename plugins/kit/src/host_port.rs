//! A host and a port as the configuration writes them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `collector`, `collector.example:4318`, `127.0.0.1:4318` or `[::1]:4318`, every part of it checked.
///
/// Prints itself as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    /// Reads the whole of `text`.
    ///
    /// # Errors
    ///
    /// What is wrong, to be put behind the name of the thing: "the port is missing …". It repeats nothing of `text`,
    /// which may be half a secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, after) = rest.split_once(']').ok_or("the bracket `[` is not closed")?;
                inside.parse::<Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
                let port = match after.strip_prefix(':') {
                    None if after.is_empty() => None,
                    None => return Err("after `]` comes the port, as in [::1]:4318, or nothing"),
                    Some(port) => Some(port),
                };
                (text.get(..inside.len() + 2).unwrap_or(text), port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') && text.parse::<Ipv6Addr>().is_err() => {
                    return Err("there is more than one `:` in it");
                }
                Some((_, port)) if port.contains(':') => {
                    return Err("an IPv6 address stands in brackets, as in [::1]:4318");
                }
                Some((host, port)) => (checked_name(host)?, Some(port)),
                None => (checked_name(text)?, None),
            },
        };
        Ok(HostPort { host: host.to_owned(), port: port.map(port_number).transpose()? })
    }

    /// The host; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(formatter, "{}:{port}", self.host),
            None => formatter.write_str(&self.host),
        }
    }
}

/// A name, or an IPv4 address. Names of containers have underscores, whatever the standard says.
fn checked_name(host: &str) -> Result<&str, &'static str> {
    if host.is_empty() {
        return Err("there is no host in it");
    }
    if !host.is_ascii() {
        return Err("a host is written in ASCII, a name with other letters in its xn-- form");
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err("its host has a character that no host name has");
    }
    if host.strip_suffix('.').unwrap_or(host).split('.').any(str::is_empty) {
        return Err("its host has an empty part between two dots");
    }
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let looks_like_ipv4 = host.split('.').count() == 4 && host.split('.').all(is_number);
    if looks_like_ipv4 && host.parse::<Ipv4Addr>().is_err() {
        return Err("its host looks like an IPv4 address and is none: four numbers from 0 to 255");
    }
    Ok(host)
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Err("there is no port after the `:`");
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port @ 1..) if digits => Ok(port),
        _ => Err("its port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_and_printed_as_they_were_written() {
        for (text, host, port) in [
            ("collector", "collector", None),
            ("collector.example:4318", "collector.example", Some(4318)),
            ("my_collector_1:1", "my_collector_1", Some(1)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65_535)),
            ("127.1:80", "127.1", Some(80)),
            ("collector.example.:80", "collector.example.", Some(80)),
            ("[::1]", "[::1]", None),
            ("[fe80::1]:4318", "[fe80::1]", Some(4318)),
        ] {
            let read = HostPort::parse(text).unwrap();
            assert_eq!((read.host(), read.port(), read.to_string().as_str()), (host, port, text));
        }
        assert_eq!(HostPort::parse("c:04318").unwrap().port(), Some(4318));
    }

    #[test]
    fn a_port_that_is_none_is_no_other_port() {
        for port in ["", "0", "65536", "99999", "4318x", "x", "-1", "+80", " 80", "80 ", "8o", "٤٣١٨", "0x50", "4318,"]
        {
            let message = HostPort::parse(&format!("h:{port}")).unwrap_err();
            assert!(message.contains("port"), "{port}: {message}");
            assert_eq!(HostPort::parse(&format!("[::1]:{port}")).unwrap_err(), message, "{port}");
        }
    }

    #[test]
    fn a_host_that_is_none_is_refused() {
        for bad in [
            "",
            ":80",
            "a b",
            "a\u{feff}",
            "kölln:80",
            "a@b",
            "a/b",
            "a%20b",
            "a..b",
            ".a",
            "a..",
            "...",
            "127.0.0.256",
            "::1",
            "::1:4318",
            "a:b:80",
            "[::1",
            "[]",
            "[::g]:80",
            "[::1]80",
            "[fe80::1%eth0]:80",
            "[127.0.0.1]:80",
        ] {
            assert!(HostPort::parse(bad).is_err(), "{bad} was taken");
        }
        assert!(HostPort::parse("::1:4318").unwrap_err().contains("brackets"));
    }
}
