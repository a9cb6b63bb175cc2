//! Where cargo has put what this test needs.

use std::path::PathBuf;

/// `libtracer_interceptors.so`; the plugins lie beside it.
pub fn library() -> PathBuf {
    let library = profile_folder().join("deps/libtracer_interceptors.so");
    assert!(library.exists(), "{} is not built; `cargo test`, without a package, does", library.display());
    library
}

/// A folder for what tests build or install once, such as a Python environment: `foreign/NAME` in cargo's target folder.
/// Kept from run to run. It may not exist yet.
pub fn build_folder(name: &str) -> PathBuf {
    profile_folder().with_file_name("foreign").join(name)
}

/// `target/debug`, or its like: tests lie in `deps` there, examples in `examples`.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(2).unwrap().to_owned()
}
