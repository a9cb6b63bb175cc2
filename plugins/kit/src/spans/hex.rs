//! Ids as text.

/// The lower-case hexadecimal digits of an id.
pub fn hex(id: &[u8]) -> String {
    let mut text = String::with_capacity(id.len() * 2);
    for byte in id {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
    text
}

/// Whether an id is there: neither empty nor all zeroes.
pub fn is_set(id: &[u8]) -> bool {
    id.iter().any(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_hex() {
        assert_eq!(hex(&[0x00, 0x9a, 0xff, 0x10]), "009aff10");
    }

    #[test]
    fn an_id_of_zeroes_is_not_there() {
        assert!(!is_set(&[]) && !is_set(&[0; 8]) && is_set(&[0, 0, 1]));
    }
}
