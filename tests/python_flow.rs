//! Promise: two services in one Python process, without a line of their code, make the traces that the Rust crate makes.

use std::path::Path;

use words::foreign::{PROCESSING, Shop, Surroundings, WayIn, processing_in_rust, python, run};

/// The drawing of `flow.py`.
fn python_program(python: &Path, way_in: WayIn) -> String {
    let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
    let ended = run(surroundings.command(way_in, python).arg("tests/python/flow.py"));
    ended.expect_success();
    assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""));
    surroundings.traces()
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
    for way_in in [WayIn::Preload, WayIn::Both] {
        assert_eq!(python_program(&python, way_in), drawing, "{way_in:?}");
    }
}
