//! `tracestate`: other systems' notes that travel with a trace, checked and bounded but not understood (`ot_member.rs` is
//! OpenTelemetry's own).

/// Room for a `tracestate` that has to be put together from several headers. Costs nothing until there are several.
#[derive(Clone, Debug, Default)]
pub struct TraceStateBuffer {
    joined: Option<Joined>,
}

#[derive(Clone, Debug)]
struct Joined {
    /// Members, joined by commas.
    bytes: [u8; MAX_BYTES],
    used: usize,
    members: usize,
    malformed: bool,
}

impl TraceStateBuffer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { joined: None }
    }

    /// These well-formed members, as far as there is room for them; `None` without any.
    pub(super) fn fill<'m>(&mut self, members: impl Iterator<Item = &'m [u8]>) -> Option<&[u8]> {
        let joined = self.clear();
        members.for_each(|member| joined.append_member(member));
        self.joined()
    }

    fn clear(&mut self) -> &mut Joined {
        self.joined.insert(Joined { bytes: [0; MAX_BYTES], used: 0, members: 0, malformed: false })
    }

    /// `None` when there is no member, or when one of them was malformed: then none can be trusted.
    fn joined(&self) -> Option<&[u8]> {
        let joined = self.joined.as_ref().filter(|joined| !joined.malformed)?;
        joined.bytes.get(..joined.used).filter(|bytes| !bytes.is_empty())
    }
}

impl Joined {
    /// Appends the members of one header. A member that exceeds a limit is left out, whole.
    fn append(&mut self, header: &[u8]) {
        for member in members(header) {
            if !is_member(member) {
                self.malformed = true;
                return;
            }
            self.append_member(member);
        }
    }

    fn append_member(&mut self, member: &[u8]) {
        if self.members == MAX_MEMBERS {
            return;
        }
        let comma: &[u8] = if self.used == 0 { b"" } else { b"," };
        let end = self.used + comma.len() + member.len();
        let Some(room) = self.bytes.get_mut(self.used..end) else { return };
        let (comma_room, member_room) = room.split_at_mut(comma.len());
        comma_room.copy_from_slice(comma);
        member_room.copy_from_slice(member);
        self.used = end;
        self.members += 1;
    }
}

/// The `tracestate` headers of a message, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum TraceStates<'a> {
    /// None so far.
    #[default]
    Absent,
    /// One, which can be borrowed as it is.
    One(&'a [u8]),
    /// Several, joined in the buffer.
    Joined,
}

impl<'a> TraceStates<'a> {
    /// Takes the next header.
    pub(super) fn push(&mut self, header: &'a [u8], buffer: &mut TraceStateBuffer) {
        *self = match *self {
            Self::Absent => Self::One(header),
            Self::One(first) => {
                let joined = buffer.clear();
                joined.append(first);
                joined.append(header);
                Self::Joined
            }
            Self::Joined => {
                if let Some(joined) = &mut buffer.joined {
                    joined.append(header);
                }
                Self::Joined
            }
        };
    }

    /// At most 32 members in 512 bytes; `None` when there is nothing, or something malformed.
    pub(super) fn finish(self, buffer: &'a mut TraceStateBuffer) -> Option<&'a [u8]> {
        match self {
            Self::Absent => None,
            Self::Joined => buffer.joined(),
            Self::One(header) => {
                let (mut count, mut valid) = (0, true);
                for member in members(header) {
                    count += 1;
                    valid &= is_member(member);
                }
                if count == 0 || !valid {
                    return None;
                }
                if header.len() <= MAX_BYTES && count <= MAX_MEMBERS {
                    return Some(header);
                }
                buffer.clear().append(header);
                buffer.joined()
            }
        }
    }
}

/// Members without the white space around them. Empty ones are allowed and mean nothing.
pub(super) fn members(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// `key=value`, as level 2 of the specification spells it.
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|&byte| byte == b'=') else { return false };
    let Some((key, [_, value @ ..])) = member.split_at_checked(equals) else { return false };
    let starts_well = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let key_is_good = key.len() <= 256
        && key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'));
    let value_is_good =
        (1..=256).contains(&value.len()) && value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=');
    starts_well && key_is_good && value_is_good
}

fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// What everyone must be able to pass on.
const MAX_BYTES: usize = 512;
const MAX_MEMBERS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_header_is_passed_on_as_it_is() {
        for header in [
            "foo=1",
            "foo=1,bar=2",
            "foo=1 , bar=2",
            "foo=1,,bar=2",
            "fw529a3039@dt=FfAABQ",
            "a/b_c-d*e@f=x y!",
            "0a=~",
        ] {
            assert_eq!(joined(&[header]).as_deref(), Some(header));
        }
    }

    #[test]
    fn several_headers_are_joined_in_order() {
        assert_eq!(joined(&["foo=1", "bar=2,baz=3", " \tqux=4 "]).as_deref(), Some("foo=1,bar=2,baz=3,qux=4"));
        assert_eq!(joined(&["", "foo=1", ","]).as_deref(), Some("foo=1"));
    }

    /// J: W3C, an empty tracestate is not sent.
    #[test]
    fn nothing_to_say_is_no_tracestate() {
        for headers in [&[][..], &[""], &[" "], &[",", ""], &["", "", ""]] {
            assert_eq!(joined(headers), None, "{headers:?}");
        }
    }

    #[test]
    fn one_malformed_member_takes_the_whole_tracestate_with_it() {
        let long_key = format!("{}=1", "k".repeat(257));
        let long_value = format!("k={}", "v".repeat(257));
        for member in [
            "foo",
            "=1",
            "foo=",
            "Foo=1",
            "_foo=1",
            "foo=1=2",
            "foo=\u{e9}",
            "fo o=1",
            "foo=\u{7f}",
            &long_key,
            &long_value,
        ] {
            assert_eq!(joined(&[member]), None, "{member}");
            assert_eq!(joined(&["good=1", member]), None, "{member}");
            assert_eq!(joined(&[member, "good=1"]), None, "{member}");
        }
    }

    #[test]
    fn members_beyond_a_limit_are_left_out_whole() {
        let many = (0..40).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
        let kept = joined(&[&many]).unwrap();
        assert_eq!(kept.split(',').count(), 32);
        assert!(many.starts_with(&kept));

        let large = format!("a={},b={},c={}", "x".repeat(250), "y".repeat(250), "z".repeat(250));
        assert_eq!(joined(&[&large]).unwrap(), format!("a={},b={}", "x".repeat(250), "y".repeat(250)));
        let uneven = format!("a={},b={},c=1", "x".repeat(256), "y".repeat(256));
        assert_eq!(joined(&[&uneven]).unwrap(), format!("a={},c=1", "x".repeat(256)));
        assert_eq!(joined(&["s=1", &uneven]).unwrap(), format!("s=1,a={},c=1", "x".repeat(256)));
    }

    #[test]
    fn a_buffer_used_again_holds_nothing_of_the_message_before() {
        let mut buffer = TraceStateBuffer::new();
        assert_eq!(join(&["a=1", "B"], &mut buffer), None);
        assert_eq!(join(&["c=1", "d=2"], &mut buffer), Some("c=1,d=2".to_owned()));
        assert_eq!(join(&["e=1", ""], &mut buffer), Some("e=1".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn what_comes_out_is_bounded_and_well_formed(headers in prop::collection::vec("([a-z@0-9]{1,20}=[a-z ]{0,300}|,| |[A-Z=]{1,3}){0,6}(,[a-z]=1){0,40}", 0..4)) {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            if let Some(joined) = joined(&headers) {
                prop_assert!(joined.len() <= MAX_BYTES);
                prop_assert!(members(joined.as_bytes()).count() <= MAX_MEMBERS);
                prop_assert!(members(joined.as_bytes()).all(is_member));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_not_tripped_over(headers in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b','), Just(b'='), any::<u8>()], 0..80), 0..4)) {
            let mut buffer = TraceStateBuffer::new();
            let mut states = TraceStates::default();
            for header in &headers {
                states.push(header, &mut buffer);
            }
            let _ = states.finish(&mut buffer);
        }
    }

    fn joined(headers: &[&str]) -> Option<String> {
        join(headers, &mut TraceStateBuffer::new())
    }

    fn join(headers: &[&str], buffer: &mut TraceStateBuffer) -> Option<String> {
        let mut states = TraceStates::default();
        for header in headers {
            states.push(header.as_bytes(), buffer);
        }
        states.finish(buffer).map(|joined| String::from_utf8(joined.to_vec()).unwrap())
    }
}
