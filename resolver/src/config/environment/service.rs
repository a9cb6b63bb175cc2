//! From variables to one service for every topic.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::exporters;
use super::metrics;
use super::percent_encoding::percent_decoded;
use super::settings;
use crate::config::draft::backend::BackendDraft;
use crate::config::draft::config::ConfigDraft;
use crate::config::draft::defaults::Defaults;
use crate::config::draft::service::ServiceDraft;
use crate::config::model::{Batch, Plugins, Reload, Trace};
use crate::config::reading::names;
use crate::config::reading::variable_reader::VariableReader;

/// The one service that the variables describe, and the backends that it exports to.
pub(crate) fn read(defaults: &Defaults, reader: &mut VariableReader<'_>) -> ConfigDraft {
    let backends = exporters::read(defaults.sending.in_effect(), reader);
    let mut layer = settings::read(reader);
    if backends.is_empty() {
        // OTEL_TRACES_EXPORTER=none: spans would go nowhere, the context still has to pass on.
        layer.trace = Some(Ok(Trace::Propagate));
    }
    layer.export = Some(Ok((0..backends.len()).collect()));
    let (name, resource) = identity(reader);
    layer.resource = resource.into_iter().map(|(key, value)| (key, Ok(value))).collect();
    let layer = layer.over(&defaults.layer);
    let batch = defaults.batch.in_effect().map(|batch| with_delay(batch, reader));
    let metrics = metrics::read(reader).over(&defaults.metrics).in_effect();
    ConfigDraft {
        reload: Reload::OFF,
        defaults: layer.clone(),
        services: vec![ServiceDraft::without_rules(name, 0..0, layer)],
        default_service: Some(0),
        backends: backends.into_iter().map(BackendDraft::from).collect(),
        plugins: Plugins::default(),
        broken_plugins: Vec::new(),
        batch,
        metrics,
    }
}

/// `OTEL_SERVICE_NAME` wins over `service.name` of `OTEL_RESOURCE_ATTRIBUTES`.
fn identity(reader: &mut VariableReader<'_>) -> (String, Vec<(String, String)>) {
    let variable = "OTEL_RESOURCE_ATTRIBUTES";
    let text = reader.text(variable).unwrap_or_default();
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut name = None;
    for (key, value) in reader.pairs(variable, &text) {
        let Some(value) = percent_decoded(&value) else {
            reader
                .warn(variable, &format!("has an attribute {key:?} that is not percent-encoded text; it is left out"));
            continue;
        };
        if key == "service.name" {
            name = Some(value);
        } else {
            attributes.retain(|(other, _)| *other != key);
            attributes.push((key, value));
        }
    }
    let name = reader.text("OTEL_SERVICE_NAME").or(name.filter(|name| !name.is_empty()));
    if let Some(flaw) = name.as_deref().and_then(names::flaw) {
        reader.warn("the name of the service", &format!("has {}", flaw.what()));
    }
    (name.unwrap_or_else(|| "unknown_service".into()), attributes)
}

fn with_delay(batch: Batch, reader: &mut VariableReader<'_>) -> Batch {
    let delay = reader.milliseconds("OTEL_BSP_SCHEDULE_DELAY");
    Batch { delay: delay.map_or(batch.delay, Duration::from_millis), ..batch }
}
