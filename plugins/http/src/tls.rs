//! Who is trusted, and who we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use tracer_plugin_api::BackendError;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// The `tls` table. There is no key that turns verification off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "TlsTable")]
pub struct TlsSettings {
    ca_file: Option<PathBuf>,
    identity: Option<Identity>,
}

impl TlsSettings {
    /// Whether we show a certificate to servers that ask for one.
    pub(crate) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }
}

/// Our certificate and its key: neither is of use without the other.
#[derive(Clone, Debug)]
struct Identity {
    cert_file: PathBuf,
    key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl TryFrom<TlsTable> for TlsSettings {
    type Error = &'static str;

    fn try_from(table: TlsTable) -> Result<Self, &'static str> {
        let identity = match (table.cert_file, table.key_file) {
            (Some(cert_file), Some(key_file)) => Some(Identity { cert_file, key_file }),
            (None, None) => None,
            (Some(_), None) => return Err("`cert_file` needs `key_file`: the private key of that certificate"),
            (None, Some(_)) => return Err("`key_file` needs `cert_file`: the certificate of that key"),
        };
        Ok(TlsSettings { ca_file: table.ca_file, identity })
    }
}

/// Reads the files and makes sure that the TLS library will take them: it would panic over a key that does not fit, and
/// pass in silence over a certificate that it cannot read.
pub(crate) fn tls_config(settings: Option<&TlsSettings>) -> Result<TlsConfig, BackendError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let ca_file = settings.and_then(|settings| settings.ca_file.as_deref());
    let identity = settings.and_then(|settings| settings.identity.as_ref());
    let roots = ca_file.map_or(Ok(RootCerts::WebPki), own_authorities)?;
    let client_cert = identity.map(|identity| own_identity(identity, &provider)).transpose()?;
    let builder = TlsConfig::builder().root_certs(roots).client_cert(client_cert);
    Ok(builder.unversioned_rustls_crypto_provider(provider).build())
}

fn own_authorities(file: &Path) -> Result<RootCerts, BackendError> {
    const FIELD: &str = "/tls/ca_file";
    let certificates = certificates(FIELD, file)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| unusable(FIELD, file, &error))?;
    }
    let certificates: Vec<_> = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

fn own_identity(identity: &Identity, provider: &CryptoProvider) -> Result<ClientCert, BackendError> {
    const FIELD: &str = "/tls/key_file";
    let chain = certificates("/tls/cert_file", &identity.cert_file)?;
    let pem = read(FIELD, &identity.key_file)?;
    let none = || unusable(FIELD, &identity.key_file, &"no private key in it (an encrypted one cannot be read)");
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| none())?;
    let checked = CertifiedKey::from_der(chain.clone(), key, provider);
    checked.map_err(|error| unusable(FIELD, &identity.key_file, &error))?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let key = PrivateKey::from_pem(&pem).map_err(|_| none())?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn certificates(field: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, BackendError> {
    let pem = read(field, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(field, file, &error))?;
    if certificates.is_empty() { Err(unusable(field, file, &"no certificate in it")) } else { Ok(certificates) }
}

fn read(field: &str, file: &Path) -> Result<Vec<u8>, BackendError> {
    let is_file = std::fs::metadata(file).map(|metadata| metadata.is_file());
    match is_file {
        Ok(true) => std::fs::read(file).map_err(|error| unusable(field, file, &error)),
        Ok(false) => Err(unusable(field, file, &"it is not a file")),
        Err(error) => Err(unusable(field, file, &error)),
    }
}

fn unusable(field: &str, file: &Path, reason: &dyn std::fmt::Display) -> BackendError {
    BackendError::config(field, format!("{} cannot be used: {reason}", file.display()))
}
