//! What sends may follow from after its processing has ended, in programs that say so much later: the last ones only, so that
//! it costs the same for ever.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::declared_parents::Cause;

/// So many that have ended are kept. Of about 200 bytes each.
const MOST: usize = 16_384;

/// By the number of the processing, each at its place; a later one takes the place of an earlier one.
#[derive(Default)]
pub(super) struct EndedCauses(Vec<Option<Arc<Cause>>>);

impl EndedCauses {
    pub(super) fn keep(&mut self, cause: Arc<Cause>) {
        if self.0.is_empty() {
            self.0.resize(MOST, None);
        }
        if let Some(place) = self.0.get_mut(place_of(cause.number)) {
            *place = Some(cause);
        }
    }

    pub(super) fn of(&self, number: u64) -> Option<Arc<Cause>> {
        self.0.get(place_of(number)).and_then(Option::as_ref).filter(|cause| cause.number == number).cloned()
    }
}

fn place_of(number: u64) -> usize {
    number as usize % MOST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propagation::SpanContext;

    fn cause(number: u64) -> Arc<Cause> {
        let context = SpanContext { trace_id: [1; 16], span_id: number.to_be_bytes(), flags: 1 };
        let (trace_state, baggage) = (Vec::new(), Vec::new());
        Arc::new(Cause { number, context, remote: false, brought: None, is_answer: false, trace_state, baggage })
    }

    #[test]
    fn the_last_ones_are_found_and_one_whose_place_another_took_is_none() {
        let mut ended = EndedCauses::default();
        let last = MOST as u64 + 3;
        for number in 1..=last {
            ended.keep(cause(number));
        }
        assert_eq!(
            [0, 3, 4, last, last + 1].map(|number| ended.of(number).is_some()),
            [false, false, true, true, false]
        );
        assert_eq!(ended.of(4).unwrap().context.span_id, 4_u64.to_be_bytes());
    }
}
