//! What a deployment asks of a running program, or of a spool, is there for programs to read too.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::installed::Installed;

#[test]
fn a_program_that_cannot_be_asked_to_reload_is_in_the_answer() {
    let installed = Installed::new();
    let own = std::process::id();
    let said = installed.run(&["reload", "--format", "json", &own.to_string()]);
    let told = &said.json()["processes"][0];
    assert_eq!((said.status, &told["process"], told["outcome"].is_null()), (125, &own.into(), true), "{said:?}");
    assert!(told["text"].as_str().unwrap().contains("does not wait for this"), "{said:?}");
    assert!(said.err.contains("does not wait for this"), "{said:?}");
}

#[test]
fn what_was_drained_is_counted_for_each_backend() {
    let installed = Installed::new();
    let spool = installed.work();
    let spool = spool.to_str().unwrap();
    installed.file(
        "t.toml",
        "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\", \"c\"]\n[backends.b]\nplugin = \"file\"\n\
         config = { path = \"stderr\" }\n[backends.c]\nplugin = \"file\"\nconfig = { pathh = \"stderr\" }\n",
    );
    let said = installed.run(&["drain", spool, "t.toml", "--format", "json"]);
    let json = said.json();
    let [empty, broken] = [&json["backends"][0], &json["backends"][1]];
    let counts = ["sent", "lost", "left", "maybe_twice", "damaged"].map(|key| empty[key].as_u64());
    assert_eq!((&empty["backend"], counts, empty["trouble"].is_null()), (&"b".into(), [Some(0); 5], true), "{said:?}");
    assert!(broken["problem"].as_str().unwrap().contains("did you mean `path`?"), "{said:?}");
    assert_eq!(said.status, 1);
}

#[test]
fn what_is_left_for_a_backend_that_the_configuration_does_not_have_is_told() {
    let installed = Installed::new();
    installed.file(
        "t.toml",
        "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"file\"\n\
         config = { path = \"stderr\" }\n",
    );
    let spool = installed.work().join("spool");
    let user = fs::metadata(installed.work()).unwrap().uid();
    let places = ["b", "before", "empty"].map(|backend| spool.join(format!("{backend}.{user}")));
    for (place, file) in places.iter().zip(["0000000000.batches", "0000000000.batches", "other"]) {
        let process = place.join("0123456789abcdef-0");
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("lock"), "").unwrap();
        fs::write(process.join(file), "").unwrap();
    }
    for folder in [&spool, &places[0], &places[1], &places[2]] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let said = installed.run(&["drain", "spool", "t.toml", "--format", "json"]);
    assert_eq!(
        (said.status, &said.json()["of_other_backends"]),
        (1, &serde_json::json!([places[1].to_str().unwrap()])),
        "{said:?}"
    );
    let said = installed.run(&["drain", "spool", "t.toml"]);
    assert!(said.out.contains("before.") && said.out.contains("for a backend that t.toml does not have"), "{said:?}");
    fs::remove_dir_all(&places[1]).unwrap();
    let said = installed.run(&["drain", "spool", "t.toml"]);
    assert_eq!(said.status, 0, "{said:?}");
}

#[test]
fn a_spool_that_is_not_looked_at_is_not_called_empty() {
    let installed = Installed::new();
    let spool = installed.work().join("spool");
    let user = installed.work().metadata().unwrap().uid();
    fs::create_dir_all(spool.join(format!("b.{user}"))).unwrap();
    installed.file(
        "t.toml",
        "version = 1\n[services.a]\ntopics = [\"a\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"file\"\n\
         config = { path = \"stderr\" }\n",
    );
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o777)).unwrap();
    let spool = spool.to_str().unwrap();
    let said = installed.run(&["drain", spool, "t.toml"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.out.contains("0 spans sent; what cannot be read stays in the spool: the folder"), "{said:?}");
    let said = installed.run(&["drain", spool, "t.toml", "--format", "json"]);
    let unread = &said.json()["backends"][0]["unread"];
    assert!(said.status == 1 && unread.as_str().unwrap().contains("chmod o-w"), "{said:?}");
}
