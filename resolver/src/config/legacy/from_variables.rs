//! No file and no `OTEL_*` variable, but `JAEGER_SERVICE_NAME`: what the last of the old versions lived on.

#![forbid(unsafe_code)]

use super::draft_builder::{DraftBuilder, nowhere};
use super::jaeger_variables::JaegerVariables;
use super::reporter::Reporter;
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::defaults::Defaults;
use crate::config::draft::service::ServiceDraft;
use crate::config::reading::variable_reader::VariableReader;

/// One service for every topic, as the `JAEGER_*` variables say; `None` without a name for it.
pub(crate) fn read(defaults: Defaults, reader: &mut VariableReader<'_>) -> Option<ConfigDraft> {
    let name = reader.text("JAEGER_SERVICE_NAME")?;
    let environment = JaegerVariables::read(reader);
    let mut builder = DraftBuilder::new(environment, defaults)?;
    let mut layer = builder.layer(None, &Reporter::default(), &(0..0));
    if let Some(Ok(exclude)) = &mut layer.exclude {
        // No list of topics limits this service, so the brokers' own ones must not reach it.
        *exclude = exclude.iter().cloned().chain([nowhere("__*")]).collect();
    }
    Some(ConfigDraft {
        services: vec![ServiceDraft::without_rules(name, 0..0, layer)],
        default_service: Some(0),
        ..builder.finish(reader.findings)
    })
}
