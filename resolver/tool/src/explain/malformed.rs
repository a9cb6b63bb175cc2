//! Why a header that should name a trace is none, in words. That it is none, the engine says.

#![forbid(unsafe_code)]

use crate::output::counted;

/// What is wrong with the value of a header that the engine does not read.
pub(super) fn why(name: &str, value: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "traceparent" => traceparent(value),
        "uber-trace-id" => {
            "it is written TRACE:SPAN:PARENT:FLAGS, in hexadecimal digits, and neither of the first two is zero"
                .to_owned()
        }
        "b3" => "it is written TRACE-SPAN, TRACE-SPAN-STATE or TRACE-SPAN-STATE-PARENT, with ids of 32 or 16 and 16 \
                 hexadecimal digits; or it is a state alone: 0, 1 or d"
            .to_owned(),
        _ => "X-B3-TraceId (32 or 16 hexadecimal digits) and X-B3-SpanId (16) belong together".to_owned(),
    }
}

fn traceparent(value: &str) -> String {
    const FORM: &str = "it is written 00-TRACE-SPAN-FLAGS, with 32, 16 and 2 hexadecimal digits";
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace, span, flags, rest @ ..] = parts.as_slice() else {
        return format!("it has {} instead of four; {FORM}", counted(parts.len(), "part"));
    };
    let named = [("version", *version, 2), ("trace id", *trace, 32), ("span id", *span, 16), ("flags", *flags, 2)];
    for (name, part, length) in named {
        let is_plural = name == "flags";
        if part.chars().count() != length {
            let have = if is_plural { "have" } else { "has" };
            return format!("its {name} {have} {} instead of {length}; {FORM}", counted(part.chars().count(), "digit"));
        }
        if let Some(strange) = part.chars().find(|c| !c.is_ascii_hexdigit()) {
            return format!(
                "its {name} {} {strange:?}, which is no hexadecimal digit; {FORM}",
                if is_plural { "have" } else { "has" }
            );
        }
        if part.chars().any(|c| c.is_ascii_uppercase()) {
            return format!(
                "its {name} {} capital letters, and the digits a to f are small ones",
                if is_plural { "have" } else { "has" }
            );
        }
    }
    match () {
        () if *version == "ff" => "version ff is none".to_owned(),
        () if trace.chars().all(|c| c == '0') => "a trace id of zeros is none".to_owned(),
        () if span.chars().all(|c| c == '0') => "a span id of zeros is none".to_owned(),
        () if *version == "00" && !rest.is_empty() => "version 00 ends with its flags, and here is more".to_owned(),
        () => FORM.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tracer_resolver::config::Propagator;
    use tracer_resolver::propagation::{Extracted, TraceStateBuffer, extract};

    use super::*;

    #[test]
    fn each_way_to_be_no_traceparent_is_named_and_is_one_to_the_engine_too() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (value, says) in [
            ("4bf92f35", "1 part instead of four"),
            (&good.replace("4736", "473"), "its trace id has 31 digits instead of 32"),
            (&good.replace("02b7", "02bx"), "its span id has 'x'"),
            (&good.replace("4bf9", "4BF9"), "capital letters"),
            (&good.replace("-01", "-1"), "its flags have 1 digit instead of 2"),
            (&good.replacen("00", "ff", 1), "version ff"),
            (&good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), "trace id of zeros"),
            (&good.replace("00f067aa0ba902b7", &"0".repeat(16)), "span id of zeros"),
            (&format!("{good}-more"), "here is more"),
        ] {
            let mut buffer = TraceStateBuffer::default();
            let headers = [(b"traceparent".as_slice(), Some(value.as_bytes()))];
            assert_eq!(extract(headers, &[Propagator::TraceContext], &mut buffer), Extracted::Nothing, "{value}");
            assert!(traceparent(value).contains(says), "{value}: {}", traceparent(value));
        }
    }
}
