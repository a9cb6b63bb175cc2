//! One life of the plugin, without a host's process.

use std::time::Duration;

use tracer_plugin_@IDENTIFIER@::Plugin;
use tracer_plugin_api::{Backend, CreateArgs, testing};

#[test]
fn a_batch_is_taken_and_counted() {
    let plugin = Plugin::create(&CreateArgs::detached("mine", "{}")).unwrap();
    let orders = testing::spans(3, &["orders", "mail"]);
    plugin.export(&orders.batch(), Duration::from_secs(1)).unwrap();
    assert_eq!(plugin.stats().unwrap().items_sent, 3);
}

#[test]
fn it_keeps_the_contract() {
    testing::assert_contract::<Plugin>("{}");
}
