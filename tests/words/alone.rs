//! A test in a process of its own: for what is decided once per process, such as its environment.

use std::env;
use std::process::Command;

const MARK: &str = "TRACER_RESOLVER_TEST_CHILD";

/// This test program again, running only the test of this name, without the variables that configure tracing.
///
/// That test does its work when [`is_child`], and returns at once when it is not.
pub fn child(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["OTEL_", "JAEGER_", "INTERCEPTORS_", "TRACERRESOLVER_"].iter().any(|prefix| name_text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env(MARK, test);
    command
}

/// Whether this process was started by [`child`].
pub fn is_child() -> bool {
    env::var_os(MARK).is_some()
}
