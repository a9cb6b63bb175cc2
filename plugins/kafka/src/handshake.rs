//! What is wrong with a broker's certificate: librdkafka says only that something is.
//!
//! RATIONALE: "Why does the Kafka backend knock once more where a certificate is not trusted?"

#![forbid(unsafe_code)]

use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use tracer_plugin_kit::look_up;

/// What OpenSSL has against a certificate: the code of `openssl verify`, and its words.
type Fault = (i32, &'static str);

/// Begins a handshake with `server`, `host:port`, and says what is wrong with the certificate that it shows, and what
/// helps. Takes no longer than `limit`. `None` if nothing could be found out.
pub(crate) fn look(server: &str, ca_file: Option<&Path>, limit: Duration) -> Option<String> {
    let deadline = Instant::now() + limit;
    let address = *look_up(server, limit).ok()?.first()?;
    let left = || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
    let stream = TcpStream::connect_timeout(&address, left()?).ok()?;
    // For each of the few reads and writes of a handshake.
    let each = Some(left()? / 4).filter(|each| !each.is_zero());
    stream.set_read_timeout(each).and_then(|()| stream.set_write_timeout(each)).ok()?;
    let found = Arc::new(Mutex::new(Vec::new()));
    let connector = connector(ca_file, Arc::clone(&found)).ok()?;
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_matches(['[', ']']);
    // How it ends says nothing: the certificate comes before that, and the broker may want one of ours.
    drop(connector.connect(host, stream));
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    words(&found)
}

/// Trusts whoever answers, and hangs up: what is wrong goes into `found`.
fn connector(ca_file: Option<&Path>, found: Arc<Mutex<Vec<Fault>>>) -> Result<SslConnector, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    if let Some(ca_file) = ca_file {
        builder.set_ca_file(ca_file)?;
    }
    builder.set_verify_callback(SslVerifyMode::PEER, move |is_right, context| {
        if !is_right {
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((context.error().as_raw(), context.error().error_string()));
        }
        true
    });
    Ok(builder.build())
}

/// The first one known of the table, which is ordered by what has to be mended whatever else is: an authority that is
/// not known may be no fault at all of a broker whose certificate has expired.
fn words(found: &[Fault]) -> Option<String> {
    let is_there = |code: &i32| found.iter().any(|(found, _)| found == code);
    let known = KNOWN.iter().find(|(codes, _)| codes.iter().any(is_there)).map(|(_, words)| (*words).to_owned());
    known.or_else(|| found.last().map(|last| format!("{}: see `tls.ca_file`", last.1)))
}

const KNOWN: &[(&[i32], &str)] = &[
    (
        &[10],
        "the broker's certificate, or one that it was signed with, has expired: renew it there; or is this machine's clock wrong?",
    ),
    (&[9], "the broker's certificate is not valid yet: is this machine's clock wrong?"),
    (&[23], "the broker's certificate was revoked: it needs a new one"),
    (
        &[62, 64],
        "the broker's certificate is for another name: write one of its names into `bootstrap_servers`, and into the \
         broker's advertised.listeners",
    ),
    (
        &[2, 7, 18, 19, 20, 21],
        "the authority that signed the broker's certificate is not known here: name its certificate as `tls.ca_file`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_mended_in_any_case_is_said_first() {
        let of = |codes: &[i32]| words(&codes.iter().map(|code| (*code, "in OpenSSL's words")).collect::<Vec<_>>());
        assert!(of(&[20, 10]).unwrap().contains("has expired"));
        assert!(of(&[20, 62]).unwrap().contains("another name"));
        assert!(of(&[20, 21]).unwrap().contains("`tls.ca_file`"));
        assert_eq!(of(&[26]).unwrap(), "in OpenSSL's words: see `tls.ca_file`");
        assert_eq!(of(&[]), None);
    }
}
