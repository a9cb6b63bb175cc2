//! Writing Thrift, as much of it as Jaeger's messages need.

mod binary;
mod compact;

pub(crate) use binary::Binary;
pub(crate) use compact::Compact;

/// What a field or an element is. (A boolean in the compact protocol is part of its field: see [`Writer::bool_field`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    I32,
    I64,
    Double,
    /// Text and binary are the same on the wire.
    Text,
    Struct,
    List,
}

/// One of the two protocols. Structs nest: `field(.., Kind::Struct)`, the fields of the inner one, `end_struct`.
pub(crate) trait Writer: Default {
    /// Begins a struct: the outermost one, or an element of a list. A struct that is a field needs it after its field.
    fn begin_struct(&mut self);
    /// Ends the struct that was begun last.
    fn end_struct(&mut self);
    /// Announces a field of the present struct. Ids rise.
    fn field(&mut self, id: i16, kind: Kind);
    /// A whole boolean field.
    fn bool_field(&mut self, id: i16, truth: bool);
    /// Announces `count` elements of one kind.
    fn list(&mut self, kind: Kind, count: usize);
    /// A value.
    fn i32(&mut self, number: i32);
    /// A value.
    fn i64(&mut self, number: i64);
    /// A value.
    fn double(&mut self, number: f64);
    /// A value.
    fn bytes(&mut self, bytes: &[u8]);
    /// Elements of a list that a writer of the same protocol has written.
    fn written(&mut self, bytes: &[u8]);
    /// All that was written.
    fn into_bytes(self) -> Vec<u8>;

    /// A whole field.
    fn i32_field(&mut self, id: i16, number: i32) {
        self.field(id, Kind::I32);
        self.i32(number);
    }

    /// A whole field.
    fn i64_field(&mut self, id: i16, number: i64) {
        self.field(id, Kind::I64);
        self.i64(number);
    }

    /// A whole field.
    fn double_field(&mut self, id: i16, number: f64) {
        self.field(id, Kind::Double);
        self.double(number);
    }

    /// A whole field.
    fn bytes_field(&mut self, id: i16, bytes: &[u8]) {
        self.field(id, Kind::Text);
        self.bytes(bytes);
    }

    /// A whole field: a list of structs, each written by `write`.
    fn structs_field<T>(&mut self, id: i16, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.field(id, Kind::List);
        self.list(Kind::Struct, items.len());
        for item in items {
            self.begin_struct();
            write(self, item);
            self.end_struct();
        }
    }
}
