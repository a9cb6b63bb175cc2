//! OpenTelemetry's own member of `tracestate`: `ot=th:…;rv:…`, the threshold by which a trace was kept and its randomness.

use super::trace_state::{TraceStateBuffer, members};
use crate::tracer::sampler::KeptBy;
use crate::tracer::threshold::{Threshold, parse_randomness, randomness_of};

/// The explicit randomness that a trace carries.
#[inline]
pub fn explicit_randomness(trace_state: Option<&[u8]>) -> Option<u64> {
    sub_keys(ot_of(trace_state?)?).find(|(key, _)| *key == b"rv").and_then(|(_, value)| parse_randomness(value))
}

/// The threshold that a trace state tells.
pub fn told_threshold(trace_state: Option<&[u8]>) -> Option<Threshold> {
    sub_keys(ot_of(trace_state?)?).find(|(key, _)| *key == b"th").and_then(|(_, value)| Threshold::parse(value))
}

/// The member `ot` of a trace state by itself, to be kept where there is no room for the whole; one that is longer than
/// OpenTelemetry's samplers write it is left out.
#[derive(Clone, Copy, Debug)]
pub struct OtMember {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl OtMember {
    /// `ot=th:…;rv:…`.
    const MAX: usize = 3 + 3 + 14 + 1 + 3 + 14;

    /// That of `trace_state`, if it has one.
    pub fn of(trace_state: Option<&[u8]>) -> Self {
        let mut kept = Self { bytes: [0; Self::MAX], length: 0 };
        let member =
            trace_state.into_iter().flat_map(members).find(|member| member.starts_with(OT)).unwrap_or_default();
        if let Some(bytes) = kept.bytes.get_mut(..member.len()) {
            bytes.copy_from_slice(member);
            kept.length = member.len() as u8;
        }
        kept
    }

    /// A trace state of it alone; `None` where there is none.
    pub fn as_trace_state(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::from(self.length)).filter(|member| !member.is_empty())
    }
}

/// The `tracestate` of a span that continues, with `given`, what it was decided about: with the threshold that is true of the span.
///
/// One that was the parent's stays if it fits the decision; what a sampler of another kind decided has none. All else stays
/// as it is, in order, but for the rule that a member that was changed comes first.
pub fn settled_trace_state<'a>(
    given: Option<&'a [u8]>,
    trace_id: &[u8; 16],
    kept_by: KeptBy,
    buffer: &'a mut TraceStateBuffer,
) -> Option<&'a [u8]> {
    let ot = given.and_then(ot_of);
    let written = ot.and_then(|ot| sub_keys(ot).find(|(key, _)| *key == b"th")).map(|(_, value)| value);
    let known = written.and_then(Threshold::parse);
    let threshold = match kept_by {
        KeptBy::Threshold(own) => Some(own),
        KeptBy::Unknown => None,
        KeptBy::Parent { sampled } => {
            let randomness = explicit_randomness(given).unwrap_or_else(|| randomness_of(trace_id));
            known.filter(|threshold| threshold.keeps(randomness) == sampled)
        }
    };
    // An own threshold that is spelt in another way is no change.
    if threshold == known && threshold.is_some() == written.is_some() {
        return given;
    }
    let mut value = [0_u8; MAX_MEMBER];
    let length = write_ot(ot, threshold, &mut value).unwrap_or(0);
    let own = value.get(..length).filter(|member| !member.is_empty());
    let others = given.into_iter().flat_map(members).filter(|member| !member.starts_with(OT));
    buffer.fill(own.into_iter().chain(others))
}

/// The value of the first such member.
fn ot_of(trace_state: &[u8]) -> Option<&[u8]> {
    members(trace_state).find_map(|member| member.strip_prefix(OT))
}

/// Keys and values, in order.
fn sub_keys(ot: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    ot.split(|byte| *byte == b';').filter_map(|pair| {
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let (key, value) = pair.split_at_checked(colon)?;
        Some((key, value.get(1..)?))
    })
}

/// Writes the member; 0: it says nothing. Where it would be too long for a value it goes without a threshold.
fn write_ot(ot: Option<&[u8]>, threshold: Option<Threshold>, room: &mut [u8; MAX_MEMBER]) -> Option<usize> {
    let text = threshold.map(Threshold::text);
    let others = || ot.into_iter().flat_map(|ot| ot.split(|byte| *byte == b';')).filter(|pair| is_kept(pair));
    let own = text.as_ref().map(|text| [b"th:".as_slice(), text.as_bytes()]);
    let mut used = 0;
    let mut put = |bytes: &[u8]| {
        room.get_mut(used..used + bytes.len())?.copy_from_slice(bytes);
        used += bytes.len();
        Some(used)
    };
    put(OT)?;
    let mut end = None;
    for pair in others() {
        if end.is_some() {
            put(b";")?;
        }
        end = Some(put(pair)?);
    }
    let Some(own) = own else { return end };
    let separator: &[u8] = if end.is_some() { b";" } else { b"" };
    // Without room for it, what was there stays.
    let written = put(separator).and_then(|_| own.into_iter().try_fold(0, |_, part| put(part)));
    written.or(end)
}

/// Neither a threshold nor nothing.
fn is_kept(pair: &[u8]) -> bool {
    !pair.is_empty() && !pair.starts_with(b"th:")
}

const OT: &[u8] = b"ot=";
/// `ot=` and the longest value.
const MAX_MEMBER: usize = 3 + 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its last 56 bits are `80…`.
    const ID: [u8; 16] = 0x1_0080_0000_0000_0000_u128.to_be_bytes();

    fn settled(given: &str, kept_by: KeptBy) -> String {
        let mut buffer = TraceStateBuffer::new();
        let given = Some(given.as_bytes()).filter(|given| !given.is_empty());
        let state = settled_trace_state(given, &ID, kept_by, &mut buffer).unwrap_or_default();
        String::from_utf8(state.to_vec()).unwrap()
    }

    fn own(th: &str) -> KeptBy {
        KeptBy::Threshold(Threshold::parse(th.as_bytes()).unwrap())
    }

    const KEPT: KeptBy = KeptBy::Parent { sampled: true };
    const NOT_KEPT: KeptBy = KeptBy::Parent { sampled: false };

    #[test]
    fn a_child_keeps_its_parent_s_threshold_where_it_fits_the_decision() {
        for state in
            ["ot=th:8", "a=1,ot=th:8;rv:80000000000000,b=2", "ot=th:0", "ot=p:8;th:7f", "a=1", "ot=rv:00000000000000"]
        {
            assert_eq!(settled(state, KEPT), state);
        }
        for state in ["ot=th:c", "ot=th:c;rv:bfffffffffffff", "a=1,ot=x:y"] {
            assert_eq!(settled(state, NOT_KEPT), state);
        }
    }

    #[test]
    fn a_threshold_that_contradicts_the_decision_or_is_none_is_erased() {
        assert_eq!(settled("ot=th:c", KEPT), "", "80… is below it");
        assert_eq!(settled("ot=th:8", NOT_KEPT), "", "80… reaches it");
        assert_eq!(settled("a=1,ot=th:8;rv:7fffffffffffff,b=2", KEPT), "ot=rv:7fffffffffffff,a=1,b=2");
        assert_eq!(settled("a=1,ot=p:8;th:C;r:62", KEPT), "ot=p:8;r:62,a=1", "not a threshold");
        assert_eq!(settled("ot=th:", KEPT), "");
        assert_eq!(settled("ot=th:123456789abcdef,a=1", KEPT), "a=1");
        assert_eq!(settled("ot=th:8;rv:7fff", KEPT), "ot=th:8;rv:7fff", "a randomness that is none is not looked at");
    }

    #[test]
    fn a_sampler_of_another_kind_has_no_threshold() {
        assert_eq!(settled("", KeptBy::Unknown), "");
        assert_eq!(settled("a=1,b=2", KeptBy::Unknown), "a=1,b=2");
        assert_eq!(settled("a=1,ot=th:8;rv:80000000000000", KeptBy::Unknown), "ot=rv:80000000000000,a=1");
        assert_eq!(settled("ot=th:8", KeptBy::Unknown), "");
    }

    #[test]
    fn an_own_threshold_takes_the_place_of_the_parent_s() {
        assert_eq!(settled("", own("c")), "ot=th:c");
        assert_eq!(settled("a=1,b=2", own("c")), "ot=th:c,a=1,b=2");
        assert_eq!(settled("a=1,ot=p:8;th:8;r:62,b=2", own("c")), "ot=p:8;r:62;th:c,a=1,b=2");
        assert_eq!(settled("a=1,ot=th:c", own("c")), "a=1,ot=th:c", "no change");
        assert_eq!(settled("ot=a:1,x=2,ot=b:2", own("8")), "ot=a:1;th:8,x=2", "one key, one member");
    }

    #[test]
    fn what_there_is_no_room_for_is_left_out_whole() {
        let full = format!("ot=x:{}", "y".repeat(250));
        assert_eq!(settled(&full, own("c")), full, "there is none for the threshold");
        let many = (0..32).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
        let state = settled(&many, own("c"));
        assert!(state.starts_with("ot=th:c,k0=v,") && state.ends_with(",k30=v"), "{state}");
    }

    #[test]
    fn the_explicit_randomness_of_a_trace() {
        assert_eq!(explicit_randomness(None), None);
        assert_eq!(explicit_randomness(Some(b"a=rv:80000000000000")), None);
        assert_eq!(explicit_randomness(Some(b"a=1, ot=th:8;rv:80000000000001")), Some(0x80_0000_0000_0001));
        assert_eq!(explicit_randomness(Some(b"ot=rv:8")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Against the plainest way to do it, on texts.
        #[test]
        fn all_else_is_kept_in_order(
            before in prop::collection::vec("[a-n][a-z0-9]{0,5}=[a-z0-9]{1,5}", 0..4),
            subs in prop::collection::vec("([a-s][a-z0-9]{0,3}:[a-zA-Z0-9._-]{0,5}|th:[0-9a-fA-F]{0,15}|rv:[0-9a-f]{13,15})", 0..4),
            after in prop::collection::vec("[p-z][a-z0-9]{0,5}=[a-z0-9]{1,5}", 0..4),
            th in prop::option::of("[0-9a-f]{0,13}[1-9a-f]"),
        ) {
            let ot = (!subs.is_empty()).then(|| format!("ot={}", subs.join(";")));
            let given = before.iter().chain(&ot).chain(&after).cloned().collect::<Vec<_>>().join(",");
            let result = settled(&given, th.as_deref().map_or(KeptBy::Unknown, own));
            let mut kept: Vec<String> = subs.iter().filter(|sub| !sub.starts_with("th:")).cloned().collect();
            let had = subs.iter().filter_map(|sub| sub.strip_prefix("th:")).next();
            if had == th.as_deref() {
                prop_assert_eq!(result, given);
                return Ok(());
            }
            kept.extend(th.map(|th| format!("th:{th}")));
            let ot = (!kept.is_empty()).then(|| format!("ot={}", kept.join(";")));
            let expected = ot.iter().chain(&before).chain(&after).cloned().collect::<Vec<_>>().join(",");
            prop_assert_eq!(result, expected);
        }
    }
}
