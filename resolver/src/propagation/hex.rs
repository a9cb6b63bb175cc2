//! Lower-case hexadecimal, eight digits at a time, without a table or a branch per digit.
//!
//! Each byte of a `u64` is one digit, and all are worked on together. No step carries into the next byte; the comments
//! say why.

/// Writes eight bytes.
#[inline]
pub(super) fn encode_8(bytes: &[u8; 8]) -> [u8; 16] {
    let x = u64::from_le_bytes(*bytes);
    let [first, second] = [x & 0xffff_ffff, x >> 32].map(|half| {
        // Spread: byte i comes to lie at byte 2i.
        let x = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let x = (x | x << 8) & each_pair(0x00ff);
        // The high half of each byte is written first.
        digits((x >> 4 & each_pair(0x000f)) | (x & each_pair(0x000f)) << 8).to_le_bytes()
    });
    let mut text = [0; 16];
    text[..8].copy_from_slice(&first);
    text[8..].copy_from_slice(&second);
    text
}

/// Writes sixteen bytes.
#[inline]
pub(super) fn encode_16(bytes: &[u8; 16]) -> [u8; 32] {
    let x = u128::from_be_bytes(*bytes);
    let [high, low] = [(x >> 64) as u64, x as u64].map(|half| encode_8(&half.to_be_bytes()));
    let mut text = [0; 32];
    text[..16].copy_from_slice(&high);
    text[16..].copy_from_slice(&low);
    text
}

/// Reads sixteen digits; `None` if one of them is no lower-case digit.
#[inline]
pub(super) fn decode_8(text: &[u8; 16]) -> Option<[u8; 8]> {
    let (bytes, wrong) = decode(text);
    (wrong == 0).then_some(bytes)
}

/// Reads thirty-two digits; `None` if one of them is no lower-case digit.
#[inline]
pub(super) fn decode_16(text: &[u8; 32]) -> Option<[u8; 16]> {
    let (high, high_wrong) = decode(text.first_chunk()?);
    let (low, low_wrong) = decode(text.last_chunk()?);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    (high_wrong | low_wrong == 0).then_some(bytes)
}

/// Reads two digits.
#[inline]
pub(super) fn decode_byte(text: &[u8; 2]) -> Option<u8> {
    Some(digit(text[0])? << 4 | digit(text[1])?)
}

/// Writes the digit of a value below sixteen; of a greater one, of its low half.
#[inline]
pub(super) fn encode_digit(value: u8) -> u8 {
    let value = value & 0x0f;
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}

/// Reads a number of one to `max_digits` digits. `max_digits` is at most thirty-two.
pub(super) fn decode_number(text: &[u8], max_digits: usize) -> Option<u128> {
    if text.is_empty() || text.len() > max_digits {
        return None;
    }
    text.iter().try_fold(0, |number, &byte| Some(number << 4 | u128::from(digit(byte)?)))
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The bytes, and something other than zero if they are not what the text says.
#[inline]
fn decode(text: &[u8; 16]) -> ([u8; 8], u64) {
    let x = u128::from_le_bytes(*text);
    let [(first, first_wrong), (second, second_wrong)] = [x as u64, (x >> 64) as u64].map(|x| {
        // Of the digits only letters have bit 6. At most 15 + 9 per byte: no carry.
        let letters = x >> 6 & each_byte(0x01);
        let nibbles = (x & each_byte(0x0f)) + (letters << 3 | letters);
        // What is no digit comes out above fifteen, or is written differently than it was read.
        let wrong = (nibbles & each_byte(0xf0)) | (digits(nibbles) ^ x);
        // Join two digits to a byte, then close the gaps.
        let x = (nibbles << 4 | nibbles >> 8) & each_pair(0x00ff);
        let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
        ((x | x >> 16) & 0xffff_ffff, wrong)
    });
    ((first | second << 32).to_le_bytes(), first_wrong | second_wrong)
}

/// The digit of each byte below sixteen.
#[inline]
fn digits(nibbles: u64) -> u64 {
    // At most 24 + 6 per byte, and below 24 + 48 + 39: no carry.
    let letters = (nibbles + each_byte(0x06)) >> 4 & each_byte(0x01);
    // 39 is how far the letters lie behind the digits: `b'a' - b'0' - 10`.
    nibbles + each_byte(b'0') + (letters << 5) + (letters << 3) - letters
}

const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// `pair` in each of the four pairs of bytes.
const fn each_pair(pair: u16) -> u64 {
    pair as u64 * 0x0001_0001_0001_0001
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place_is_read_as_the_digit_it_is_or_refused() {
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                let mut text = *b"0123456789abcdef";
                text[place] = byte;
                let expected = std::str::from_utf8(&text)
                    .ok()
                    .filter(|text| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
                    .map(|text| u64::from_str_radix(text, 16).unwrap().to_be_bytes());
                assert_eq!(decode_8(&text), expected, "byte {byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn a_number_has_at_least_one_digit_and_no_more_than_allowed() {
        assert_eq!(decode_number(b"", 32), None);
        assert_eq!(decode_number(b"0", 32), Some(0));
        assert_eq!(decode_number(&[b'f'; 32], 32), Some(u128::MAX));
        assert_eq!(decode_number(&[b'f'; 33], 32), None);
        assert_eq!(decode_number(b"fF", 32), None);
        assert_eq!(decode_number(b"+1", 32), None);
    }

    #[test]
    fn single_digits_and_bytes_are_lower_case() {
        let digits: Vec<u8> = (0..16).map(encode_digit).collect();
        assert_eq!(digits, b"0123456789abcdef");
        assert_eq!(decode_byte(b"a7"), Some(0xa7));
        assert_eq!(decode_byte(b"A7"), None);
        assert_eq!(decode_byte(b"0g"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_format_writes_and_is_read_back(id: u128, span: u64) {
            let text = encode_16(&id.to_be_bytes());
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{id:032x}"));
            prop_assert_eq!(decode_16(&text), Some(id.to_be_bytes()));
            let text = encode_8(&span.to_be_bytes());
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{span:016x}"));
            prop_assert_eq!(decode_8(&text), Some(span.to_be_bytes()));
        }

        #[test]
        fn one_wrong_digit_anywhere_is_refused(id: u128, place in 0..32usize, wrong in any::<u8>()) {
            prop_assume!(!matches!(wrong, b'0'..=b'9' | b'a'..=b'f'));
            let mut text = encode_16(&id.to_be_bytes());
            text[place] = wrong;
            prop_assert_eq!(decode_16(&text), None);
        }
    }
}
