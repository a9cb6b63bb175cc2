//! The wheel puts the library, the plugins and the tool on a machine, says truly which systems it is for, and
//! gives a Python program the properties of a traced client.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Kind, LIBRARIES, expect_success, out, package, stands_alone};

#[test]
fn it_installs_and_works() {
    let Some(site) = installed() else { return };
    says_truly_which_glibc_it_needs(&package(Kind::Wheel).unwrap(), &site.path().join("tracer_interceptors/lib"));
    brings_what_it_promises(site.path());
    says_where_the_library_is(site.path());
    becomes_the_program_it_runs(site.path());
    brings_its_layer_into_python_programs_and_their_children(site.path());
    gives_the_properties_of_a_client(site.path());
}

/// A folder for `PYTHONPATH` with nothing but the wheel; none where none can be built.
#[track_caller]
pub(crate) fn installed() -> Option<TempDir> {
    let wheel = package(Kind::Wheel)?;
    let site = tempfile::tempdir().unwrap();
    // The environment that built it has pip; nothing else is needed, no registry among it.
    let mut pip = Command::new(out(Kind::Wheel).join(".python/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-index", "--target"]).arg(site.path()).arg(wheel);
    expect_success(pip.output().unwrap());
    Some(site)
}

fn says_truly_which_glibc_it_needs(wheel: &Path, lib: &Path) {
    let newest = newest_glibc(lib);
    // pip before 20.3 knows 2.17 by another name only.
    let old_name = if newest <= (2, 17) { "manylinux2014_x86_64." } else { "" };
    let expected = format!("-py3-none-{old_name}manylinux_{}_{}_x86_64.whl", newest.0, newest.1);
    assert!(wheel.to_str().unwrap().ends_with(&expected), "{} is not {expected}", wheel.display());
}

/// The newest version of glibc that any dynamic symbol of the files in `lib` is bound to.
pub(crate) fn newest_glibc(lib: &Path) -> (u32, u32) {
    let files = LIBRARIES.iter().copied().chain(["tracer-interceptors"]).map(|name| lib.join(name));
    let symbols = expect_success(Command::new("objdump").arg("-T").args(files).output().unwrap());
    let versions = symbols.split("GLIBC_").skip(1).map(|rest| {
        let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    });
    versions.max().unwrap()
}

fn brings_what_it_promises(site: &Path) {
    let package = site.join("tracer_interceptors");
    for name in ["py.typed", "start/sitecustomize.py", "default-config.toml", "include/tracer_interceptors.h"] {
        assert!(package.join(name).is_file(), "{name}");
    }
    for name in LIBRARIES {
        assert!(package.join("lib").join(name).is_file(), "{name}");
    }
    let about = site.join(format!("tracer_interceptors-{}.dist-info/METADATA", env!("CARGO_PKG_VERSION")));
    stands_alone(&std::fs::read_to_string(about).unwrap(), "tracing.toml");
    let licences = site.join(format!("tracer_interceptors-{}.dist-info/licenses", env!("CARGO_PKG_VERSION")));
    let notices = std::fs::read_to_string(licences.join("THIRD-PARTY.txt")).unwrap();
    for owed in ["rustls-webpki", "Copyright (c) 2014-2026 Alex Crichton", "webpki-roots"] {
        assert!(notices.contains(owed), "{owed}");
    }
}

fn says_where_the_library_is(site: &Path) {
    let said = expect_success(python(site).args(["-m", "tracer_interceptors", "path"]).output().unwrap());
    assert_eq!(PathBuf::from(said.trim_end()), site.join("tracer_interceptors/lib/libtracer_interceptors.so"));
    let said = python(site).args(["-c", "import tracer_interceptors as t; print(t.library_path())"]).output().unwrap();
    assert_eq!(
        PathBuf::from(expect_success(said).trim_end()),
        site.join("tracer_interceptors/lib/libtracer_interceptors.so")
    );
}

fn becomes_the_program_it_runs(site: &Path) {
    let program = "import os, sys; print('libtracer_interceptors.so' in open('/proc/self/maps').read()); sys.exit(9)";
    let mut command = python(site);
    command.args(["-m", "tracer_interceptors", "run", "--", "python3", "-c", program]);
    let output = command.env("OTEL_SDK_DISABLED", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "True\n");
}

fn brings_its_layer_into_python_programs_and_their_children(site: &Path) {
    let look = "import sys; print('tracer_interceptors._layer' in sys.modules)";
    let parent = format!("import subprocess, sys; {look}; subprocess.run([sys.executable, '-c', {look:?}])");
    let mut command = python(site);
    // Another Python, in which the package is not installed, finds it where it lies.
    command.args(["-m", "tracer_interceptors", "run", "env", "-u", "LD_PRELOAD", "python3", "-u", "-c", &parent]);
    let said = expect_success(command.env("OTEL_SDK_DISABLED", "true").output().unwrap());
    assert_eq!(said, "True\nTrue\n");
}

fn gives_the_properties_of_a_client(site: &Path) {
    let program = "\
from tracer_interceptors import client_properties, library_path
ours = library_path()
given = {'bootstrap.servers': 'b', 'group.id': 'g'}
made = client_properties(given, **{'group.id': 'h'})
assert made == {'plugin.library.paths': ours, 'bootstrap.servers': 'b', 'group.id': 'h'}, made
assert list(made)[0] == 'plugin.library.paths', made
assert given == {'bootstrap.servers': 'b', 'group.id': 'g'}, given
assert client_properties(made) == made
assert client_properties() == {'plugin.library.paths': ours}
other = client_properties({'plugin.library.paths': 'monitoring-interceptor;'})
assert other == {'plugin.library.paths': 'monitoring-interceptor;' + ours}, other
import tracer_interceptors
tracer_interceptors._LIB = '/a;b'
try:
    client_properties()
except ValueError as error:
    assert '/a;b' in str(error)
else:
    raise AssertionError('a path with a semicolon went through')
";
    expect_success(python(site).args(["-c", program]).output().unwrap());
}

fn python(site: &Path) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", site).env_remove("LD_PRELOAD").env_remove("INTERCEPTORS_CONFIG_FILE");
    command
}
