//! Where spans go: an agent by UDP, or a collector by HTTP.

#![forbid(unsafe_code)]

use serde_json::{Value as Json, json};

use super::object::Object;
use crate::config::reading::basic_authorization::basic_authorization;
use crate::config::reading::field::Field;
use crate::config::report::findings::{Broken, Findings};

/// What a `sender` object, or the variables, say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) agent_host: Option<String>,
    pub(super) agent_port: Option<u16>,
    pub(super) endpoint: Option<String>,
    pub(super) token: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// The keys of a `sender` object.
pub(super) const KEYS: &[&str] = &["agentHost", "agentPort", "endpoint", "authToken", "authUsername", "authPassword"];

impl Sender {
    /// What `object` says. It may be the sender, or the reporter around it, where the original looked.
    pub(super) fn read(object: Object<'_>, findings: &mut Findings) -> Result<Self, Broken> {
        let mut text = |key: &str| -> Result<Option<String>, Broken> {
            let value = object.field(key).map(|field| field.text("a string", findings)).transpose()?;
            Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
        };
        let (agent_host, endpoint) = (text("agentHost")?, text("endpoint")?);
        let (token, user, password) = (text("authToken")?, text("authUsername")?, text("authPassword")?);
        let port = |field: Field<'_>| field.integer(0..=65535, findings);
        let agent_port = object.field("agentPort").map(port).transpose()?;
        // Zero was Jaeger's way to say nothing.
        let agent_port = agent_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        Ok(Self { agent_host, agent_port, endpoint, token, user, password })
    }

    /// This one, completed by the other: the destination is taken from one of them as a whole, and so are the
    /// credentials.
    #[must_use]
    pub(super) fn over(&self, other: &Self) -> Self {
        let has_destination = self.endpoint.is_some() || self.agent_host.is_some() || self.agent_port.is_some();
        let destination = if has_destination { self } else { other };
        let has_credentials = self.token.is_some() || self.user.is_some();
        let credentials = if has_credentials { self } else { other };
        Self {
            agent_host: destination.agent_host.clone(),
            agent_port: destination.agent_port,
            endpoint: destination.endpoint.clone(),
            token: credentials.token.clone(),
            user: credentials.user.clone(),
            password: credentials.password.clone(),
        }
    }

    /// The settings of the jaeger plugin that do the same: an endpoint wins over an agent.
    pub(super) fn plugin_config(&self) -> Json {
        let Some(endpoint) = &self.endpoint else {
            let host = self.agent_host.as_deref().unwrap_or("localhost");
            return json!({ "transport": "thrift_udp", "endpoint": format!("{host}:{}", self.agent_port.unwrap_or(6831)) });
        };
        let authorization = match (&self.user, &self.password, &self.token) {
            (Some(user), Some(password), _) => Some(basic_authorization(user, password)),
            (_, _, Some(token)) => Some(format!("Bearer {token}")),
            _ => None,
        };
        match authorization {
            Some(value) => {
                json!({ "transport": "thrift_http", "endpoint": endpoint, "headers": { "authorization": value } })
            }
            None => json!({ "transport": "thrift_http", "endpoint": endpoint }),
        }
    }
}
