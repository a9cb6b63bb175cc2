//! TLS of the client: its files, checked before librdkafka reads them, and whether they have changed since.

#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rdkafka::ClientConfig;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::TlsSettings;

/// Says to librdkafka what the `tls` table says.
pub(crate) fn configure(tls: &TlsSettings, config: &mut ClientConfig) {
    if let Some(ca_file) = tls.ca_file() {
        config.set("ssl.ca.location", ca_file.to_string_lossy());
    }
    if let Some(identity) = tls.identity() {
        config.set("ssl.certificate.location", identity.cert_file.to_string_lossy());
        config.set("ssl.key.location", identity.key_file.to_string_lossy());
    }
}

/// What the files of the client say, those that `properties` name too. Another number: they have changed.
pub(crate) fn fingerprint(config: &ClientConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in FILES {
        // One that cannot be read has changed too, if it could be.
        config.get(name).and_then(|file| std::fs::read(file).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether the files of the `tls` table can be used: librdkafka's words name no key.
#[cfg(feature = "tls")]
pub(crate) fn check(tls: &TlsSettings) -> Result<(), BackendError> {
    use openssl::pkey::PKey;
    use openssl::x509::X509;
    use tracer_plugin_kit::{read_file, unusable};

    let certificates = |field: &str, file: &std::path::Path| {
        let all = X509::stack_from_pem(&read_file(field, file)?).map_err(|error| unusable(field, file, &error))?;
        if all.is_empty() { Err(unusable(field, file, &"no certificate in it")) } else { Ok(all) }
    };
    if let Some(ca_file) = tls.ca_file() {
        certificates("/tls/ca_file", ca_file)?;
    }
    let Some(identity) = tls.identity() else { return Ok(()) };
    let chain = certificates("/tls/cert_file", &identity.cert_file)?;
    let (field, file) = ("/tls/key_file", &identity.key_file);
    let unfit = |reason: &str| unusable(field, file, &reason);
    // OpenSSL would ask at the terminal for the password of an encrypted one.
    let key = PKey::private_key_from_pem_callback(&read_file(field, file)?, |_| Ok(0))
        .map_err(|_| unfit("no private key in it (an encrypted one cannot be read)"))?;
    let own = chain.first().and_then(|certificate| certificate.public_key().ok());
    if own.is_some_and(|own| own.public_eq(&key)) {
        return Ok(());
    }
    Err(unfit(&format!("it is not the key of the certificate in {}", identity.cert_file.display())))
}

#[cfg(not(feature = "tls"))]
pub(crate) fn check(_: &TlsSettings) -> Result<(), BackendError> {
    Err(BackendError::config("/tls", NO_TLS))
}

/// The properties that the table says.
pub(crate) const NAMES: &[&str] = &[
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
    "ssl.keystore.location",
];
/// Those that name files.
const FILES: &[&str] = &["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"];
/// Of a build without the feature.
pub(crate) const NO_TLS: &str = "this build of the plugin has neither TLS nor SCRAM. That of the packages has, and so has \
     `cargo build --release -p tracer-plugin-kafka --features tls`";
