//! One life of the plugin, without a host.

use std::time::Duration;

use tracer_plugin_@IDENTIFIER@::Plugin;
use tracer_plugin_api::{Backend, Batch, CreateArgs, Signal};

#[test]
fn a_batch_is_taken_and_counted() {
    let plugin = Plugin::create(&CreateArgs::detached("mine", "{}")).unwrap();
    // An ExportTraceServiceRequest with one empty ResourceSpans.
    let body = [0x0a, 0x00];
    let batch = Batch::first_try(Signal::Traces, &body, 1, 1);
    plugin.export(&batch, Duration::from_secs(1)).unwrap();
    assert_eq!(plugin.stats().unwrap().items_sent, 1);
}
