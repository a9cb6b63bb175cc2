//! What keeps the connections from being made, in librdkafka's words, and what helps.

#![forbid(unsafe_code)]

use crate::settings::Security;

/// The last that librdkafka said of its connections.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Empty since a message was acknowledged.
    last: String,
    /// What a look at the certificate has found in this round; nothing, if nothing was found.
    seen: Option<Option<String>>,
    /// A broker did not let us in, since the round began.
    pub(crate) is_locked_out: bool,
}

impl Trouble {
    /// Another round begins: what was so may have changed.
    pub(crate) fn begin(&mut self) {
        self.is_locked_out = false;
        self.seen = None;
    }

    /// A message was acknowledged.
    pub(crate) fn is_over(&mut self) {
        self.last.clear();
        self.seen = None;
    }

    /// A broker refuses who we are.
    pub(crate) fn locked_out(&mut self, reason: &str) {
        self.is_locked_out = true;
        reason.clone_into(&mut self.last);
    }

    /// A connection came to nothing, for any other reason.
    pub(crate) fn failed(&mut self, reason: &str) {
        if !self.is_locked_out {
            reason.clone_into(&mut self.last);
        }
    }

    /// Something that is no reason, or no more than a guess: that nobody answers, or what is logged of a connection that
    /// was closed.
    pub(crate) fn hinted(&mut self, reason: &str) {
        if self.last.is_empty() || self.last.ends_with("brokers are down") {
            reason.clone_into(&mut self.last);
        }
    }

    /// The broker, `host:port`, whose certificate is not trusted, if nobody has looked at it in this round.
    pub(crate) fn unseen(&self) -> Option<&str> {
        if self.seen.is_some() || !self.is_untrusted() {
            return None;
        }
        // `ssl://host:port/bootstrap: SSL handshake failed: …`
        let (_, server) = self.last.split_once("://")?;
        Some(server.split('/').next().unwrap_or(server))
    }

    /// What the look has found.
    pub(crate) fn seen(&mut self, what: Option<String>) {
        self.seen = Some(what);
    }

    /// Whether it has to do with TLS.
    pub(crate) fn is_of_tls(&self) -> bool {
        self.last.contains("SSL")
    }

    /// In one sentence; empty if there is nothing to say. What helps comes first: a message is cut at its end.
    pub(crate) fn words(&self, security: Security) -> String {
        let hint = match &self.seen {
            Some(Some(found)) => found,
            _ => way_out(&self.last, security),
        };
        if hint.is_empty() { self.last.clone() } else { format!("{hint} ({})", self.last) }
    }

    fn is_untrusted(&self) -> bool {
        self.last.contains(UNTRUSTED)
    }
}

/// What helps against that, as far as its words tell.
fn way_out(reason: &str, security: Security) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|words| reason.contains(words));
    match (security.has_tls, security.has_sasl) {
        (true, _) if reason.contains(UNTRUSTED) => {
            "its authority is not known here, it has expired, or it is for another name: see `tls.ca_file`"
        }
        (true, _) if says(&["alert"]) => {
            if security.has_identity {
                "the broker does not take our certificate: see `tls.cert_file`"
            } else {
                "the broker wants a certificate of ours: see `tls.cert_file` and `tls.key_file`"
            }
        }
        (true, _) if says(&NO_TLS_THERE) || is_hung_up(reason, "SSL_HANDSHAKE") => {
            "what answers does not speak TLS: another port, or leave out `tls`"
        }
        (false, _) if says(&["connecting to a SSL listener"]) || is_hung_up(reason, "APIVERSION_QUERY") => {
            "perhaps it speaks TLS: see `tls`"
        }
        (_, true) if says(&["Unsupported SASL mechanism", "mechanism not supported"]) => "see `sasl.mechanism`",
        (_, true) if says(&["SASL"]) => "see `sasl`",
        (_, false) if says(&["might require SASL"]) || is_hung_up(reason, "UP") => {
            "perhaps it wants to know who we are: see `sasl`"
        }
        _ => "",
    }
}

/// Whether the connection was closed as soon as it had come so far. One that was closed later had merely nothing to do.
fn is_hung_up(reason: &str, state: &str) -> bool {
    let after = reason.split_once(" (after ").filter(|(what, _)| what.contains("Disconnected")).map(|(_, after)| after);
    let Some((millis, rest)) = after.and_then(|after| after.split_once("ms in state ")) else { return false };
    // `UP)`, or `UP, 1 identical error(s) suppressed)`
    rest.split([')', ',']).next() == Some(state) && millis.parse().is_ok_and(|millis: u64| millis < 1_000)
}

const UNTRUSTED: &str = "certificate verify failed";
/// Of OpenSSL, and of librdkafka.
const NO_TLS_THERE: [&str; 4] =
    ["connecting to a PLAINTEXT", "wrong version number", "packet length too long", "unexpected eof"];

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Security = Security { has_tls: true, has_sasl: false, has_identity: false, sends_password: false };

    fn words(reason: &str, security: Security) -> String {
        let mut trouble = Trouble::default();
        trouble.failed(reason);
        trouble.words(security)
    }

    #[test]
    fn a_wrong_password_stays_the_reason_until_a_message_arrives() {
        let mut trouble = Trouble::default();
        trouble.begin();
        trouble.locked_out("wrong password");
        trouble.failed("disconnected");
        trouble.hinted("1/1 brokers are down");
        assert!(trouble.is_locked_out);
        assert_eq!(trouble.words(Security::default()), "wrong password");
        trouble.is_over();
        assert_eq!(trouble.words(Security::default()), "");
    }

    #[test]
    fn what_is_logged_counts_where_nothing_else_is_known() {
        let mut trouble = Trouble::default();
        trouble.hinted("1/1 brokers are down");
        trouble.hinted("disconnected while requesting ApiVersion");
        trouble.hinted("1/1 brokers are down");
        assert_eq!(trouble.words(Security::default()), "disconnected while requesting ApiVersion");
        trouble.failed("connection refused");
        trouble.hinted("disconnected");
        assert_eq!(trouble.words(Security::default()), "connection refused");
    }

    #[test]
    fn a_certificate_is_looked_at_once_in_a_round() {
        let mut trouble = Trouble::default();
        trouble.failed(
            "sasl_ssl://kafka-1:9093/bootstrap: SSL handshake failed: error:0A000086:certificate verify failed",
        );
        assert_eq!(trouble.unseen(), Some("kafka-1:9093"));
        assert!(trouble.words(TLS).contains("see `tls.ca_file`"));
        trouble.seen(Some("it has expired".to_owned()));
        assert_eq!(trouble.unseen(), None);
        assert!(trouble.words(TLS).starts_with("it has expired (sasl_ssl://kafka-1"));
        trouble.begin();
        assert_eq!(trouble.unseen(), Some("kafka-1:9093"));
    }

    #[test]
    fn what_helps_stands_before_what_librdkafka_says() {
        let known = Security { has_identity: true, ..TLS };
        let named = Security { has_sasl: true, ..TLS };
        for (reason, security, helps) in [
            (
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                TLS,
                "does not speak TLS",
            ),
            ("SSL handshake failed: error:0A00010B:SSL routines::wrong version number", TLS, "does not speak TLS"),
            ("error:0A00045C:SSL routines::tlsv13 alert certificate required", TLS, "`tls.key_file`"),
            ("error:0A000415:SSL routines::sslv3 alert certificate expired", known, "does not take our certificate"),
            ("Disconnected (connecting to a SSL listener?)", Security::default(), "see `tls`"),
            ("Disconnected: verify that …, broker might require SASL authentication", TLS, "see `sasl`"),
            ("a:1: Disconnected: closed (after 10ms in state APIVERSION_QUERY)", Security::default(), "see `tls`"),
            (
                "a:1: Disconnected: closed (after 17ms in state UP, 2 identical error(s) suppressed)",
                Security::default(),
                "see `sasl`",
            ),
            ("SASL handshake failed: Broker: Unsupported SASL mechanism", named, "`sasl.mechanism`"),
            ("SASL SCRAM-SHA-256 mechanism handshake failed", named, "`sasl`"),
        ] {
            assert!(words(reason, security).contains(helps), "{reason}: {}", words(reason, security));
        }
        for reason in ["Connect to ipv4#127.0.0.1:9 failed", "a:1: Disconnected: closed (after 540000ms in state UP)"] {
            assert_eq!(words(reason, Security::default()), reason);
        }
    }
}
