//! The keys every HTTP backend has.

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::Timeout;

use crate::{Endpoint, Headers, ProxyUrl, TlsSettings};

/// How an HTTP backend is reached. Each field is right by itself; [`HttpSettings::consistent`] looks at them together.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where to POST.
    pub endpoint: Endpoint,
    /// Sent with every request.
    pub headers: Headers,
    /// How bodies are sent.
    pub compression: Compression,
    /// The most one call may take, from the first byte of the name look-up to the last of the answer.
    pub timeout: Timeout,
    /// Who is trusted, and who we are; the bundled public roots and nobody by default.
    pub tls: Option<TlsSettings>,
    /// The HTTP proxy to go through; none by default, whatever the environment says.
    pub proxy: Option<ProxyUrl>,
}

/// How bodies are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Gzip, at its fastest level: fewer bytes for more CPU. For links that are slow or paid for.
    Gzip,
}

impl HttpSettings {
    /// Checks what a single field cannot know.
    ///
    /// # Errors
    ///
    /// `/tls` if there are TLS settings but the endpoint is plain HTTP: they would protect nothing.
    pub fn consistent(self) -> Result<Self, BackendError> {
        if self.tls.is_some() && !self.endpoint.is_https() {
            let message =
                format!("`tls` is set, but {} is not encrypted: write https:// or remove `tls`", self.endpoint);
            return Err(BackendError::config("/tls", message));
        }
        Ok(self)
    }
}

/// The JSON pointers of the settings whose values are never printed.
pub const SECRETS: &[&str] = &["/headers", "/proxy"];
