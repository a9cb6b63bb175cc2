//! Reading Thrift without its schema: both protocols, into a tree of numbered fields.

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Thrift {
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Struct(Vec<(i16, Thrift)>),
    List(Vec<Thrift>),
}

/// Which of Thrift's protocols the bytes are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Binary,
    Compact,
}

impl Thrift {
    /// Reads one struct, which must be all there is.
    pub(crate) fn read(bytes: &[u8], encoding: Encoding) -> Result<Self, String> {
        let mut reader = Reader { bytes, encoding };
        let value = reader.structure(0)?;
        if reader.bytes.is_empty() { Ok(value) } else { Err(format!("{} bytes are left over", reader.bytes.len())) }
    }

    /// Reads a message in the compact protocol: the name of the method and its arguments.
    pub(crate) fn read_call(bytes: &[u8]) -> Result<(String, Self), String> {
        let mut reader = Reader { bytes, encoding: Encoding::Compact };
        let (id, version) = (reader.byte()?, reader.byte()?);
        if (id, version & 0x1f) != (0x82, 1) {
            return Err(format!("no compact message: {id:#x} {version:#x}"));
        }
        if !matches!(version >> 5, 1 | 4) {
            return Err(format!("neither a call nor a one-way call: {}", version >> 5));
        }
        reader.varint()?;
        let name = reader.bytes_value()?;
        let arguments = reader.structure(0)?;
        if !reader.bytes.is_empty() {
            return Err(format!("{} bytes are left over", reader.bytes.len()));
        }
        Ok((String::from_utf8_lossy(&name).into_owned(), arguments))
    }

    pub(crate) fn field(&self, id: i16) -> Option<&Thrift> {
        match self {
            Thrift::Struct(fields) => fields.iter().find(|(known, _)| *known == id).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn int(&self, id: i16) -> i64 {
        match self.field(id) {
            Some(Thrift::Int(number)) => *number,
            _ => 0,
        }
    }

    pub(crate) fn text(&self, id: i16) -> String {
        match self.field(id) {
            Some(Thrift::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        }
    }

    pub(crate) fn list(&self, id: i16) -> &[Thrift] {
        match self.field(id) {
            Some(Thrift::List(items)) => items,
            _ => &[],
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

impl Reader<'_> {
    fn structure(&mut self, depth: usize) -> Result<Thrift, String> {
        if depth > 16 {
            return Err("structs nested too deeply".to_owned());
        }
        let mut fields = Vec::new();
        let mut last = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(Thrift::Struct(fields));
            }
            let (field_type, id) = match self.encoding {
                Encoding::Binary => (head, i16::from_be_bytes(self.array()?)),
                Encoding::Compact => match head >> 4 {
                    0 => (head & 0xf, i16::try_from(self.zigzag()?).map_err(|_| "field id".to_owned())?),
                    delta => (head & 0xf, last.wrapping_add(i16::from(delta))),
                },
            };
            last = id;
            let value = match (self.encoding, field_type) {
                (Encoding::Compact, 1) => Thrift::Bool(true),
                (Encoding::Compact, 2) => Thrift::Bool(false),
                _ => self.value(field_type, depth)?,
            };
            fields.push((id, value));
        }
    }

    fn value(&mut self, field_type: u8, depth: usize) -> Result<Thrift, String> {
        Ok(match (self.encoding, field_type) {
            (Encoding::Binary, 2) => Thrift::Bool(self.byte()? == 1),
            (Encoding::Binary, 4) => Thrift::Double(f64::from_be_bytes(self.array()?)),
            (Encoding::Binary, 8) => Thrift::Int(i64::from(i32::from_be_bytes(self.array()?))),
            (Encoding::Binary, 10) => Thrift::Int(i64::from_be_bytes(self.array()?)),
            (Encoding::Compact, 5 | 6) => Thrift::Int(self.zigzag()?),
            (Encoding::Compact, 7) => Thrift::Double(f64::from_le_bytes(self.array()?)),
            (Encoding::Binary, 11) | (Encoding::Compact, 8) => Thrift::Bytes(self.bytes_value()?),
            (_, 12) => self.structure(depth + 1)?,
            (Encoding::Binary, 15) | (Encoding::Compact, 9) => self.items(depth + 1)?,
            (_, other) => return Err(format!("unexpected type {other}")),
        })
    }

    fn items(&mut self, depth: usize) -> Result<Thrift, String> {
        let head = self.byte()?;
        let (item_type, count) = match self.encoding {
            Encoding::Binary => (head, u64::from(u32::from_be_bytes(self.array()?))),
            Encoding::Compact if head >> 4 == 15 => (head & 0xf, self.varint()?),
            Encoding::Compact => (head & 0xf, u64::from(head >> 4)),
        };
        if count > self.bytes.len() as u64 {
            return Err(format!("a list of {count} items in {} bytes", self.bytes.len()));
        }
        (0..count).map(|_| self.value(item_type, depth)).collect::<Result<_, _>>().map(Thrift::List)
    }

    fn bytes_value(&mut self) -> Result<Vec<u8>, String> {
        let length = match self.encoding {
            Encoding::Binary => u64::from(u32::from_be_bytes(self.array()?)),
            Encoding::Compact => self.varint()?,
        };
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn zigzag(&mut self) -> Result<i64, String> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut number = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number of more than ten bytes".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "unreachable: N bytes are N bytes".to_owned())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let (head, tail) = self.bytes.split_at_checked(count).ok_or("the bytes end too early")?;
        self.bytes = tail;
        Ok(head)
    }
}
