//! A configuration that stays as it is.

use std::fmt;

use rdkafka::ClientConfig;

use super::off::{Resolver, ResolverError};

/// Would trace the clients that are created from `config`. Here it warns once in a process that none is.
///
/// # Errors
///
/// None.
pub fn instrument(config: &mut ClientConfig) -> Result<(), InstrumentError> {
    match Resolver::global() {
        Ok(resolver) => Instrumentation::new(resolver).apply(config),
        Err(error) => Err(InstrumentError::Resolver(error)),
    }
}

/// [`instrument`], with a say in which resolver and which service.
#[derive(Clone, Debug)]
pub struct Instrumentation(());

/// Why the clients of a configuration will not be traced. Never given here, where none is.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstrumentError {
    /// The resolver refused its configuration, in strict mode.
    Resolver(ResolverError),
    /// The configuration names no service of this name.
    UnknownService {
        /// As it was asked for.
        service: String,
        /// The services that there are.
        known: Vec<String>,
    },
    /// The way in could not be made and loaded, and the resolver is strict.
    NotLoadable(std::io::Error),
}

impl Instrumentation {
    /// For the clients of `resolver`.
    pub fn new(_resolver: &Resolver) -> Self {
        Self(())
    }

    /// Would bind the clients to a service.
    pub fn service(self, _name: impl Into<String>) -> Self {
        self
    }

    /// Leaves the configuration as it is.
    ///
    /// # Errors
    ///
    /// None.
    pub fn apply(&self, _config: &mut ClientConfig) -> Result<(), InstrumentError> {
        Ok(())
    }
}

impl fmt::Display for InstrumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(error) => error.fmt(f),
            Self::UnknownService { service, known } => {
                write!(f, "the configuration has no service {service:?} (it has: {})", known.join(", "))
            }
            Self::NotLoadable(error) => write!(f, "librdkafka cannot be given a way in: {error}"),
        }
    }
}

impl std::error::Error for InstrumentError {}
