//! `plugins` lists what is there, describes it, and pins it.

use std::fs;

use crate::installed::{Installed, SHIPPED};

#[test]
fn the_list_has_what_is_installed_and_why_one_of_it_cannot_be_used() {
    let installed = Installed::apart();
    let said = installed.run(&["plugins", "list", "--format", "json"]);
    let json = said.json();
    let names: Vec<_> =
        json["plugins"].as_array().unwrap().iter().map(|plugin| plugin["name"].as_str().unwrap()).collect();
    assert_eq!((said.status, names.as_slice()), (0, SHIPPED.as_slice()));
    fs::write(installed.bin().join("libtracer_plugin_own.so"), "no library").unwrap();
    let said = installed.run(&["plugins", "list"]);
    assert!(said.status == 1 && said.out.contains("own        cannot be used [P105]: "), "{}", said.out);
}

#[test]
fn a_pin_that_was_printed_is_one_that_holds_until_the_file_changes() {
    let installed = Installed::new();
    let text = "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"file\"\nconfig = { path = \"stderr\" }\n";
    installed.file("t.toml", text);
    let pins = installed.run(&["plugins", "pin", "t.toml"]);
    assert!(pins.status == 0 && pins.out.contains("[plugins.file]\nsha256 = \""), "{pins:?}");
    let pinned = format!("{text}\n{}", pins.out);
    installed.file("pinned.toml", &pinned);
    let said = installed.run(&["check", "pinned.toml"]);
    assert_eq!(said.status, 0, "{}", said.out);
    // The pin of other bytes is replaced by that of these.
    let stale = pinned.replace("sha256 = \"", "sha256 = \"0000");
    let hash = stale.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    installed.file("stale.toml", &stale.replace(&hash, &hash[..64]));
    assert_eq!(installed.run(&["check", "stale.toml"]).status, 1);
    let again = installed.run(&["plugins", "pin", "stale.toml"]);
    assert!(again.out.contains("# This section is there already: stale.toml:10."), "{}", again.out);
    assert!(again.out.contains(pins.out.lines().find(|line| line.starts_with("sha256")).unwrap()), "{}", again.out);
}

#[test]
fn a_plugin_is_described_with_every_setting_of_its_schema() {
    let installed = Installed::new();
    for name in SHIPPED {
        let json = installed.run(&["plugins", "describe", name, "--format", "json"]).json();
        let said = installed.run(&["plugins", "describe", name]);
        assert_eq!(said.status, 0);
        for key in json["schema"]["properties"].as_object().unwrap().keys() {
            assert!(said.out.contains(&format!("  {key}: ")), "{name}: {key}\n{}", said.out);
        }
    }
    let said = installed.run(&["plugins", "describe", "otlp"]);
    assert!(said.out.contains("headers: table, default {}, secret"), "{}", said.out);
    assert!(said.out.contains("\ntakes traces and metrics, several batches at once\n"), "{}", said.out);
    let said = installed.run(&["plugins", "describe", "gone"]);
    assert!(said.status == 1 && said.out.starts_with("error[P101]: plugin `gone`"), "{}", said.out);
}

/// Of one that lies where nobody searches.
#[test]
fn a_plugin_is_described_by_its_file_as_it_is_built() {
    let installed = Installed::new();
    let built = installed.work().join("libtracer_plugin_zipkin.so");
    std::fs::copy(installed.bin().join("libtracer_plugin_zipkin.so"), &built).unwrap();
    let said = installed.run(&["plugins", "describe", "./libtracer_plugin_zipkin.so"]);
    assert!(said.status == 0 && said.out.contains(&format!("from {}", built.display())), "{said:?}");
    assert!(said.out.contains("\n  endpoint: "), "{said:?}");
    std::fs::rename(&built, installed.work().join("libmine.so")).unwrap();
    let said = installed.run(&["plugins", "describe", "libmine.so"]);
    // Whatever cargo has made of its name.
    assert!(said.status == 0 && said.out.starts_with("plugin `zipkin` "), "{said:?}");
    installed.file("libtext.so", "no library");
    let said = installed.run(&["plugins", "describe", "./libtext.so"]);
    assert!(said.status == 1 && said.err.contains("./libtext.so: it is no shared object"), "{said:?}");
    let said = installed.run(&["plugins", "describe", "./libgone.so"]);
    assert!(said.status != 0 && said.err.contains("./libgone.so: there is no such file"), "{said:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_one_that_says_nothing() {
    let installed = Installed::new();
    let said = installed.run(&["plugins", "list", "gone.toml"]);
    assert!(said.status == 1 && said.err.contains("gone.toml cannot be used"), "{said:?}");
}
