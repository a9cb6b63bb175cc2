//! Puts the page of `view --web` into the command, if it was built: see `view/build.js`; and what `plugins new` writes.
//!
//! Nothing is built here, and nothing fetched: cargo's own command never asks the network for what Cargo.lock does not name.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=view/dist");
    let (Some(root), Some(out)) = (env::var_os("CARGO_MANIFEST_DIR"), env::var_os("OUT_DIR")) else {
        return Err(io::Error::other("cargo says neither where the package is nor where to write"));
    };
    let dist = Path::new(&root).join("view/dist");
    let files = ["index.html", "app.js", "app.css"].map(|name| dist.join(name));
    let page = if files.iter().all(|file| file.is_file()) {
        let [html, js, css] = files.map(|file| format!("include_bytes!({file:?})"));
        format!("Some([{html}.as_slice(), {js}.as_slice(), {css}.as_slice()])")
    } else {
        "None".to_owned()
    };
    fs::write(Path::new(&out).join("page.rs"), page)?;
    fs::write(Path::new(&out).join("templates.json.z"), templates(Path::new(&root))?)
}

/// The files that a new plugin begins with, as one JSON object from path to text, deflated: the templates, and from
/// `plugins/api` the header and the crate, so that neither can be of another version than the command. The crate without its
/// adapter: it needs nothing then, and builds where no registry can be reached.
fn templates(root: &Path) -> io::Result<Vec<u8>> {
    let mut files = BTreeMap::new();
    for (folder, name) in [("templates", ""), ("plugin-api/include", "include/"), ("plugin-api/src", "api/src/")] {
        println!("cargo:rerun-if-changed={folder}");
        collect(&root.join(folder), name, &mut files)?;
    }
    // One test for every project that make builds: it looks at the built file, whatever the language.
    let test = files.remove("make/test_plugin.c").ok_or_else(|| io::Error::other("templates/make has no test"))?;
    for place in ["c/", "cpp/", "go/test/", "zig/test/"] {
        files.insert(format!("{place}test_plugin.c"), test.clone());
    }
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(serde_json::to_string(&files)?.as_bytes())?;
    packed.finish()
}

fn collect(folder: &Path, name: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}{}", entry.file_name().to_string_lossy());
        if name.starts_with("api/src/adapter") {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}
