//! Thrift's binary protocol: fixed widths, big endian.

use super::{Kind, Writer};

/// Writes the binary protocol.
#[derive(Debug, Default)]
pub(crate) struct Binary {
    bytes: Vec<u8>,
}

impl Writer for Binary {
    fn begin_struct(&mut self) {}

    fn end_struct(&mut self) {
        self.bytes.push(STOP);
    }

    fn field(&mut self, id: i16, kind: Kind) {
        self.bytes.push(type_byte(kind));
        self.bytes.extend(id.to_be_bytes());
    }

    fn bool_field(&mut self, id: i16, truth: bool) {
        self.bytes.push(BOOL);
        self.bytes.extend(id.to_be_bytes());
        self.bytes.push(u8::from(truth));
    }

    fn list(&mut self, kind: Kind, count: usize) {
        self.bytes.push(type_byte(kind));
        self.i32(length(count));
    }

    fn i32(&mut self, number: i32) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn double(&mut self, number: f64) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.i32(length(bytes.len()));
        self.bytes.extend(bytes);
    }

    fn written(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn type_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Double => 4,
        Kind::I32 => 8,
        Kind::I64 => 10,
        Kind::Text => 11,
        Kind::Struct => 12,
        Kind::List => 15,
    }
}

/// A batch is far below the 2 GiB that the protocol can say.
fn length(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

const STOP: u8 = 0;
const BOOL: u8 = 2;
