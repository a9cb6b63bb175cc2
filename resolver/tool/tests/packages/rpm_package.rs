//! The package for systems with rpm puts the same files into the same places, and asks for the C library that it needs.

use std::process::Command;

use words::foreign::skip;

use crate::support::{Kind, LIBRARIES, brings_the_layers, expect_success, package};

#[test]
fn it_unpacks_and_works() {
    let Some(package) = package(Kind::Rpm) else { return };
    let asked =
        |words: &[&str]| expect_success(Command::new("rpm").arg("-qp").args(words).arg(&package).output().unwrap());
    let about = asked(&["--queryformat", "%{NAME} %{VERSION} %{ARCH} %{LICENSE}"]);
    assert_eq!(about, format!("tracer-resolver {} {} Apache-2.0", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH));
    let needs = asked(&["--requires"]);
    assert!(needs.contains("libc.so.6(GLIBC_2.") && needs.contains("libgcc_s.so.1()(64bit)\n"), "{needs}");
    for line in
        asked(&["--queryformat", "[%{FILEUSERNAME} %{FILEGROUPNAME} %{FILEMODES:perms} %{FILENAMES}\n]"]).lines()
    {
        let executable = line.contains(" d") || line.ends_with("/usr/bin/tracer-interceptors");
        let expected = if executable { "rwxr-xr-x " } else { "rw-r--r-- " };
        assert!(line.starts_with("root root ") && line.contains(expected), "{line}");
    }

    let root = tempfile::tempdir().unwrap();
    let unpack = "rpm2archive - <\"$0\" | tar -xz";
    let unpacked = Command::new("sh").args(["-c", unpack]).arg(&package).current_dir(root.path()).output().unwrap();
    if !unpacked.status.success() {
        return skip(&format!("rpm2archive: {}", String::from_utf8_lossy(&unpacked.stderr)));
    }
    for library in LIBRARIES {
        assert!(root.path().join("usr/lib/tracer-resolver").join(library).is_file(), "{library}");
    }
    let mut tool = Command::new(root.path().join("usr/bin/tracer-interceptors"));
    let library = root.path().join("usr/lib/tracer-resolver/libtracer_interceptors.so");
    assert_eq!(expect_success(tool.arg("path").output().unwrap()), format!("{}\n", library.display()));
    brings_the_layers(&root.path().join("usr/bin/tracer-interceptors"), &library);
    let notices = std::fs::read_to_string(root.path().join("usr/share/doc/tracer-resolver/THIRD-PARTY.txt")).unwrap();
    assert!(notices.contains("rustls-webpki"));
}
