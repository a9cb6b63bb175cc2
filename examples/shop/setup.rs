//! The environment: which configuration is used, and which backends are the user's own.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use crate::kind::Kind;
use crate::order::Failure;

/// What the environment says, and was made to say.
pub(crate) struct Environment {
    /// The file that `INTERCEPTORS_CONFIG_FILE` names now.
    file: OsString,
    /// Whether the user named it.
    own_file: bool,
    /// One for each kind.
    pub(crate) servers: Vec<(Kind, Server)>,
}

/// Where the spans of one kind of backend go.
pub(crate) enum Server {
    /// To this address, which the user named.
    Yours(String),
    /// To the receiver that will listen on this port of 127.0.0.1.
    BuiltIn(u16),
}

/// Makes `INTERCEPTORS_CONFIG_FILE` name the shop's `tracing.toml`, and the variables in it the built-in receivers, where
/// the user has not set them.
///
/// # Safety
///
/// No other thread may exist: the environment of a process is not made for two.
pub(crate) unsafe fn prepare() -> Result<Environment, Failure> {
    let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop/tracing.toml"));
    let own = value(VARIABLE);
    let own_file = own.is_some();
    let file = own.unwrap_or_else(|| shipped.into_os_string());
    let mut environment = Environment { file, own_file, servers: Vec::new() };
    // SAFETY: the caller vouches that this is the only thread.
    let set = |variable: &str, value: &OsStr| unsafe { std::env::set_var(variable, value) };
    set(VARIABLE, &environment.file);
    for kind in Kind::ALL {
        let server = match value(kind.variable()) {
            Some(endpoint) => Server::Yours(endpoint.to_string_lossy().into_owned()),
            None => {
                let port = free_port()?;
                set(kind.variable(), kind.endpoint(port).as_ref());
                Server::BuiltIn(port)
            }
        };
        environment.servers.push((kind, server));
    }
    Ok(environment)
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = PathBuf::from(&self.file);
        let here = std::env::current_dir().ok();
        let shown = here.as_ref().and_then(|here| file.strip_prefix(here).ok()).unwrap_or(&file).display();
        let whose = if self.own_file { "yours" } else { "the shop's own" };
        write!(f, "{VARIABLE}={shown} ({whose})")
    }
}

/// What a variable says, if it says anything.
fn value(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

/// A port that nobody listens on. The kernel does not give it out again soon.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let port = listener.and_then(|listener| Ok(listener.local_addr()?.port()));
    port.map_err(|error| Failure::new(format!("no port of 127.0.0.1 is free for the built-in receivers: {error}")))
}

const VARIABLE: &str = "INTERCEPTORS_CONFIG_FILE";
