//! Puts the page of `view --web` into the command, if it was built: see `view/build.js`.
//!
//! Nothing is built here, and nothing fetched: cargo's own command never asks the network for what Cargo.lock does not name.

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
    fs::write(Path::new(&out).join("page.rs"), page)
}
