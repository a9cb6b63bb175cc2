//! Promise: applications on Python's frameworks have whole traces as they are, run with the layer: FastAPI with a consumer in its
//! lifespan and OpenTelemetry's spans, FastStream, gunicorn with gevent's workers, Quix Streams, agents as Faust has them; and Celery's
//! jobs, if the program gives them the context, else never a wrong one.

use std::path::PathBuf;
use std::process::Command;

use words::foreign::{PAYING, python_with};
use words::kafka::Kafka;
use words::{Traced, WayIn, draw_traces, run};

const PYTHON: &str = "confluent-kafka==2.16.1\nfaststream[confluent]==0.7.8\nfastapi==0.165.0\nuvicorn==0.54.0\n\
    opentelemetry-sdk==1.45.2\nopentelemetry-instrumentation-fastapi==0.66b2\n\
    opentelemetry-exporter-otlp-proto-http==1.45.2\ngunicorn==27.0.1\ngevent==26.9.0";

#[track_caller]
fn python() -> Option<PathBuf> {
    python_with("python-frameworks", PYTHON)
}

/// The traces of a program, drawn, where so many orders wait, of which each has the number of a partition of `payments`.
#[track_caller]
fn traces(orders: usize, program: impl FnOnce(&mut Command)) -> Option<String> {
    traces_by(python()?, orders, program)
}

#[track_caller]
fn traces_by(python: PathBuf, orders: usize, program: impl FnOnce(&mut Command)) -> Option<String> {
    let traced = Traced::on(Kafka::start_with(&["orders", "payments"], 10), PAYING);
    traced.send_numbered("orders", orders);
    let mut command = traced.command(WayIn::Layer, python);
    // What the program traces itself goes the same way.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", traced.collector.endpoint());
    program(&mut command);
    run(&mut command).expect_success();
    let mut faults = traced.collector.faults();
    // OpenTelemetry's Python SDK leaves that bit out of what it exports.
    faults.retain(|fault| !fault.ends_with("exported, but its flags say that it was not sampled"));
    assert_eq!(faults, Vec::<String>::new());
    Some(draw_traces(&traced.collector.spans()))
}

#[test]
fn a_request_its_order_the_consumer_and_the_application_s_own_span_are_one_trace() {
    let drawn = traces(0, |command| {
        command.arg("tests/python/fastapi_app.py");
    });
    let one = "web: POST /orders\n  shop: send orders\n    billing: process orders\n      web: charge\n        billing: send payments\n";
    if let Some(drawn) = drawn {
        assert_eq!(drawn, one.repeat(3));
    }
}

const PAID: &str = "billing: process orders\n  billing: send payments\n";

#[test]
fn a_handler_of_faststream_pays_in_the_trace_of_its_order() {
    let drawn = traces(10, |command| {
        command.arg("tests/python/faststream_app.py");
    });
    if let Some(drawn) = drawn {
        assert_eq!(drawn, PAID.repeat(10));
    }
}

#[test]
fn a_greenlet_of_gunicorn_s_gevent_worker_pays_in_the_trace_of_its_order() {
    let drawn = traces(10, |command| {
        let gunicorn = "-m gunicorn --log-level error --worker-class gevent --bind 127.0.0.1:0 --chdir tests/python";
        command.args(gunicorn.split(' ')).arg("gunicorn_gevent:application");
    });
    if let Some(drawn) = drawn {
        assert_eq!(drawn, PAID.repeat(10));
    }
}

/// A consumer that sends nothing: its own spans are all that shows which message it is at.
#[test]
fn the_application_s_own_spans_are_under_the_message_that_it_stores_and_under_no_other() {
    let drawn = traces(10, |command| {
        command.arg("tests/python/sink.py");
    });
    if let Some(drawn) = drawn {
        let stored = |n| format!("billing: process orders\n  store: store {n}\n");
        let lines: usize = (0..4).map(|n| drawn.matches(&stored(n)).count()).sum();
        let children = drawn.matches("\n  store: store").count();
        // Of the fifth it is not sure, for one was left out before it; nor is it of those of the list.
        assert_eq!((lines, children, drawn.matches("store: ").count()), (4, 4, 9), "{drawn}");
    }
}

/// Its consumer reads one after the other, and its pipeline lets every other one pass.
#[test]
fn a_pipeline_of_quix_streams_pays_in_the_trace_of_its_order() {
    let Some(python) = python_with("python-quix", "quixstreams==3.28.1") else { return };
    let drawn = traces_by(python, 10, |command| {
        command.arg("tests/python/quix_app.py");
    });
    let drawn = drawn.unwrap_or_default();
    // Where one was left out before it, nothing shows yet that the first does not follow from several.
    let (paid, roots) = (drawn.matches(PAID).count(), drawn.matches("\nbilling: send").count());
    assert_eq!((paid, roots, drawn.matches("billing: process orders").count()), (4, 1, 10), "{drawn}");
}

#[test]
fn an_agent_that_takes_orders_from_a_stream_pays_in_the_trace_of_the_one_that_it_passes_on() {
    let drawn = traces(10, |command| {
        command.arg("tests/python/agents.py");
    });
    if let Some(drawn) = drawn {
        assert_eq!(drawn, PAID.repeat(10));
    }
}

#[test]
fn a_job_of_celery_pays_in_the_trace_that_it_was_given_and_in_no_other() {
    let Some(python) = python_with("python-celery", "confluent-kafka==2.16.1\ncelery==5.7.0") else { return };
    let drawn = traces_by(python, 10, |command| {
        command.arg("tests/python/celery_app.py");
    });
    let drawn = drawn.unwrap_or_default();
    let (alone, roots) = ("billing: process orders\n".repeat(5), "billing: send payments\n".repeat(5));
    assert_eq!(drawn.matches(PAID).count(), 5, "{drawn}");
    assert_eq!(drawn.replace(PAID, "").len(), alone.len() + roots.len(), "{drawn}");
}
