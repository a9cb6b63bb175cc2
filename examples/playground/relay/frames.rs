//! As much of Kafka's protocol as the relay has to know: <https://kafka.apache.org/protocol>.
//!
//! A frame is four bytes of length and what they count. A request begins with its kind, its version, a number that its answer
//! repeats, and the client's id.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) group: Vec<u8>,
    pub(super) id: Vec<u8>,
}

/// What a request means to the relay.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its answer, which has this number, names addresses of brokers.
    Address(i32),
    /// It comes from this member.
    ToSync(Member),
}

/// The next frame, with its length.
pub(super) fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MOST {
        return Err(io::Error::other("this is not Kafka's protocol"));
    }
    let mut frame = length.to_be_bytes().to_vec();
    from.take(u64::from(length)).read_to_end(&mut frame)?;
    if frame.len() == 4 + length as usize { Ok(frame) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What a request asks; a session of a member that joins is made as short as `session`.
pub(super) fn look(request: &mut [u8], session: Duration) -> Option<Asked> {
    let mut fields = Fields { frame: request, at: 4 };
    let (kind, version, number) = (fields.i16()?, fields.i16()?, fields.i32()?);
    // The client's id may be absent, and is then no text of length -1.
    let client = fields.i16()?;
    fields.at += usize::try_from(client).unwrap_or(0);
    match (kind, version) {
        (METADATA | FIND_COORDINATOR, _) => Some(Asked::Address(number)),
        // Later versions write texts in another way. librdkafka asks for none of them.
        (JOIN_GROUP, 0..=5) => {
            fields.text()?;
            let place = fields.at..fields.at + 4;
            let asked = u32::try_from(fields.i32()?).ok()?;
            let short = u32::try_from(session.as_millis()).ok()?.min(asked);
            request.get_mut(place)?.copy_from_slice(&short.to_be_bytes());
            None
        }
        (SYNC_GROUP, 0..=3) => {
            let group = fields.text()?;
            fields.i32()?;
            Some(Asked::ToSync(Member { group, id: fields.text()? }))
        }
        _ => None,
    }
}

/// The number by which an answer belongs to its request.
pub(super) fn correlation(answer: &[u8]) -> Option<i32> {
    Fields { frame: answer, at: 4 }.i32()
}

/// Puts one address in place of another. Both are the host's name, which stays, and a port.
pub(super) fn readdress(answer: &mut [u8], from: SocketAddr, to: SocketAddr) {
    let place = |address: SocketAddr| {
        let mut bytes = address.ip().to_string().into_bytes();
        bytes.extend(i32::from(address.port()).to_be_bytes());
        bytes
    };
    let (old, new) = (place(from), place(to));
    let mut at = 0;
    while let Some(found) = answer.get(at..).and_then(|rest| rest.windows(old.len()).position(|bytes| bytes == old)) {
        if let Some(there) = answer.get_mut(at + found..at + found + new.len()) {
            there.copy_from_slice(&new);
        }
        at += found + old.len();
    }
}

/// A request by which `member` leaves its group.
pub(super) fn leave(member: &Member) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [LEAVE_GROUP, 0, 0, 0, -1] {
        // Kind, version, a number of two parts, no client's id.
        body.extend(number.to_be_bytes());
    }
    for text in [&member.group, &member.id] {
        // As long as what was read from such a field.
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text);
    }
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// Reads one field after the other; `None` where the frame ends.
struct Fields<'a> {
    frame: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn i16(&mut self) -> Option<i16> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.i16()?).ok()?;
        let text = self.frame.get(self.at..self.at + length)?.to_vec();
        self.at += length;
        Some(text)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.frame.get(self.at..)?.first_chunk().copied();
        self.at += N;
        bytes
    }
}

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;
const JOIN_GROUP: i16 = 11;
const LEAVE_GROUP: i16 = 13;
const SYNC_GROUP: i16 = 14;

/// More than any frame of a client that has not set `message.max.bytes` to its limit.
const MOST: u32 = 1 << 30;
