//! Promise: the shop of `examples/` runs by itself, loses no span, shows a killed receiver, and says what is wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use words::kafka::Kafka;
use words::receivers::{JaegerReceiver, OtlpReceiver, ZipkinReceiver};

/// What a run of the shop came to.
struct Run {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The columns of the table's row for a service and a backend.
    fn row(&self, service: &str, backend: &str) -> Vec<&str> {
        let rows = self.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.into_iter()
            .find(|row| row.len() > 6 && row.first() == Some(&service) && row.get(1) == Some(&backend))
            .unwrap_or_else(|| panic!("no row {service} {backend} in\n{}{}", self.stdout, self.stderr))
    }
}

fn shop() -> Command {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().with_file_name("examples").join("shop");
    assert!(
        program.exists(),
        "{} is not built; `cargo test` without --test, or `cargo build --examples`, does",
        program.display()
    );
    let mut command = Command::new(program);
    for variable in ["INTERCEPTORS_CONFIG_FILE", "JAEGER_ENDPOINT", "ZIPKIN_ENDPOINT", "OTLP_ENDPOINT", "SHOP_RATIO"] {
        command.env_remove(variable);
    }
    command
}

fn run(command: &mut Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that ends early does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        succeeded: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn every_order_of_the_sample_is_traced_through_four_services_into_three_backends() {
    let run = run(shop().args(["--limit", "200", "--rate", "0"]), "");
    assert!(run.succeeded, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("No span was lost"), "{}", run.stdout);
    assert!(run.stdout.contains("! IssuerTimeout: the issuer did not answer in time"), "{}", run.stdout);
    assert_eq!(run.row("orders", "jaeger")[2..6], ["jaeger", "200", "200", "0"]);
    assert_eq!(run.row("notifications", "otlp")[2..6], ["otlp", "200", "200", "0"]);
    let drawn = run.stdout.lines().filter(|line| line.contains(" send ") || line.contains(" process "));
    let drawn: Vec<_> = drawn
        .map(|line| {
            let words = line.split_whitespace().filter(|word| !"│├└".contains(word));
            words.take(4).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let expected = [
        "orders send orders producer",
        "payments process orders consumer",
        "payments send payments.accepted producer",
        "shipping process payments.accepted consumer",
        "shipping send shipments producer",
        "notifications process shipments consumer",
    ];
    assert_eq!(drawn, expected);
}

#[test]
fn a_killed_receiver_costs_its_own_spans_and_no_order() {
    let run = run(shop().args(["--limit", "600", "--rate", "600", "--kill=zipkin"]), "");
    assert!(run.succeeded, "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("notified 600"), "{}", run.stderr);
    assert_ne!(run.row("payments", "zipkin")[5], "0");
    assert_eq!(run.row("orders", "jaeger")[3..6], ["600", "600", "0"]);
    assert_eq!(run.row("notifications", "otlp")[3..6], ["600", "600", "0"]);
}

#[test]
fn orders_of_stdin_go_through_a_cluster_and_to_servers_of_the_users_own() {
    let (jaeger, zipkin, otlp) =
        (JaegerReceiver::start().unwrap(), ZipkinReceiver::start().unwrap(), OtlpReceiver::start().unwrap());
    let kafka = Kafka::start(&["orders", "payments.accepted", "payments.declined", "shipments"]);
    let order = r#"{"id":1,"customer":"C1","country":"DE","currency":"EUR","method":"wallet","items":[],"total":5}"#;
    let run = run(
        shop()
            .env("JAEGER_ENDPOINT", jaeger.endpoint())
            .env("ZIPKIN_ENDPOINT", zipkin.endpoint())
            .env("OTLP_ENDPOINT", otlp.endpoint())
            .args(["--orders", "-", "--bootstrap", &kafka.cluster().bootstrap_servers()]),
        order,
    );
    assert!(run.succeeded, "{}{}", run.stdout, run.stderr);
    // The last span came to two backends.
    let spans =
        [jaeger.spans().into_iter().filter(|span| span.service == "orders").collect(), zipkin.spans(), otlp.spans()];
    assert_eq!(
        words::draw_traces(&spans.concat()),
        "orders: send orders
  payments: process orders
    payments: authorize wallet
    payments: send payments.accepted
      shipping: process payments.accepted
        shipping: send shipments
          notifications: process shipments
"
    );
}

#[test]
fn a_shop_that_is_killed_does_not_hold_up_the_next_on_its_cluster() {
    let kafka = Kafka::start(&["orders", "payments.accepted", "payments.declined", "shipments"]);
    let order = r#"{"id":1,"customer":"C1","country":"DE","currency":"EUR","method":"wallet","items":[],"total":5}"#;
    let on_cluster = || {
        let mut shop = shop();
        shop.args(["--orders", "-", "--bootstrap", &kafka.cluster().bootstrap_servers()]);
        shop
    };
    let mut killed = on_cluster().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Stdin stays open: it is at work when it is killed.
    let mut orders = killed.stdin.take().unwrap();
    writeln!(orders, "{order}").unwrap();
    let said = BufReader::new(killed.stderr.take().unwrap()).lines().map_while(Result::ok);
    let at_work = said.into_iter().any(|line| line.contains("notified 1"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(at_work);
    let next = run(&mut on_cluster(), order);
    assert!(next.succeeded, "{}{}", next.stdout, next.stderr);
    // What the first one left is not read: an order is a span of its own service and no more.
    assert_eq!(next.row("orders", "jaeger")[3..6], ["1", "1", "0"]);
    assert_eq!(next.row("notifications", "otlp")[3..6], ["1", "1", "0"]);
}

#[test]
fn a_span_that_is_lost_unasked_is_a_failure() {
    let elsewhere = OtlpReceiver::start().unwrap();
    let run = run(
        shop()
            .env("JAEGER_ENDPOINT", "http://127.0.0.1:1")
            .env("ZIPKIN_ENDPOINT", "http://127.0.0.1:1")
            .env("OTLP_ENDPOINT", elsewhere.endpoint())
            .args(["--limit", "5"]),
        "",
    );
    assert!(!run.succeeded, "{}", run.stdout);
    assert_eq!(run.row("orders", "jaeger")[3..6], ["5", "0", "5"]);
    assert!(run.stdout.contains("spans were lost"), "{}", run.stdout);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_way_out() {
    let wrong = run(shop().args(["--orders", "-"]), "{\"id\": 1}\n");
    assert!(
        !wrong.succeeded && wrong.stderr.contains("stdin:1: not an order: missing field `customer`"),
        "{}",
        wrong.stderr
    );

    let wrong = run(shop().args(["--orders", "/"]), "");
    assert!(!wrong.succeeded && wrong.stderr.contains("/: Is a directory"), "{}", wrong.stderr);

    let wrong = run(shop().args(["--kill", "otlp"]).env("OTLP_ENDPOINT", "http://127.0.0.1:1"), "");
    assert!(!wrong.succeeded && wrong.stderr.contains("--kill otlp: that server is yours"), "{}", wrong.stderr);

    let wrong = run(shop().args(["--bootstrap", "127.0.0.1:1"]), "");
    assert!(!wrong.succeeded && wrong.stderr.contains("127.0.0.1:1: no Kafka answers there"), "{}", wrong.stderr);

    let wrong = run(shop().args(["--kil", "zipkin"]), "");
    assert!(!wrong.succeeded && wrong.stderr.contains("no option \"--kil\""), "{}", wrong.stderr);

    let wrong = run(shop().args(["--orders", "/nowhere"]), "");
    assert!(!wrong.succeeded && wrong.stderr.contains("/nowhere: No such file"), "{}", wrong.stderr);
}

#[test]
fn the_sample_is_what_the_shop_itself_makes_up() {
    let sample = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop/orders.ndjson")).unwrap();
    assert!(run(shop().args(["--generate", "3000"]), "").stdout == sample, "orders.ndjson is not of this generator");
}
