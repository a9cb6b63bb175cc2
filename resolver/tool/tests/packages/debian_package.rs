//! The Debian package puts the library, the plugins, the tool, the manual and the headers into the places
//! where Debian has such things, and depends on the C library that it needs.

use std::path::Path;
use std::process::Command;

use crate::support::{Kind, LIBRARIES, brings_the_layers, every_file, expect_success, package};

#[test]
fn it_unpacks_and_works() {
    let Some(package) = package(Kind::Deb) else { return };
    let root = tempfile::tempdir().unwrap();
    expect_success(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root.path()).output().unwrap());

    for library in LIBRARIES {
        assert!(root.path().join("usr/lib/tracer-resolver").join(library).is_file(), "{library}");
    }
    for file in [
        "usr/include/tracer-resolver/tracer_interceptors.h",
        "usr/include/tracer-resolver/tracer_plugin.h",
        "usr/include/tracer-resolver/tracer_plugin.hpp",
        "usr/include/tracer-resolver/tracer_plugin.map",
        "usr/share/pkgconfig/tracer-plugin.pc",
        "usr/share/doc/tracer-resolver/README.md",
        "usr/share/doc/tracer-resolver/copyright",
        "usr/share/doc/tracer-resolver/docs/operations.md",
        "usr/share/doc/tracer-resolver/docs/plugin-kit.md",
        "usr/share/doc/tracer-resolver/resolver/librdkafka/docs/python.md",
        "usr/share/bash-completion/completions/tracer-interceptors",
        "usr/share/fish/vendor_completions.d/tracer-interceptors.fish",
        "usr/share/man/man1/tracer-interceptors.1.gz",
        "usr/share/man/man1/tracer-interceptors-check.1.gz",
        "usr/share/man/man1/tracer-interceptors-plugins-pin.1.gz",
        "usr/share/tracer-resolver/default-config.toml",
        "usr/share/zsh/vendor-completions/_tracer-interceptors",
    ] {
        assert!(root.path().join(file).is_file(), "{file}");
    }
    let mut tool = Command::new(root.path().join("usr/bin/tracer-interceptors"));
    let library = root.path().join("usr/lib/tracer-resolver/libtracer_interceptors.so");
    assert_eq!(expect_success(tool.arg("path").output().unwrap()), format!("{}\n", library.display()));

    brings_the_layers(&root.path().join("usr/bin/tracer-interceptors"), &library);
    a_plugin_builds_by_pkg_config(&root.path().join("usr/share/pkgconfig"), Some(root.path()));
    let kit = tempfile::tempdir().unwrap();
    let name = format!("tracer-plugin-kit-{}", env!("CARGO_PKG_VERSION"));
    let archive = package.parent().unwrap().join(format!("{name}.tar.gz"));
    expect_success(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(kit.path()).output().unwrap());
    a_plugin_builds_by_pkg_config(&kit.path().join(&name).join("lib/pkgconfig"), None);
    links_lead_somewhere(&root.path().join("usr/share/doc/tracer-resolver"), 20);
    links_lead_somewhere(&kit.path().join(name), 3);
    what_was_stripped_is_beside_the_package(&package, &root.path().join("usr/lib/tracer-resolver"));
    control_is_right(&package);
    everything_belongs_to_root(&package);
}

/// Of all pages in a folder, which are so many at least: not all that is in the source comes along.
fn links_lead_somewhere(folder: &Path, at_least: usize) {
    let pages: Vec<_> = every_file(folder).into_iter().filter(|file| file.extension() == Some("md".as_ref())).collect();
    assert!(pages.len() >= at_least, "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for to in links.filter(|to| !to.is_empty() && !to.starts_with("https://")) {
            assert!(page.with_file_name(to).exists(), "{}: {to}", page.display());
        }
    }
}

/// What an author of a plugin in C++ types, with the headers from nowhere but there. `root` is where the package is unpacked.
fn a_plugin_builds_by_pkg_config(folder: &Path, root: Option<&Path>) {
    let asked = |words: &[&str]| {
        let mut pkg_config = Command::new("pkg-config");
        pkg_config.args(words).arg("tracer-plugin").env("PKG_CONFIG_LIBDIR", folder).env_remove("PKG_CONFIG_PATH");
        if let Some(root) = root {
            pkg_config.env("PKG_CONFIG_SYSROOT_DIR", root);
        }
        match pkg_config.output() {
            Ok(said) => Some(expect_success(said).trim().to_owned()),
            Err(error) => {
                words::foreign::skip(&format!("pkg-config: {error}"));
                None
            }
        }
    };
    let Some(flags) = asked(&["--cflags"]) else { return };
    assert_eq!(asked(&["--modversion"]).unwrap(), "1.0");
    let map = asked(&["--variable=versionscript"]).unwrap();
    let map = root.filter(|_| map.starts_with("/usr/")).map_or(map.clone(), |root| format!("{}{map}", root.display()));
    let out = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/api/tests/fixtures/throwing.cc");
    let mut cpp = Command::new("c++");
    cpp.args(["-std=c++11", "-shared", "-fPIC", "-fvisibility=hidden"]).args(flags.split_whitespace());
    cpp.arg(format!("-Wl,--version-script={map}")).arg(source).arg("-o").arg(out.path().join("plugin.so"));
    expect_success(cpp.output().unwrap());
}

/// A debugger finds it by the build id, or by the name and a checksum in the file.
fn what_was_stripped_is_beside_the_package(package: &Path, lib: &Path) {
    let symbols = tempfile::tempdir().unwrap();
    let archive =
        format!("tracer-resolver-{}-linux-{}-debug-symbols.tar.gz", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let archive = package.parent().unwrap().join(archive);
    expect_success(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(symbols.path()).output().unwrap());
    let sections = |file: &Path| {
        let mut readelf = Command::new("readelf");
        expect_success(readelf.args(["--wide", "--sections", "--notes"]).arg(file).output().unwrap())
    };
    let build_id = |said: &str| said.lines().find(|line| line.contains("Build ID: ")).unwrap().trim().to_owned();
    for name in LIBRARIES {
        let shipped = sections(&lib.join(name));
        assert!(!shipped.contains(" .symtab ") && !shipped.contains(" .debug_"), "{name}: {shipped}");
        assert!(shipped.contains(" .gnu_debuglink "), "{name}: {shipped}");
        let stripped = sections(&symbols.path().join(format!("{name}.debug")));
        assert!(stripped.contains(" .symtab ") && stripped.contains(" .debug_line "), "{name}: {stripped}");
        assert_eq!(build_id(&shipped), build_id(&stripped), "{name}");
    }
}

fn control_is_right(package: &Path) {
    let field = |name: &str| {
        let said = expect_success(Command::new("dpkg-deb").arg("-f").arg(package).arg(name).output().unwrap());
        said.trim_end().to_owned()
    };
    assert_eq!(field("Package"), "tracer-resolver");
    assert_eq!(field("Version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(field("Architecture"), if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let depends = field("Depends");
    assert!(depends.starts_with("libc6 (>= 2.") && depends.ends_with(", libgcc-s1 | libgcc1"), "{depends}");
}

fn everything_belongs_to_root(package: &Path) {
    let list = expect_success(Command::new("dpkg-deb").arg("-c").arg(package).output().unwrap());
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let (mode, owner) = (words.next().unwrap(), words.next().unwrap());
        assert_eq!(owner, "root/root", "{line}");
        assert_eq!(
            &mode[1..],
            if mode.starts_with('d') || line.contains("/usr/bin/t") { "rwxr-xr-x" } else { "rw-r--r--" }
        );
    }
}
