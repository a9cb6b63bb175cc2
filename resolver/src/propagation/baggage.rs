//! `baggage`: W3C Baggage, an application's own words that travel with a trace.
//!
//! Seldom used, so this is plain rather than fast; it keeps the limits, since what comes in is anybody's.

use std::borrow::Cow;

/// Entries beyond this many are neither read nor written.
pub const BAGGAGE_MAX_ENTRIES: usize = 64;
/// Bytes beyond this many, over all entries and the commas between them, are neither read nor written.
pub const BAGGAGE_MAX_BYTES: usize = 8192;

/// One entry, as it stands in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaggageEntry<'a> {
    key: &'a str,
    value: &'a str,
    metadata: &'a str,
}

impl<'a> BaggageEntry<'a> {
    /// The name, percent-decoded. Allocates only if there is something to decode.
    pub fn key(&self) -> Cow<'a, str> {
        percent_decode(self.key)
    }

    /// The value, percent-decoded. Allocates only if there is something to decode.
    pub fn value(&self) -> Cow<'a, str> {
        percent_decode(self.value)
    }

    /// The properties after the first semicolon, as they are.
    pub fn metadata(&self) -> &'a str {
        self.metadata
    }
}

/// Joins the values of a message's `baggage` headers, given in order, to what one header holds. One that would exceed
/// [`BAGGAGE_MAX_BYTES`] is left out. What `joined` holds before is forgotten.
///
/// The values are lent: what reads them off a record's headers is hundreds of bytes, which a build without optimization copies,
/// on the application's stack, each time it is handed on.
pub fn join_baggage<'a>(joined: &mut Vec<u8>, values: &mut impl Iterator<Item = &'a [u8]>) {
    joined.clear();
    for value in values {
        let comma: &[u8] = if joined.is_empty() { b"" } else { b"," };
        if joined.len() + comma.len() + value.len() <= BAGGAGE_MAX_BYTES {
            joined.extend_from_slice(comma);
            joined.extend_from_slice(value);
        }
    }
}

/// Reads the entries of all `baggage` headers of a message, given in order.
///
/// An entry that is malformed is passed over; at the first that exceeds a limit, reading ends.
pub fn read_baggage<'a, H: IntoIterator<Item = &'a [u8]>>(headers: H) -> BaggageEntries<'a, H::IntoIter> {
    BaggageEntries {
        headers: headers.into_iter(),
        rest: None,
        entries_left: BAGGAGE_MAX_ENTRIES,
        bytes_left: BAGGAGE_MAX_BYTES + 1,
    }
}

/// The entries of [`read_baggage`].
#[derive(Clone, Debug)]
pub struct BaggageEntries<'a, H> {
    headers: H,
    /// What is left of the header in hand.
    rest: Option<&'a [u8]>,
    entries_left: usize,
    /// Counting a comma after each entry, the last one too.
    bytes_left: usize,
}

impl<'a, H: Iterator<Item = &'a [u8]>> Iterator for BaggageEntries<'a, H> {
    type Item = BaggageEntry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let header = match self.rest.take() {
                Some(header) => header,
                None => self.headers.next()?,
            };
            let mut parts = header.splitn(2, |&byte| byte == b',');
            let member = parts.next().unwrap_or_default();
            self.rest = parts.next();
            self.bytes_left = self.bytes_left.checked_sub(member.len() + 1)?;
            if let Some(entry) = parse(member) {
                self.entries_left = self.entries_left.checked_sub(1)?;
                return Some(entry);
            }
        }
    }
}

/// What [`write_baggage`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenBaggage {
    /// Bytes of the buffer that hold the header's value; none if there was nothing to write.
    pub length: usize,
    /// Entries left out: beyond a limit, or without a name.
    pub dropped: usize,
}

/// Writes entries of name, value and metadata (properties after the semicolon, or nothing) as the value of a header.
///
/// Names and values are percent-encoded. An entry that does not fit, by the limits or into the buffer, is left out whole
/// and counted. A buffer of [`BAGGAGE_MAX_BYTES`] is enough for everything that may be written.
pub fn write_baggage<'e>(
    entries: impl IntoIterator<Item = (&'e str, &'e str, &'e str)>,
    buffer: &mut [u8],
) -> WrittenBaggage {
    let limit = buffer.len().min(BAGGAGE_MAX_BYTES);
    let mut writer = Writer { buffer: buffer.get_mut(..limit).unwrap_or_default(), used: 0 };
    let (mut written, mut dropped) = (0, 0);
    for (key, value, metadata) in entries {
        let start = writer.used;
        if !key.is_empty() && written < BAGGAGE_MAX_ENTRIES && writer.entry(key, value, metadata).is_some() {
            written += 1;
        } else {
            writer.used = start;
            dropped += 1;
        }
    }
    WrittenBaggage { length: writer.used, dropped }
}

/// `key=value;metadata`, with white space around each.
fn parse(member: &[u8]) -> Option<BaggageEntry<'_>> {
    let member = std::str::from_utf8(member).ok()?;
    let (pair, metadata) = member.split_once(';').unwrap_or((member, ""));
    let (key, value) = pair.split_once('=')?;
    let (key, value, metadata) = (key.trim_matches(WHITE), value.trim_matches(WHITE), metadata.trim_matches(WHITE));
    let key_is_good = !key.is_empty() && key.bytes().all(is_token);
    // The specification's octets, and the space and the quotation mark that other writers leave as they are.
    let value_is_good = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let metadata_is_good = metadata.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    (key_is_good && value_is_good && metadata_is_good).then_some(BaggageEntry { key, value, metadata })
}

/// A buffer that refuses what does not fit.
struct Writer<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl Writer<'_> {
    /// `None` when there is no room; what was written until then is the caller's to take back.
    fn entry(&mut self, key: &str, value: &str, metadata: &str) -> Option<()> {
        if self.used > 0 {
            self.byte(b',')?;
        }
        self.encoded(key, |byte| is_token(byte) && byte != b'%')?;
        self.byte(b'=')?;
        self.encoded(value, is_plain_in_value)?;
        let metadata = metadata.trim_matches(WHITE);
        if !metadata.is_empty() {
            self.byte(b';')?;
            self.encoded(metadata, is_plain_in_metadata)?;
        }
        Some(())
    }

    fn encoded(&mut self, text: &str, is_plain: impl Fn(u8) -> bool) -> Option<()> {
        text.bytes().try_for_each(|byte| {
            if is_plain(byte) {
                return self.byte(byte);
            }
            self.byte(b'%')?;
            self.byte(upper_hex(byte >> 4))?;
            self.byte(upper_hex(byte & 0x0f))
        })
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        *self.buffer.get_mut(self.used)? = byte;
        self.used += 1;
        Some(())
    }
}

/// A `%` without two digits stands for itself; bytes that are no UTF-8 become U+FFFD, as the specification says.
fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_value(*high) << 4 | hex_value(*low));
                rest = after;
            }
            _ => decoded.push(*byte),
        }
    }
    match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(valid) => Cow::Owned(valid.to_owned()),
        Cow::Owned(repaired) => Cow::Owned(repaired),
    }
}

/// A character of an HTTP token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The specification's octets without `%`, and without `=`, at which some readers cut the value off.
fn is_plain_in_value(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !b"\",;\\%=".contains(&byte)
}

/// Properties come encoded, with their own `;`, `=` and `%`; only what would end the entry is encoded here.
fn is_plain_in_metadata(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b','
}

fn upper_hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' - 10 + nibble }
}

/// Of a hexadecimal digit.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10),
    }
}

const WHITE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests;
