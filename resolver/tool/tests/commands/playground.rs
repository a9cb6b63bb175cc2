//! The word `playground` becomes the playground where it was built, and else says how that is done.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::installed::Installed;

#[test]
fn the_word_becomes_the_playground_beside_it_with_its_words_and_its_status() {
    let installed = Installed::apart();
    let said = installed.run(&["playground", "--help"]);
    assert_eq!((said.status, said.out.as_str()), (127, ""));
    assert!(said.err.contains("cargo run --release --example playground"), "{}", said.err);

    let examples = installed.bin().join("examples");
    fs::create_dir(&examples).unwrap();
    fs::write(examples.join("playground"), "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(examples.join("playground"), fs::Permissions::from_mode(0o755)).unwrap();
    for (words, taken) in [
        (&["playground", "--help"][..], "--help\n"),
        (&["playground", "--for", "1s", "--", "kcat", "-L"], "--for 1s -- kcat -L\n"),
        (&["playground", "kcat", "--help"], "kcat --help\n"),
        (&["playground"], "\n"),
    ] {
        let said = installed.run(words);
        assert_eq!((said.status, said.out.as_str()), (7, taken), "{}", said.err);
    }
}
