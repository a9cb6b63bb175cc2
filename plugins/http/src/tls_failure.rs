//! What went wrong with TLS, and whose it is to mend.

use rustls::{AlertDescription, CertificateError};
use tracer_plugin_api::BackendError;

use crate::TlsSettings;

/// The handshake with `who` came to nothing. Which half of it is the user's to mend shows in what was said.
///
/// `other_protocol` is the hint where the server does not speak what we want to speak inside.
pub fn untrusted(who: &str, tls: Option<&TlsSettings>, error: &rustls::Error, other_protocol: &str) -> BackendError {
    use AlertDescription as Alert;
    let is_known = tls.is_some_and(|tls| tls.has_identity());
    let hint = match error {
        rustls::Error::AlertReceived(Alert::NoApplicationProtocol) => other_protocol,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) if is_known => "the server does not take our certificate: see `tls.cert_file`",
        rustls::Error::AlertReceived(Alert::HandshakeFailure) if is_known => {
            "perhaps the server does not take our certificate: see `tls.cert_file`"
        }
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => "the server wants a certificate of ours: see `tls.cert_file` and `tls.key_file`",
        rustls::Error::AlertReceived(Alert::HandshakeFailure) => {
            "perhaps the server wants a certificate of ours: see `tls.cert_file` and `tls.key_file`"
        }
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => "the server broke it off",
        rustls::Error::InvalidMessage(_) => {
            "what answers does not speak TLS: http:// in place of https://, or another port"
        }
        rustls::Error::InvalidCertificate(certificate) => certificate_hint(certificate),
        _ => "see `tls.ca_file`, and the name in the certificate",
    };
    BackendError::retryable(format!("{who}: no trusted connection: {error} ({hint})"))
}

/// What is wrong with the server's certificate, and who can mend it.
fn certificate_hint(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it there; or is this machine's clock wrong?"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is this machine's clock wrong?"
        }
        CertificateError::UnknownIssuer => {
            "the authority that signed the server's certificate is not known here: name its certificate as `tls.ca_file`"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name: write one of its names into `endpoint`"
        }
        CertificateError::Revoked => "the server's certificate was revoked: it needs a new one",
        // Named so by the crate that verifies, whose own type is not at hand here.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows an authority's certificate as its own, as self-signed ones often are: give it one with \
             basicConstraints CA:FALSE"
        }
        _ => "see `tls.ca_file`, and the name in the certificate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        for (error, expected) in [
            (CertificateError::Expired, "has expired"),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::UnknownIssuer, "tls.ca_file"),
            (CertificateError::NotValidForName, "another name"),
            (CertificateError::BadSignature, "see `tls.ca_file`"),
        ] {
            assert!(certificate_hint(&error).contains(expected), "{error:?}");
        }
    }
}
