//! What Elastic's agents write, as text and as bytes.

use super::*;

const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Recorded: `TraceParent.to_binary` of elastic-apm 6.26.2 (PyPI), which is what the Java agent writes.
const BINARY: [u8; 29] = [
    0, 0, 75, 249, 47, 53, 119, 179, 77, 166, 163, 206, 146, 157, 14, 14, 71, 54, 1, 0, 240, 103, 170, 11, 169, 2, 183,
    2, 1,
];

fn context(flags: u8) -> Reading {
    let sampling = if flags == 1 { ParentSampling::Sampled } else { ParentSampling::NotSampled };
    let context = SpanContext {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(),
        span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
        flags,
    };
    Reading::Context(context, sampling)
}

fn read_binary(bytes: &[u8]) -> Reading {
    read(&Headers { text: None, binary: Some(bytes) })
}

/// Recorded: elastic-apm 6.26.2.
#[test]
fn both_forms_are_read_the_text_first() {
    assert_eq!(read(&Headers { text: Some(TEXT.as_bytes()), binary: None }), context(1));
    assert_eq!(read_binary(&BINARY), context(1));
    let other = TEXT.replace("02b7-01", "02b8-00");
    let Reading::Context(both, _) = read(&Headers { text: Some(other.as_bytes()), binary: Some(&BINARY) }) else {
        panic!("not read")
    };
    assert_eq!(both.span_id[7], 0xb8);
    assert_eq!(read(&Headers { text: Some(b"broken"), binary: Some(&BINARY) }), context(1));
    assert_eq!(read(&Headers::default()), Reading::Nothing);
}

#[test]
fn bytes_that_are_not_exactly_that_are_refused() {
    for length in 0..BINARY.len() {
        assert_eq!(read_binary(&BINARY[..length]), Reading::Nothing, "{length}");
    }
    assert_eq!(read_binary(&[&BINARY[..], &[0]].concat()), Reading::Nothing);
    for (at, what) in [(0, "version"), (1, "number of the trace id"), (18, "of the parent"), (27, "of the flags")] {
        let mut other = BINARY;
        other[at] = 7;
        assert_eq!(read_binary(&other), Reading::Nothing, "{what}");
    }
    for ids in [2..18, 19..27] {
        let mut zero = BINARY;
        zero[ids].fill(0);
        assert_eq!(read_binary(&zero), Reading::Nothing);
    }
    let mut flags = BINARY;
    flags[28] = 0;
    assert_eq!(read_binary(&flags), context(0));
    flags[28] = 0xff;
    assert_eq!(read_binary(&flags), context(1), "flags that nobody knows are nobody's");
    assert_eq!(read(&Headers { text: Some(&BINARY), binary: None }), Reading::Nothing, "each form under its name only");
    assert_eq!(read_binary(TEXT.as_bytes()), Reading::Nothing);
}
