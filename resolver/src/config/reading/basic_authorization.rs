//! The HTTP header that carries a user and a password, with as much of Base64 as that needs.

#![forbid(unsafe_code)]

/// The value of an `authorization` header: `Basic dXNlcjpwYXNzd29yZA==`.
pub(crate) fn basic_authorization(user: &str, password: &str) -> String {
    format!("Basic {}", encode(format!("{user}:{password}").as_bytes()))
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or_default()));
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at)) & 0x3f;
            let letter = ALPHABET.get(digit as usize).copied().map_or('=', char::from);
            out.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    out
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4648_come_out_right() {
        let examples =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in examples {
            assert_eq!(encode(plain.as_bytes()), encoded);
        }
        assert_eq!(basic_authorization("jdoe", "password"), "Basic amRvZTpwYXNzd29yZA==");
    }
}
