//! What SkyWalking's agents write, and the ids that OpenTelemetry's Collector makes of theirs.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;

const REST: &str = "c2hvcA==-c2hvcC0x-b3JkZXJzL1Byb2R1Y2U=-MTI3LjAuMC4xOjkwOTI=";
const HEX: &str = "64d8cd4a92ac40678c9a39c2fa7d8665";

fn context(trace_id: u128, span_id: u64) -> Reading {
    let context = SpanContext { trace_id: trace_id.to_be_bytes(), span_id: span_id.to_be_bytes(), flags: 1 };
    Reading::Context(context, ParentSampling::Sampled)
}

/// `sw8` with these ids.
fn sw8(trace: &str, segment: &str, span: &str) -> String {
    format!("1-{}-{}-{span}-{REST}", STANDARD.encode(trace), STANDARD.encode(segment))
}

/// Recorded: skywalking-backend-js 0.9.0 (npm), and apache-skywalking 1.3.0 (PyPI) with its own ids and with those of a Java
/// agent. What they stand for was computed by the rule of the Collector's SkyWalking receiver.
#[test]
fn what_the_agents_write_is_the_trace_that_the_collector_makes_of_it() {
    let node = "1-NjRkOGNkNGE5MmFjNDA2NzhjOWEzOWMyZmE3ZDg2NjU=-ZWRkMGQxN2FiYzk2NDU2Yzk2NTI5NzJkNjZmZDc4ODA=-0-\
                c2hvcA==-c2hvcC0x-b3JkZXJzL1Byb2R1Y2U=-MTI3LjAuMC4xOjkwOTI=";
    assert_eq!(read(node.as_bytes()), context(0x64d8_cd4a_92ac_4067_8c9a_39c2_fa7d_8665, 0x7b82_4657_da6b_3dec));
    let java = "1-NTZhNWUxYzUxOWFlNGM3NmEyYjhiMTFkOTJjZWFkN2YuMTIuMTY1NjM0NzQyOTY0MzAwMDE=-\
                OWMyZmQ0ZWM2YjVhNGQ0ZjhmM2MwYTdkMWUyYjNjNGQuNDEuMTY1NjM0NzQyOTY0MzAwMDA=-2-\
                c2hvcA==-c2hvcC0x-b3JkZXJzL1Byb2R1Y2U=-MTI3LjAuMC4xOjkwOTI=";
    assert_eq!(read(java.as_bytes()), context(0x56a5_e1c5_15ae_4c76_13e5_1e7c_f616_977f, 0xa14e_71f0_38a9_4b02));
    let python = "1-MDA0ZmM2NmFlYjhjMTFmMTg2YWEwMmZjMDAwMDAwMDE=-MDA0ZmM3MDBlYjhjMTFmMTg2YWEwMmZjMDAwMDAwMDE=-1-\
                  c2hvcA==-c2hvcC0x-b3JkZXJzL1Byb2R1Y2U=-MTI3LjAuMC4xOjkwOTI=";
    let Reading::Context(read, _) = read(python.as_bytes()) else { panic!("not read") };
    assert_eq!(read.trace_id, 0x004f_c66a_eb8c_11f1_86aa_02fc_0000_0001_u128.to_be_bytes());
}

#[test]
fn a_trace_id_may_be_a_uuid_in_its_usual_spelling_and_in_capitals() {
    let trace = 0xde59_80b8_fce3_4a37_aab9_b4ac_3af7_eedd;
    for text in ["de5980b8-fce3-4a37-aab9-b4ac3af7eedd", "DE5980B8-FCE3-4A37-AAB9-B4AC3AF7EEDD"] {
        assert_eq!(read(sw8(text, HEX, "0").as_bytes()), context(trace, 0xe842_f488_68d1_c602), "{text}");
    }
    // Of a segment the Collector makes nothing by which it could be found.
    let segment = sw8(HEX, "de5980b8-fce3-4a37-aab9-b4ac3af7eedd", "0");
    assert_eq!(read(segment.as_bytes()), Reading::Nothing);
}

#[test]
fn the_first_field_says_whether_the_trace_is_kept() {
    let kept = sw8(HEX, HEX, "0");
    let Reading::Context(context, sampling) = read(kept.replacen('1', "0", 1).as_bytes()) else { panic!("not read") };
    assert_eq!((context.flags, sampling), (0, ParentSampling::NotSampled));
    for sample in ["", "2", "x", "11"] {
        assert_eq!(read(kept.replacen('1', sample, 1).as_bytes()), Reading::Nothing, "{sample}");
    }
}

#[test]
fn spans_of_one_segment_are_told_apart() {
    let span = |number: &str| match read(sw8(HEX, HEX, number).as_bytes()) {
        Reading::Context(context, _) => context.span_id,
        other => panic!("{other:?}"),
    };
    assert_ne!(span("0"), span("1"));
    assert_ne!(span("1"), span("256"));
}

#[test]
fn malformed_values_are_refused() {
    let java = |thread: &str, sequence: &str| format!("{HEX}.{thread}.{sequence}");
    assert_ne!(read(sw8(&java("1", "2"), HEX, "0").as_bytes()), Reading::Nothing, "the others would be refused anyhow");
    for id in [
        "",
        "orders",
        &HEX[1..],
        &format!("{HEX}0"),
        &HEX.replace('6', "x"),
        &format!("{HEX}."),
        &format!("{HEX}.1"),
        &java("", "2"),
        &java("1", ""),
        &java("-1", "2"),
        &java("+1", "2"),
        &java("1", "2.3"),
        &java("1", "9223372036854775808"),
        &java("1", "99999999999999999999"),
        &format!("{HEX}-1-2"),
        "de5980b8-fce34-a37-aab9-b4ac3af7eedd",
        "de5980b8-fce3-4a37-aab9-b4ac3af7eed",
        "de5980b8-fce3-4a37-aab9-b4ac3af7ee-d",
        "0000000000000000000000000000000",
        &"1".repeat(200),
    ] {
        assert_eq!(read(sw8(id, HEX, "0").as_bytes()), Reading::Nothing, "trace {id}");
        assert_eq!(read(sw8(HEX, id, "0").as_bytes()), Reading::Nothing, "segment {id}");
    }
    assert_eq!(read(sw8(&"0".repeat(32), HEX, "0").as_bytes()), Reading::Nothing, "a trace id of zeros");
    assert_eq!(read(sw8(HEX, &"1".repeat(32), "0").as_bytes()), Reading::Nothing, "a span id of zeros");
    for span in ["", "x", "1.5", "4294967296", "+1"] {
        assert_eq!(read(sw8(HEX, HEX, span).as_bytes()), Reading::Nothing, "span {span}");
    }
    let good = sw8(HEX, HEX, "0");
    for text in [
        String::new(),
        "1-------".to_owned(),
        format!("{good}-more"),
        good.rsplit_once('-').unwrap().0.to_owned(),
        good.replace('=', ""),
        good.replace("NjRk", "N*Rk"),
        format!("1-{HEX}-{HEX}-0-{REST}"),
    ] {
        assert_eq!(read(text.as_bytes()), Reading::Nothing, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_fields_are_refused_not_tripped_over(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10)) {
        let text: Vec<String> = fields.iter().map(|field| STANDARD.encode(field)).collect();
        let _ = read(format!("1-{}", text.join("-")).as_bytes());
        let _ = read(&fields.concat());
    }
}
