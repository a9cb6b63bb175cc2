//! What identifies a service instance to its backends: OpenTelemetry's resource conventions, and what the file adds.

#![forbid(unsafe_code)]

use crate::batch::ServiceResource;
use crate::config::Service;
use crate::host;

/// Whom spans or metrics are of. It names the process, so a fork has others.
pub(super) struct Resource {
    pub(super) attributes: Vec<(String, String)>,
    pub(super) encoded: ServiceResource,
}

const PID: &str = "process.pid";

impl Resource {
    pub(super) fn of(name: &str, from_file: &[(String, String)]) -> Self {
        let (strings, pid) = attributes(name, from_file);
        let borrowed = strings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let encoded = ServiceResource::new(borrowed, pid.map(|pid| (PID, pid)));
        let attributes = strings.into_iter().chain(pid.map(|pid| (PID.to_owned(), pid.to_string()))).collect();
        Self { attributes, encoded }
    }
}

/// That of a service.
pub(super) fn resource(service: &Service) -> ServiceResource {
    Resource::of(&service.name, &service.resource).encoded
}

/// Its resource's texts, and `process.pid`, unless the file says another.
fn attributes(name: &str, from_file: &[(String, String)]) -> (Vec<(String, String)>, Option<i64>) {
    let detected = [
        ("service.name", name),
        ("service.instance.id", host::instance_id()),
        ("telemetry.sdk.name", "tracer-resolver"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("host.name", host::host_name()),
        ("process.executable.name", host::executable_name()),
    ];
    let says = |key: &str| from_file.iter().any(|(known, _)| known == key);
    let detected = detected.into_iter().filter(|(key, value)| !value.is_empty() && !says(key));
    let detected = detected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pid = (!says(PID)).then(|| i64::from(std::process::id()));
    (detected.chain(from_file.iter().cloned()).collect(), pid)
}
