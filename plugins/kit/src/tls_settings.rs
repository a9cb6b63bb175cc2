//! Who is trusted, and who we are: the `tls` table of every backend that has one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracer_plugin_api::BackendError;

/// The `tls` table. There is no key that turns verification off.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "TlsTable")]
pub struct TlsSettings {
    ca_file: Option<PathBuf>,
    identity: Option<Identity>,
}

/// Our certificate and its key: neither is of use without the other.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM: the certificate and its chain.
    pub cert_file: PathBuf,
    /// PEM: the private key, not encrypted.
    pub key_file: PathBuf,
}

impl TlsSettings {
    /// PEM file of the authorities to trust, if they are not the public ones.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// What we show to servers that ask who we are.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether we show a certificate to servers that ask for one.
    pub fn has_identity(&self) -> bool {
        self.identity.is_some()
    }
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

/// Reads a file that the key at the JSON pointer `field` names.
///
/// # Errors
///
/// A configuration error that points at the key.
pub fn read_file(field: &str, file: &Path) -> Result<Vec<u8>, BackendError> {
    let is_file = std::fs::metadata(file).map(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    let read = match is_file {
        Ok(true) => File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)),
        Ok(false) => return Err(unusable(field, file, &"it is not a file")),
        Err(error) => Err(error),
    };
    match read {
        Ok(read) if read as u64 > MOST_BYTES => {
            Err(unusable(field, file, &"it has more than 1 MiB, which no certificates or keys have"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(unusable(field, file, &error)),
    }
}

/// Of a file: all authorities that systems bring along are a fifth of it.
const MOST_BYTES: u64 = 1 << 20;

/// What is said of a file that the key at `field` names, and that is of no use.
pub fn unusable(field: &str, file: &Path, reason: &dyn std::fmt::Display) -> BackendError {
    BackendError::config(field, format!("{} cannot be used: {reason}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_larger_than_any_certificates_is_refused() {
        let path = std::env::temp_dir().join(format!("tracer-plugin-kit-pem-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(MOST_BYTES).unwrap();
        assert_eq!(read_file("/tls/ca_file", &path).unwrap().len() as u64, MOST_BYTES);
        file.set_len(MOST_BYTES + 1).unwrap();
        let error = read_file("/tls/ca_file", &path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.pointer(), "/tls/ca_file");
        assert!(error.message().contains("more than 1 MiB"), "{error:?}");
    }
}
