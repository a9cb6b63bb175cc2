//! Promise: two services in one Python process, without a line of their code, make the traces that the Rust crate makes.

use std::path::Path;

use words::foreign::{PROCESSING, Shop, processing_in_rust, python};
use words::{Traced, WayIn, run};

/// The drawing of `flow.py`.
fn python_program(python: &Path, way: WayIn) -> String {
    let traced = Traced::start(&["orders", "payments"], PROCESSING);
    let ended = run(traced.command(way, python).arg("tests/python/flow.py"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""));
    traced.take_traces()
}

#[test]
fn by_property_the_drawing_is_the_rust_crate_s() {
    let Some(python) = python() else { return };
    let drawing = processing_in_rust(3, Shop::SaysNothing);
    let one =
        "shop: send orders\n  billing: process orders\n    billing: send payments\n      shop: receive payments\n";
    assert_eq!(drawing, one.repeat(3));
    assert_eq!(python_program(&python, WayIn::Property), drawing);
}

#[test]
fn by_preload_and_by_both_the_drawing_is_the_rust_crate_s() {
    let Some(python) = python() else { return };
    let drawing = processing_in_rust(3, Shop::SaysWhenItIsDone);
    for way in [WayIn::Preload, WayIn::Both] {
        assert_eq!(python_program(&python, way), drawing, "{way:?}");
    }
}
