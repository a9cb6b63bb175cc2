//! Who is trusted, and who we are.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{Identity, TlsSettings, read_file, unusable};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// For HTTP/1. Reads the files and makes sure that the TLS library will take them: it would panic over a key that does not
/// fit, and pass in silence over a certificate that it cannot read.
pub(crate) fn tls_config(settings: Option<&TlsSettings>) -> Result<TlsConfig, BackendError> {
    let files = Files::read(settings)?;
    let copies = |all: Vec<CertificateDer<'_>>| -> Vec<_> {
        all.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
    };
    let roots = files.authorities.map_or(RootCerts::WebPki, |all| RootCerts::new_with_certs(&copies(all)));
    let client_cert = match files.identity {
        Some((chain, _, pem)) => {
            let key = PrivateKey::from_pem(&pem).map_err(|error| BackendError::internal(error.to_string()))?;
            Some(ClientCert::new_with_certs(&copies(chain), key))
        }
        None => None,
    };
    let builder = TlsConfig::builder().root_certs(roots).client_cert(client_cert);
    Ok(builder.unversioned_rustls_crypto_provider(files.provider).build())
}

/// For whoever makes connections without the HTTP library: the same authorities and the same identity, with what is spoken
/// inside (`h2`).
///
/// # Errors
///
/// A configuration error for a TLS file that cannot be used.
pub fn client_config(settings: Option<&TlsSettings>, inside: &[u8]) -> Result<ClientConfig, BackendError> {
    let files = Files::read(settings)?;
    let mut roots = RootCertStore::empty();
    match files.authorities {
        Some(all) => drop(roots.add_parsable_certificates(all)),
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let builder = ClientConfig::builder_with_provider(files.provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| BackendError::internal(error.to_string()))?.with_root_certificates(roots);
    let mut config = match files.identity {
        Some((chain, key, _)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| BackendError::config("/tls/key_file", error.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![inside.to_vec()];
    Ok(config)
}

/// What the settings name, read and checked.
struct Files {
    /// `None`: the bundled public ones.
    authorities: Option<Vec<CertificateDer<'static>>>,
    /// The chain, and the key as it is and as PEM.
    identity: Option<OwnIdentity>,
    provider: Arc<CryptoProvider>,
}

impl Files {
    fn read(settings: Option<&TlsSettings>) -> Result<Self, BackendError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ca_file = settings.and_then(TlsSettings::ca_file);
        let identity = settings.and_then(TlsSettings::identity);
        Ok(Files {
            authorities: ca_file.map(own_authorities).transpose()?,
            identity: identity.map(|identity| own_identity(identity, &provider)).transpose()?,
            provider,
        })
    }
}

fn own_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, BackendError> {
    const FIELD: &str = "/tls/ca_file";
    let certificates = certificates(FIELD, file)?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| unusable(FIELD, file, &error))?;
    }
    Ok(certificates)
}

type OwnIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Vec<u8>);

fn own_identity(identity: &Identity, provider: &CryptoProvider) -> Result<OwnIdentity, BackendError> {
    const FIELD: &str = "/tls/key_file";
    let chain = certificates("/tls/cert_file", &identity.cert_file)?;
    let pem = read_file(FIELD, &identity.key_file)?;
    let none = || unusable(FIELD, &identity.key_file, &"no private key in it (an encrypted one cannot be read)");
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| none())?;
    // What the HTTP library reads it as: a kind that it does not know is a mistake of the file too.
    PrivateKey::from_pem(&pem).map_err(|_| none())?;
    let checked = CertifiedKey::from_der(chain.clone(), key.clone_key(), provider);
    checked.map_err(|error| unusable(FIELD, &identity.key_file, &error))?;
    Ok((chain, key, pem))
}

fn certificates(field: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, BackendError> {
    let pem = read_file(field, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unusable(field, file, &error))?;
    if certificates.is_empty() { Err(unusable(field, file, &"no certificate in it")) } else { Ok(certificates) }
}
