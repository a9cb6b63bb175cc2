//! The library as an add-on of Node: what `tracer_interceptors_api` is to C, for the layer in `npm/`, which alone loads it.
//!
//! A processing is a value that JavaScript keeps. Once it has ended, what is sent may still follow from it, for as long as
//! something there refers to it.

mod values;

use tracer_resolver::MessagePlace;
use tracer_resolver::interceptor::declared::{self, Following};

use self::values::{Call, Callback, Env, Node, Value};
use crate::contained::contained;

/// What JavaScript keeps of a message that it processes.
struct Processed {
    number: u64,
    following: Following,
}

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
        let functions: [(_, Callback); 7] = [
            (c"declare", declare),
            (c"begin", begin),
            (c"fail", fail),
            (c"end", end),
            (c"context", context),
            (c"nextSend", next_send),
            (c"nextSendOf", next_send_of),
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
        let number = declared::begin(place, traceparent, tracestate, 0);
        Following::of(number).map_or(UNDEFINED, |following| node.keep(Processed { number, following }))
    })
}

/// `fail(processing, type, description)`
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn fail(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call; nothing else that it is given is kept in JavaScript.
        let (node, [_, error_type, description], processed) = match unsafe { given(env, call) } {
            (Some(node), values, Some(processed)) => (node, values, processed),
            _ => return,
        };
        let (mut type_room, mut description_room) = ([0; 1024], [0; 4096]);
        let error_type = String::from_utf8_lossy(node.text(error_type, &mut type_room).unwrap_or_default());
        let description = String::from_utf8_lossy(node.text(description, &mut description_room).unwrap_or_default());
        declared::fail(processed.number, &error_type, &description);
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
        // SAFETY: as in `fail`.
        if let (_, [_], Some(processed)) = unsafe { given(env, call) } {
            declared::end(processed.number);
        }
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
        // SAFETY: as in `fail`.
        let (Some(node), [_], Some(processed)) = (unsafe { given(env, call) }) else { return UNDEFINED };
        let text = processed.following.traceparent();
        std::str::from_utf8(&text).map_or(UNDEFINED, |text| node.new_text(text))
    })
}

/// `nextSend(processing)`: what this thread sends next follows from it. Undefined: nothing is said.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn next_send(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: as in `fail`.
        match unsafe { given::<1>(env, call) } {
            (_, _, Some(processed)) => processed.following.next_send(),
            _ => declared::next_send(0, 0),
        }
    });
    UNDEFINED
}

/// `nextSendOf(traceparent, tracestate, baggage)`: what this thread sends next follows from that context.
///
/// # Safety
///
/// See [`declare`].
unsafe extern "C" fn next_send_of(env: Env, call: Call) -> Value {
    contained((), || {
        // SAFETY: Node gave both to this call.
        let Some((node, values)) = (unsafe { Node::of(env).map(|node| (node, node.arguments::<3>(call))) }) else {
            return;
        };
        let [traceparent, tracestate, baggage] = values;
        let (mut parent_room, mut state_room, mut baggage_room) = ([0; 128], [0; 1024], [0; 8200]);
        let traceparent = node.text(traceparent, &mut parent_room).unwrap_or_default();
        let tracestate = node.text(tracestate, &mut state_room).unwrap_or_default();
        let baggage = node.text(baggage, &mut baggage_room).unwrap_or_default();
        declared::next_send_of(traceparent, tracestate, baggage);
    });
    UNDEFINED
}

/// This call's arguments, of which the first is a processing, if it is one.
///
/// # Safety
///
/// Node gave both to this call.
unsafe fn given<'a, const COUNT: usize>(env: Env, call: Call) -> (Option<Node>, [Value; COUNT], Option<&'a Processed>) {
    // SAFETY: as promised by the caller. The layer gives these functions nothing of that kind but what `begin` made.
    unsafe {
        let Some(node) = Node::of(env) else { return (None, [UNDEFINED; COUNT], None) };
        let values = node.arguments::<COUNT>(call);
        let processed = values.first().and_then(|value| node.kept(*value));
        (Some(node), values, processed)
    }
}

const UNDEFINED: Value = std::ptr::null_mut();
