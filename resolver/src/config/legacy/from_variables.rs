//! No file and no `OTEL_*` variable, but `JAEGER_SERVICE_NAME`: what the last of the old versions lived on.

#![forbid(unsafe_code)]

use super::jaeger_variables::JaegerVariables;
use super::reading::{Reading, nowhere};
use super::reporter::Reporter;
use crate::config::defaults::Base;
use crate::config::draft::{Draft, ServiceDraft};
use crate::config::environment::Reader;
use crate::config::findings::Findings;
use crate::config::variables::Variables;

/// One service for every topic, as the `JAEGER_*` variables say; `None` without a name for it.
pub(crate) fn from_variables(base: Base, variables: &Variables, findings: &mut Findings) -> Option<Draft> {
    let mut reader = Reader { variables, findings };
    let name = reader.text("JAEGER_SERVICE_NAME")?;
    let environment = JaegerVariables::read(&mut reader);
    let mut reading = Reading::new(environment, base)?;
    let mut layer = reading.layer(None, &Reporter::default(), &(0..0));
    if let Some(Ok(exclude)) = &mut layer.exclude {
        // No list of topics limits this service, so the brokers' own ones must not reach it.
        exclude.push(nowhere("__*"));
    }
    Some(Draft {
        services: vec![ServiceDraft::without_rules(name, 0..0, layer)],
        default_service: Some(0),
        ..reading.finish(findings)
    })
}
