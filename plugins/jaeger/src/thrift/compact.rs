//! Thrift's compact protocol: variable widths, field ids as differences.

use super::{Kind, Writer};

/// Writes the compact protocol.
#[derive(Debug, Default)]
pub(crate) struct Compact {
    bytes: Vec<u8>,
    /// The last field's id in each struct that is open, the innermost last.
    last_ids: Vec<i16>,
}

impl Compact {
    /// The head of a one-way call of `method`; its arguments follow as a struct.
    pub(crate) fn one_way_call(&mut self, method: &str, sequence: u32) {
        self.bytes.extend([PROTOCOL_ID, VERSION | ONE_WAY << 5]);
        self.varint(u64::from(sequence));
        self.bytes(method.as_bytes());
    }

    fn field_type(&mut self, id: i16, field_type: u8) {
        let last = self.last_ids.last().copied().unwrap_or(0);
        match id.checked_sub(last).and_then(|delta| u8::try_from(delta).ok()) {
            Some(delta @ 1..=15) => self.bytes.push(delta << 4 | field_type),
            _ => {
                self.bytes.push(field_type);
                self.varint(zigzag(i64::from(id)));
            }
        }
        if let Some(last) = self.last_ids.last_mut() {
            *last = id;
        }
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.bytes.push(number as u8 & 0x7f | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

impl Writer for Compact {
    fn begin_struct(&mut self) {
        self.last_ids.push(0);
    }

    fn end_struct(&mut self) {
        self.last_ids.pop();
        self.bytes.push(STOP);
    }

    fn field(&mut self, id: i16, kind: Kind) {
        self.field_type(id, type_nibble(kind));
    }

    fn bool_field(&mut self, id: i16, truth: bool) {
        self.field_type(id, if truth { TRUE } else { FALSE });
    }

    fn list(&mut self, kind: Kind, count: usize) {
        match u8::try_from(count) {
            Ok(count @ 0..=14) => self.bytes.push(count << 4 | type_nibble(kind)),
            _ => {
                self.bytes.push(0xf0 | type_nibble(kind));
                self.varint(count as u64);
            }
        }
    }

    fn i32(&mut self, number: i32) {
        self.varint(zigzag(i64::from(number)));
    }

    fn i64(&mut self, number: i64) {
        self.varint(zigzag(number));
    }

    /// Little endian: what the implementations write, against an old version of the specification.
    fn double(&mut self, number: f64) {
        self.bytes.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend(bytes);
    }

    fn written(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Small numbers of either sign become small numbers without one.
fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn type_nibble(kind: Kind) -> u8 {
    match kind {
        Kind::I32 => 5,
        Kind::I64 => 6,
        Kind::Double => 7,
        Kind::Text => 8,
        Kind::List => 9,
        Kind::Struct => 12,
    }
}

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const PROTOCOL_ID: u8 = 0x82;
const VERSION: u8 = 1;
const ONE_WAY: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_bytes_they_need() {
        let mut writer = Compact::default();
        for number in [0, -1, 1, 63, -65, i64::MAX, i64::MIN] {
            writer.i64(number);
        }
        let mut expected = vec![0, 1, 2, 126, 0x81, 0x01];
        expected.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        expected.extend([0xff; 9]);
        expected.push(0x01);
        assert_eq!(writer.into_bytes(), expected);
    }

    #[test]
    fn field_ids_are_differences_and_each_struct_counts_anew() {
        let mut writer = Compact::default();
        writer.begin_struct();
        writer.i32_field(1, 1);
        writer.field(3, Kind::Struct);
        writer.begin_struct();
        writer.bool_field(1, true);
        writer.end_struct();
        writer.bool_field(20, false);
        writer.end_struct();
        assert_eq!(writer.into_bytes(), [0x15, 2, 0x2c, 0x11, 0, 0x02, 40, 0]);
    }

    #[test]
    fn a_list_says_its_length_beside_its_kind_if_it_is_short() {
        let mut writer = Compact::default();
        writer.list(Kind::Struct, 14);
        writer.list(Kind::Struct, 15);
        writer.list(Kind::Struct, 300);
        assert_eq!(writer.into_bytes(), [0xec, 0xfc, 15, 0xfc, 0xac, 0x02]);
    }
}
