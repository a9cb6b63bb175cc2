//! Where the library is.

#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The library that belongs to this tool.
///
/// In a wheel, an npm package and a folder of cargo it lies beside the tool; installed in `PREFIX/bin`, in
/// `PREFIX/lib/tracer-resolver`.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let tool = env::current_exe().map_err(|error| Failure::of_ours(format!("cannot find myself: {error}")))?;
    let candidates = candidates(&tool);
    candidates.iter().find(|candidate| candidate.is_file()).cloned().ok_or_else(|| {
        let places: Vec<_> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
        Failure::of_ours(format!(
            "{FILE_NAME} is not there; looked for {}: install the package that brought this tool again",
            places.join(", ")
        ))
    })
}

fn candidates(tool: &Path) -> Vec<PathBuf> {
    let folder = tool.parent().unwrap_or(Path::new("/"));
    let mut candidates = vec![folder.join(FILE_NAME)];
    if let Some(prefix) = folder.parent() {
        candidates.push(prefix.join("lib/tracer-resolver").join(FILE_NAME));
    }
    candidates
}

const FILE_NAME: &str = "libtracer_interceptors.so";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_in_bin_has_its_library_in_lib() {
        let expected = ["/usr/bin/libtracer_interceptors.so", "/usr/lib/tracer-resolver/libtracer_interceptors.so"];
        assert_eq!(candidates(Path::new("/usr/bin/tracer-interceptors")), expected.map(PathBuf::from));
    }
}
