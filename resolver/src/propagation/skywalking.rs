//! `sw8`: the header of Apache SkyWalking's agents. Read only: to write it we would need a segment, which spans of ours have not.
//!
//! Its ids are texts. Which trace id they stand for is settled elsewhere: see "Which trace is a SkyWalking trace?" in `RATIONALE.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Reading;
use crate::tracer::SpanContext;
use crate::tracer::sampler::ParentSampling;

/// Reads `sw8`: eight fields, of which the first four say whether the trace is kept, its id, the segment and the span in it.
#[cold]
pub(super) fn read(text: &[u8]) -> Reading {
    let mut fields = text.split(|byte| *byte == b'-');
    let (Some(sample), Some(trace), Some(segment), Some(span), 4) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.count())
    else {
        return Reading::Nothing;
    };
    let (sampling, flags) = match sample {
        b"1" => (ParentSampling::Sampled, SpanContext::SAMPLED),
        b"0" => (ParentSampling::NotSampled, 0),
        _ => return Reading::Nothing,
    };
    let (mut trace_room, mut segment_room) = ([0; ID_MAX], [0; ID_MAX]);
    let span = number(span).and_then(|number| u32::try_from(number).ok());
    let ids = (trace_id(decoded(trace, &mut trace_room)), decoded(segment, &mut segment_room), span);
    let (Some(trace_id), Some(segment), Some(span)) = ids else { return Reading::Nothing };
    let Some(span_id) = span_id(segment, span) else { return Reading::Nothing };
    let context = SpanContext { trace_id, span_id, flags };
    if context.is_valid() { Reading::Context(context, sampling) } else { Reading::Nothing }
}

fn trace_id(text: Option<&[u8]>) -> Option<[u8; 16]> {
    match text? {
        [a @ .., b'-', _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _, _, _, _, _, _, _, _, _]
            if a.len() == 8 =>
        {
            let mut digits = text?.iter().copied().filter(|byte| *byte != b'-');
            let mut joined = [0; 32];
            joined.iter_mut().for_each(|to| *to = digits.next().unwrap_or_default());
            // A dash too many leaves too few digits.
            hexadecimal(&joined)
        }
        text => mixed(text),
    }
}

/// The span's number within the segment counts: several spans of it may have sent messages.
fn span_id(segment: &[u8], span: u32) -> Option<[u8; 8]> {
    let mut mixed = mixed(segment)?;
    mixed.iter_mut().zip(span.to_le_bytes()).for_each(|(byte, of_span)| *byte ^= of_span);
    let (first, second) = (mixed.first_chunk::<8>()?, mixed.last_chunk::<8>()?);
    Some((u64::from_be_bytes(*first) ^ u64::from_be_bytes(*second)).to_be_bytes())
}

/// 32 hexadecimal digits, or these and two numbers, `{digits}.{thread}.{time and sequence}`.
fn mixed(text: &[u8]) -> Option<[u8; 16]> {
    let (digits, rest) = text.split_first_chunk::<32>()?;
    let mut bytes = hexadecimal(digits)?;
    if rest.is_empty() {
        return Some(bytes);
    }
    let mut numbers = rest.strip_prefix(b".")?.split(|byte| *byte == b'.');
    let (thread, sequence, None) = (number(numbers.next()?)?, number(numbers.next()?)?, numbers.next()) else {
        return None;
    };
    // Of the thread's number the lower half.
    let numbers = thread.to_le_bytes().into_iter().take(4).chain(sequence.to_le_bytes());
    bytes.iter_mut().skip(4).zip(numbers).for_each(|(byte, of_number)| *byte ^= of_number);
    Some(bytes)
}

fn decoded<'r>(text: &[u8], room: &'r mut [u8; ID_MAX]) -> Option<&'r [u8]> {
    let length = STANDARD.decode_slice(text, room).ok()?;
    room.get(..length)
}

/// In either case: agents write what their language's UUIDs are.
fn hexadecimal(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let number = digits.iter().try_fold(0_u128, |number, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(number << 4 | u128::from(digit))
    })?;
    Some(number.to_be_bytes())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    u64::try_from(number).ok()
}

/// Bytes of an id, at the most: 32 digits, and two numbers of 19 with their dots, and what base64 needs beyond.
const ID_MAX: usize = 96;

#[cfg(test)]
mod tests;
