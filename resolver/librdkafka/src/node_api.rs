//! The library as an add-on of Node: what `tracer_interceptors_api` is to C, for the layer in `npm/`, which alone loads it.
//!
//! A processing is a number in JavaScript, which costs Node less than an object of ours would: that had to be told of its end by
//! the garbage collector. Once it has ended, what is sent may still follow from it, until thousands of others have ended.

mod values;

use std::ffi::CString;

use tracer_resolver::MessagePlace;
use tracer_resolver::interceptor::{RefusedSend, declared, latest_sender, refused_by, sends_seen};

use self::values::{Call, Callback, Env, Node, Value};
use crate::contained::contained;

/// Fills the add-on's `exports`; called for each thread of Node that loads it.
///
/// Runs on: a thread of Node's, at `process.dlopen`.
///
/// # Safety
///
/// Called by Node only, with an instance of it and an object of that.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    contained((), || {
        // SAFETY: as promised by the caller.
        let Some(node) = (unsafe { Node::of(env) }) else { return };
        let functions: [(_, Callback); 11] = [
            (c"declare", declare),
            (c"wantsBatches", wants_batches),
            (c"handOver", hand_over),
            (c"begin", begin),
            (c"fail", fail),
            (c"end", end),
            (c"context", context),
            (c"nextSend", next_send),
            (c"nextSendOf", next_send_of),
            (c"sender", sender),
            (c"refused", refused),
        ];
        for (name, callback) in functions {
            node.define(exports, name, callback);
        }
    });
    exports
}

/// `declare()`
///
/// # Safety
///
/// Called by Node only, as are all below.
unsafe extern "C" fn declare(_env: Env, _call: Call) -> Value {
    contained((), declared::declare);
    UNDEFINED
}

/// `wantsBatches()`: a number where `handOver` is to be called, else undefined.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn wants_batches(env: Env, _call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave it to this call.
        let node = unsafe { Node::of(env) }.filter(|_| declared::wants_batches());
        node.map_or(UNDEFINED, |node| node.new_number(1.0))
    })
}

/// `handOver([topic, partition, offset, traceparent, …])`: one call has given the program these messages.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn hand_over(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call.
        let Some((node, [list])) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<1>(call))) }) else {
            return;
        };
        let mut messages = Vec::new();
        for first in (0..node.length(list)).step_by(4) {
            let [topic, partition, offset, traceparent] = [0, 1, 2, 3].map(|next| node.element(list, first + next));
            let (mut topic_room, mut parent_room) = ([0; 512], [0; 128]);
            let topic = node.text(topic, &mut topic_room).and_then(|topic| std::str::from_utf8(topic).ok());
            let (Some(topic), Some(partition), Some(offset)) = (topic, node.number(partition), node.number(offset))
            else {
                continue;
            };
            let traceparent = node.text(traceparent, &mut parent_room).map(<[u8]>::to_vec);
            messages.push((topic.to_owned(), partition as i32, offset as i64, traceparent));
        }
        declared::hand_over(messages.iter().map(|(topic, partition, offset, traceparent)| {
            (MessagePlace { topic, partition: *partition, offset: *offset }, traceparent.as_deref())
        }));
    });
    UNDEFINED
}

/// `begin(topic, partition, offset, traceparent, tracestate)`: a processing, or undefined if the message is not traced.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn begin(env: Env, call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave both to this call.
        let Some((node, values)) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<5>(call))) }) else {
            return UNDEFINED;
        };
        let [topic, partition, offset, traceparent, tracestate] = values;
        let (mut topic_room, mut parent_room, mut state_room) = ([0; 512], [0; 128], [0; 1024]);
        let topic = node.text(topic, &mut topic_room).and_then(|topic| std::str::from_utf8(topic).ok());
        let (Some(topic), Some(partition), Some(offset)) = (topic, node.number(partition), node.number(offset)) else {
            return UNDEFINED;
        };
        let traceparent = node.text(traceparent, &mut parent_room);
        let tracestate = node.text(tracestate, &mut state_room);
        let place = MessagePlace { topic, partition: partition as i32, offset: offset as i64 };
        match declared::begin(place, traceparent, tracestate, 0) {
            0 => UNDEFINED,
            // Exact up to 2^53.
            number => node.new_number(number as f64),
        }
    })
}

/// `fail(processing, type, description)`
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn fail(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call.
        let (Some((node, [_, error_type, description])), number) = (unsafe { given(env, call) }) else { return };
        let (mut type_room, mut description_room) = ([0; 1024], [0; 4096]);
        let error_type = String::from_utf8_lossy(node.text(error_type, &mut type_room).unwrap_or_default());
        let description = String::from_utf8_lossy(node.text(description, &mut description_room).unwrap_or_default());
        declared::fail(number, &error_type, &description);
    });
    UNDEFINED
}

/// `end(processing)`
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn end(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call.
        let (_, number) = unsafe { given::<1>(env, call) };
        declared::end_followed(number);
    });
    UNDEFINED
}

/// `context(processing)`: its `traceparent`.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn context(env: Env, call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave both to this call.
        let (Some((node, [_])), number) = (unsafe { given(env, call) }) else { return UNDEFINED };
        let Some(text) = declared::traceparent_of_any(number) else { return UNDEFINED };
        std::str::from_utf8(&text).map_or(UNDEFINED, |text| node.new_text(text))
    })
}

/// `nextSend(processing)`: what this thread sends next follows from it. Undefined, or one that is long over: nothing is said.
/// Gives how many messages it has sent, for `sender` and `refused`.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn next_send(env: Env, call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave both to this call.
        let (given, number) = unsafe { given::<1>(env, call) };
        declared::next_send_of_any(number);
        given.map_or(UNDEFINED, |(node, _)| node.new_number(sends_seen() as f64))
    })
}

/// `nextSendOf(traceparent, tracestate, baggage)`: what this thread sends next follows from that context. Gives what `nextSend` does.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn next_send_of(env: Env, call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave both to this call.
        let Some((node, values)) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<3>(call))) }) else {
            return UNDEFINED;
        };
        let [traceparent, tracestate, baggage] = values;
        let (mut parent_room, mut state_room, mut baggage_room) = ([0; 128], [0; 1024], [0; 8200]);
        let traceparent = node.text(traceparent, &mut parent_room).unwrap_or_default();
        let tracestate = node.text(tracestate, &mut state_room).unwrap_or_default();
        let baggage = node.text(baggage, &mut baggage_room).unwrap_or_default();
        declared::next_send_of(traceparent, tracestate, baggage);
        node.new_number(sends_seen() as f64)
    })
}

/// `sender(seen)`: the producer of a message that was sent since there were so many, as a number; 0 where no traced one has sent any.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn sender(env: Env, call: Call) -> Value {
    contained(UNDEFINED, || {
        // SAFETY: Node gave both to this call.
        let Some((node, [seen])) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<1>(call))) }) else {
            return UNDEFINED;
        };
        // Of a place that two million clients have had it is not exact.
        let sender = if node.number(seen) == Some(sends_seen() as f64) { 0 } else { latest_sender() };
        node.new_number(if sender < 1 << f64::MANTISSA_DIGITS { sender as f64 } else { 0.0 })
    })
}

/// `refused(sender, seen, error, topic, partition, isTombstone)`: librdkafka has not taken a message of that producer, and has called
/// no interceptor for it, if there are still as many as were `seen` before. `isTombstone`: a number, or undefined.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn refused(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call.
        let (Some((node, values)), sender) = (unsafe { given::<6>(env, call) }) else { return };
        let [_, seen, error, topic, partition, is_tombstone] = values;
        let [seen, error, partition, is_tombstone] =
            [seen, error, partition, is_tombstone].map(|value| node.number(value));
        let mut topic_room = [0; 512];
        let topic = node.text(topic, &mut topic_room).and_then(|topic| CString::new(topic).ok());
        let (Some(error), Some(partition), Some(topic)) = (error, partition, topic) else { return };
        // Else it has a span.
        if seen == Some(sends_seen() as f64) {
            let (error, partition) = (error as i32, partition as i32);
            let send = RefusedSend { error, partition, key: None, is_tombstone: is_tombstone.is_some() };
            refused_by(sender, &topic, [send].into_iter());
        }
    });
    UNDEFINED
}

/// This call's arguments, and the number of the processing that the first one is; 0, which is none's, if it is something else.
///
/// # Safety
///
/// Node gave both to this call.
unsafe fn given<const COUNT: usize>(env: Env, call: Call) -> (Option<(Node, [Value; COUNT])>, u64) {
    // SAFETY: as promised by the caller.
    let Some((node, values)) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<COUNT>(call))) }) else {
        return (None, 0);
    };
    let number = values.first().and_then(|value| node.number(*value)).unwrap_or(0.0);
    (Some((node, values)), number as u64)
}

const UNDEFINED: Value = std::ptr::null_mut();
