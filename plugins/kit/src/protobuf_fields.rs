//! Reading the few fields we need of some tiny protobuf messages, without a code generator.

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// A varint: integers and booleans.
    Varint(u64),
    /// Bytes, text, or a message.
    Bytes(&'a [u8]),
    /// Four or eight bytes: skipped over, never needed here.
    Fixed,
}

/// The fields of `message` in their order, by number. Ends early, and silently, where the bytes are no protobuf: what
/// is read here explains an answer, it does not decide about it.
pub fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut rest)?),
            1 => take(&mut rest, 8).map(|_| Field::Fixed)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Field::Bytes(take(&mut rest, length)?)
            }
            5 => take(&mut rest, 4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

/// Appends a field of bytes, a text or a message.
pub fn put_field(message: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(message, number << 3 | 2);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_their_order() {
        let message =
            [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 0x01];
        let read: Vec<_> = fields(&message).collect();
        assert_eq!(
            read,
            [
                (1, Field::Varint(150)),
                (2, Field::Bytes(b"hi")),
                (3, Field::Fixed),
                (4, Field::Fixed),
                (5, Field::Varint(1))
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_protobuf_end_the_reading() {
        for broken in [&b"\x0a\xff"[..], b"\x0a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b", b"\x0d\x01"]
        {
            assert_eq!(fields(broken).count(), 0, "{broken:?}");
        }
    }
}
