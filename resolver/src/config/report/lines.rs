//! The lines of a text, with their places.

#![forbid(unsafe_code)]

use std::ops::Range;

/// The lines, each with its bytes in `text`, without line ends.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let bare = line.trim_end_matches(['\n', '\r']);
        let span = start..start + bare.len();
        start += line.len();
        (span, bare)
    })
}
