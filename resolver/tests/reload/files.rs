//! What a configuration has from other files.

use super::{OUT, Site, threads, wait_for};

#[test]
fn what_a_file_refers_to_is_looked_at_too() {
    let text = format!(
        "version = 1\n[reload]\ninterval = \"100ms\"\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"out\"]\n\
         [services.shop.resource]\nteam = \"${{file:/{}}}\"\n{OUT}",
        "OUT/team"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("team"), "red").unwrap();
    let text = text.replace("/OUT/team", folder.path().join("team").to_str().unwrap());
    let site = Site::new(&text);
    std::fs::write(folder.path().join("team"), "blue").unwrap();
    wait_for("another team", || site.resolver.stats().reloads.taken == 1);
}

/// What it is made with is read anew when it is refused, and blotted out in what is said: so it has to be known to come from a file.
#[test]
fn a_backend_whose_setting_moves_into_a_file_or_out_of_it_is_made_anew_although_it_says_the_same() {
    let with = |path: &str| {
        let backend = format!("[backends.out]\nplugin = \"file\"\nconfig = {{ path = \"{path}\" }}\n");
        format!("version = 1\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"out\"]\n{backend}")
    };
    let site = Site::new(&with("OUT/out"));
    std::fs::write(site.folder.path().join("where"), site.folder.path().join("out").to_str().unwrap()).unwrap();
    for path in ["${file:OUT/where}", "OUT/out"] {
        let before = threads("tr-out");
        site.reload(&with(path));
        wait_for("another one works", || threads("tr-out").len() == 1 && threads("tr-out").is_disjoint(&before));
    }
}
