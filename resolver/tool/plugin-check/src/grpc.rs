//! As much of gRPC as a collector needs that looks at no call: the frames of HTTP/2 are read, and of their headers nothing.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};

/// The stream of a call, as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream([u8; 4]);

/// Whether a connection that begins with this line speaks HTTP/2.
pub(crate) fn is_begun_by(line: &[u8]) -> bool {
    line == b"PRI * HTTP/2.0\r\n"
}

/// What follows that line, and our side of it: windows so large that nobody waits for them.
pub(crate) fn begin(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    from.read_exact(&mut [0; b"\r\nSM\r\n\r\n".len()])?;
    to.write_all(&frame(SETTINGS, 0, Stream([0; 4]), b"\0\x04\x7f\xff\xff\xff"))?;
    to.write_all(&frame(WINDOW_UPDATE, 0, Stream([0; 4]), b"\x7f\xff\0\0"))
}

/// Reads on until a request is there wholly. `None`: there is none any more.
pub(crate) fn next_call(from: &mut impl Read, to: &mut impl Write) -> io::Result<Option<Stream>> {
    loop {
        let mut head = [0; 9];
        match from.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = Vec::new();
        from.by_ref().take(u32::from_be_bytes([0, a, b, c]).into()).read_to_end(&mut payload)?;
        match (kind, flags & 1 != 0) {
            (DATA | HEADERS, true) => return Ok(Some(Stream(stream))),
            (SETTINGS, false) => to.write_all(&frame(SETTINGS, 1, Stream([0; 4]), b""))?,
            (PING, false) => to.write_all(&frame(PING, 1, Stream([0; 4]), &payload))?,
            (GOAWAY, _) => return Ok(None),
            _ => {}
        }
    }
}

/// An empty message of protobuf, with a status: nothing but it, if it is not 0.
pub(crate) fn answer(to: &mut impl Write, stream: Stream, code: u8, details: Option<&str>) -> io::Result<()> {
    let mut status = if code == 0 { Vec::new() } else { START.to_vec() };
    status.extend_from_slice(&field("grpc-status", &code.to_string()));
    status.extend(details.map(|details| field("grpc-status-details-bin", details)).unwrap_or_default());
    if code == 0 {
        start(to, stream)?;
        to.write_all(&frame(DATA, 0, stream, &[0; 5]))?;
    }
    to.write_all(&frame(HEADERS, END_HEADERS | 1, stream, &status))
}

/// The head of an answer.
pub(crate) fn start(to: &mut impl Write, stream: Stream) -> io::Result<()> {
    to.write_all(&frame(HEADERS, END_HEADERS, stream, START))
}

/// A byte of the message of an answer.
pub(crate) fn drip(to: &mut impl Write, stream: Stream) -> io::Result<()> {
    to.write_all(&frame(DATA, 0, stream, b"\0"))
}

/// `payload` is short.
fn frame(kind: u8, flags: u8, stream: Stream, payload: &[u8]) -> Vec<u8> {
    let [.., b, c] = payload.len().to_be_bytes();
    [&[0, b, c, kind, flags][..], &stream.0, payload].concat()
}

/// A header that is not to be remembered, both its texts as they are.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap_or_default();
    [&[0, length(name)][..], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// `google.rpc.Status` with a `google.rpc.RetryInfo` of seven seconds.
pub(crate) const SEVEN_SECONDS: &str = "GjAKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBAoCCAc";
/// `:status 200` and `content-type: application/grpc`.
const START: &[u8] = b"\x88\x0f\x10\x10application/grpc";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_HEADERS: u8 = 4;
