//! A value that comes, wholly or in part, from files: what stands in them may be replaced while the process runs.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A text with `${file:…}` in it, in pieces. Printing it shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FromFiles {
    pieces: Vec<Piece>,
}

/// One after the other they are the text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it stands, or from the environment.
    Text(String),
    /// What stands in the file at this path.
    File(String),
}

impl FromFiles {
    pub(crate) fn new(pieces: Vec<Piece>) -> Self {
        Self { pieces }
    }

    /// The text with what stands in its files now.
    ///
    /// # Errors
    ///
    /// Why a file cannot be read, with its path and none of its content.
    pub(crate) fn read_anew(&self) -> Result<String, String> {
        self.pieces.iter().try_fold(String::new(), |text, piece| match piece {
            Piece::Text(more) => Ok(text + more),
            Piece::File(path) => Ok(text + &read_file(path)?),
        })
    }
}

impl fmt::Debug for FromFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::File(path) => Some(path),
        });
        f.debug_list().entries(paths).finish()
    }
}

/// The content of a file, without one line end at its end. The message never holds any of it.
pub(crate) fn read_file(path: &str) -> Result<String, String> {
    if !Path::new(path).is_absolute() {
        return Err(format!("the path `{path}` is not absolute"));
    }
    let cannot = |error: std::io::Error| format!("{path} cannot be read: {error}");
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{path} is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{path} is larger than 64 KiB"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(format!("{path} is UTF-16: save it as UTF-8"));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        // Nobody sees it, and a server that gets it with the token refuses the token.
        return Err(format!("{path} begins with a byte order mark (U+FEFF): save it as UTF-8 without one"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
    if text.contains('\0') {
        return Err(format!("{path} contains a zero byte"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').filter(|_| line.len() < text.len()).unwrap_or(line).to_owned())
}

/// What the files hold now that a text refers to, whether they can be used or not: for whoever looks if it has changed.
pub(crate) fn referenced_files(source: &str) -> impl Iterator<Item = Option<Vec<u8>>> {
    source.split("${file:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(path, _)| {
        let path = Path::new(path);
        let is_file = path.is_absolute() && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let mut bytes = Vec::new();
        let read = File::open(path).ok().filter(|_| is_file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
        read.ok().map(|_| bytes)
    })
}

/// Enough for any token or certificate.
const MAX_FILE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_put_together_of_what_its_files_say_now_and_shows_none_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Piece::File(path.to_str().unwrap().to_owned());
        let text = |it: &str| Piece::Text(it.to_owned());
        let of = FromFiles::new(vec![text("Bearer "), token.clone(), text(" "), token, text("!")]);
        assert!(of.read_anew().unwrap_err().contains("cannot be read"));
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(of.read_anew().unwrap(), "Bearer s3cret s3cret!");
        let shown = format!("{of:?}");
        assert!(shown.contains("token") && !shown.contains("old") && !shown.contains("Bearer"), "{shown}");
    }
}
