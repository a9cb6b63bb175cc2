//! The files of the page: in the command itself, or in a folder.

use std::fs;
use std::path::Path;

use hyper::body::Bytes;

use crate::failure::Failure;

/// Three files, all that there is: no other can be asked for.
pub(super) struct Page {
    pub(super) html: Bytes,
    pub(super) js: Bytes,
    pub(super) css: Bytes,
}

impl Page {
    /// That of `folder`, or the one that was built in.
    pub(super) fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            let file = |name: &str| {
                let path = folder.join(name);
                let read = fs::read(&path).map(Bytes::from);
                read.map_err(|error| Failure::of_ours(format!("cannot read {}: {error}", path.display())))
            };
            return Ok(Self { html: file("index.html")?, js: file("app.js")?, css: file("app.css")? });
        }
        match BUILT_IN {
            Some(files) => {
                let [html, js, css] = files.map(Bytes::from_static);
                Ok(Self { html, js, css })
            }
            None => Err(Failure::of_ours(format!(
                "this command was built without the page: build it with `{BUILD}` in the project's folder, and then the \
                 command again; without --web the traces are drawn in the terminal"
            ))),
        }
    }
}

/// The files' bytes, if they were there when the command was built.
const BUILT_IN: Option<[&[u8]; 3]> = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// What builds the page; it needs Node.js and npm's registry.
const BUILD: &str = "npm --prefix resolver/tool/view run page";
