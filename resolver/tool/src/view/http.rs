//! What every answer of the server has, and what is refused before anything is looked at.

use std::net::{Ipv4Addr, Ipv6Addr};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::{Response, StatusCode};

pub(super) type Answer = Response<Full<Bytes>>;

/// An answer that no browser keeps, frames, or takes for something else than it is.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    for (name, value) in [
        ("content-type", kind),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-security-policy", POLICY),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

pub(super) fn refuse(status: StatusCode, why: impl Into<String>) -> Answer {
    answer(status, "text/plain; charset=utf-8", why.into() + "\n")
}

/// Whether whoever asked, asked by an address of a machine, and not by a name.
///
/// A page anywhere can make a browser ask this server by a name of its own that leads here (DNS rebinding), and read what
/// it answers. An address it cannot make its own. `localhost` is one by its definition.
pub(super) fn is_asked_by_address(headers: &HeaderMap, of_the_line: Option<&str>) -> bool {
    let host = headers.get("host").and_then(|value| value.to_str().ok());
    let mut names = host.into_iter().chain(of_the_line).peekable();
    names.peek().is_some() && names.all(is_address)
}

/// Whether a request comes from a page of another server: programs send no `Origin`.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let is_ours = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        host.is_some() && host == headers.get("host").and_then(|value| value.to_str().ok())
    };
    headers.get_all(ORIGIN).iter().any(|origin| !is_ours(origin))
}

fn is_address(host: &str) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return is_port(port) && address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok())
}

/// Nothing, or a number behind a colon.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The page has one script and one style sheet, both of this server, and asks nobody else for anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_ours() {
        for ours in ["127.0.0.1", "127.0.0.1:8318", "localhost:1", "LOCALHOST", "[::1]", "[::1]:80", "192.168.1.2:8318"]
        {
            assert!(is_address(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8318",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "[x]",
            "[::1]evil",
            "127.0.0.1:80:evil",
            "127.0.0.1@evil.example",
            "2130706433",
        ] {
            assert!(!is_address(other), "{other}");
        }
    }

    #[test]
    fn a_request_says_its_host_and_only_its_own_page_s_origin() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        assert!(!is_asked_by_address(&headers(&[]), None));
        assert!(is_asked_by_address(&headers(&[("host", "127.0.0.1:1")]), None));
        assert!(!is_asked_by_address(&headers(&[("host", "127.0.0.1:1")]), Some("evil.example")));
        let host = ("host", "127.0.0.1:1");
        assert!(!is_from_elsewhere(&headers(&[host])));
        assert!(!is_from_elsewhere(&headers(&[host, ("origin", "http://127.0.0.1:1")])));
        for origin in ["null", "http://evil.example", "http://127.0.0.1:2", "https://127.0.0.1:1"] {
            assert!(is_from_elsewhere(&headers(&[host, ("origin", origin)])), "{origin}");
        }
    }
}
