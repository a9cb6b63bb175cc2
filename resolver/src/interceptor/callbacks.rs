//! The functions that librdkafka calls. Each one contains panics, makes two safe values out of raw pointers, and makes
//! one safe call.

use std::ffi::{CStr, c_char, c_int, c_void};

use super::binding::{Binding, Integration};
use super::client::Client;
use super::client_handles::ClientHandle;
use super::commit_spans;
use super::commits::committed;
use super::contain_panic::{contain_panic, contain_panic_of_message};
use super::kafka_api::{KafkaApi, RdKafka, RdKafkaConf, RdKafkaError, RdKafkaMessage, RdKafkaTopicPartitionList};
use super::message::Message;
use super::polls;
use super::refused_sends;
use super::sent_spans;
use super::single_use;
use crate::Resolver;
use crate::ends;
use crate::services::Side;
use crate::stack_room::{Lent, with_room};

/// The interceptors' name in librdkafka's logs.
const NAME: &CStr = c"tracer-resolver";
const NO_ERROR: RdKafkaError = 0;

/// Registers the interceptors with a client configuration that is being made.
///
/// To be called by an integration's `conf_init`, and again for every copy of the configuration: librdkafka copies the property
/// `plugin.library.paths`, not the interceptors. Calling it twice for one configuration registers once. `service` binds
/// the clients of this configuration to a service by its index. Runs on the application's thread. Never fails the
/// configuration: what cannot be registered is told, and the client goes untraced.
///
/// # Safety
///
/// `conf` is the configuration that librdkafka gave to `conf_init`, and `api` the functions of that same librdkafka.
pub unsafe fn conf_init(
    api: &'static KafkaApi,
    conf: *mut RdKafkaConf,
    resolver: &Resolver,
    service: Option<usize>,
    integration: Integration,
) {
    // SAFETY: librdkafka lends it until `conf_init` returns, and asks for no thread of its own.
    let lent = unsafe { Lent::new(conf) };
    let register = || {
        let conf = lent.get();
        let Some(resolver) = resolver.shared() else { return };
        let binding = Binding { api, resolver, service, integration };
        let Some(handle) = ClientHandle::take(binding) else {
            crate::diagnostics::error("65536 traced clients live already; this one is not traced");
            return;
        };
        // SAFETY: `conf` is valid and being configured; the opaque is a number, which needs no lifetime.
        let added = unsafe { (api.conf_interceptor_add_on_new)(conf, NAME.as_ptr(), on_new, handle.to_opaque()) };
        if added != NO_ERROR {
            // __CONFLICT: this configuration has us already.
            handle.release();
            return;
        }
        // SAFETY: as above. Called once per configuration, since the call above refuses a second time.
        unsafe { (api.conf_interceptor_add_on_conf_destroy)(conf, NAME.as_ptr(), on_conf_destroy, handle.to_opaque()) };
    };
    contain_panic(|| {
        with_room(register);
    });
}

/// A client is being created: the only moment at which its interceptors can be added.
///
/// Runs on: the thread that called `rd_kafka_new()`, before the client's threads exist.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `conf_init` registered.
unsafe extern "C" fn on_new(
    rk: *mut RdKafka,
    conf: *const RdKafkaConf,
    opaque: *mut c_void,
    _errstr: *mut c_char,
    _errstr_size: usize,
) -> RdKafkaError {
    contain_panic(|| {
        let handle = ClientHandle::from_opaque(opaque);
        let Some(binding) = handle.binding() else { return };
        let (api, polls_seen) = (binding.api, polls::are_seen());
        // SAFETY: librdkafka lends both until `on_new` returns, and asks for no thread of its own.
        let lent = unsafe { Lent::new((rk, conf)) };
        let made = with_room(|| {
            let (rk, conf) = lent.get();
            binding.resolver.ensure_running();
            // SAFETY: `rk` and `conf` are what librdkafka gave to `on_new`, which waits.
            let client = unsafe { Client::new(*api, rk, conf, &binding, polls_seen) };
            let (side, commits, who) = (client.side, client.commits.is_some(), client.who());
            let settles = client.settled.is_some();
            let address = client.address;
            let is_first = handle.open(client);
            if side == Side::Produce {
                refused_sends::opened(address, handle);
            }
            if settles {
                commit_spans::opened(handle);
            }
            (side, commits, who, is_first)
        });
        let Some((side, commits, who, is_first)) = made else { return };
        if is_first {
            binding.resolver.client_opened(handle.number(), who);
            if binding.integration == Integration::Plugin {
                ends::opened(polls_seen);
            }
        }
        // SAFETY: in `on_new` these are the functions that may be called on `rk`; the opaque is a number.
        unsafe {
            (api.interceptor_add_on_destroy)(rk, NAME.as_ptr(), on_destroy, opaque);
            match side {
                Side::Produce => {
                    (api.interceptor_add_on_send)(rk, NAME.as_ptr(), on_send, opaque);
                    (api.interceptor_add_on_acknowledgement)(rk, NAME.as_ptr(), on_acknowledgement, opaque);
                    if let Some(add_on_response) = api.interceptor_add_on_response_received {
                        add_on_response(rk, NAME.as_ptr(), on_response_received, opaque);
                    }
                }
                Side::Consume => {
                    (api.interceptor_add_on_consume)(rk, NAME.as_ptr(), on_consume, opaque);
                    if let Some(add_on_commit) = api.interceptor_add_on_commit.filter(|_| commits) {
                        add_on_commit(rk, NAME.as_ptr(), on_commit, opaque);
                    }
                    // Without it a commit's span is a point, and no commit says how long a message was processed.
                    if let Some(add_on_response) = api.interceptor_add_on_response_received.filter(|_| commits) {
                        add_on_response(rk, NAME.as_ptr(), on_response_received, opaque);
                    }
                }
            }
        }
    });
    NO_ERROR
}

/// A message is about to be produced.
///
/// Runs on: the thread that called `rd_kafka_produce*()`. Must not block. Borrows `message` until we return.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_send(_rk: *mut RdKafka, message: *mut RdKafkaMessage, opaque: *mut c_void) -> RdKafkaError {
    contain_panic_of_message(|| {
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this callback only.
        let Some(client) = (unsafe { handle.client() }) else { return };
        // SAFETY: librdkafka keeps `message` alive, and to us alone, until this callback returns.
        let Some(message) = (unsafe { Message::sent(&client.api, handle.number(), message) }) else { return };
        client.start_send(handle.number(), &message);
    });
    NO_ERROR
}

/// A message was delivered, or will not be.
///
/// Runs on: a broker thread, `rdk:main`, or the producing thread itself, inside `rd_kafka_produce*()`, when no partition
/// was found. Arrives also after `on_destroy`. Must not block. Borrows `message` until we return.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_acknowledgement(
    _rk: *mut RdKafka,
    message: *mut RdKafkaMessage,
    opaque: *mut c_void,
) -> RdKafkaError {
    contain_panic_of_message(|| {
        sent_spans::fetch(message.addr());
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this callback only.
        let Some(client) = (unsafe { handle.client() }) else { return };
        // SAFETY: librdkafka keeps `message` alive until this callback returns.
        let Some(message) = (unsafe { Message::acknowledged(&client.api, message) }) else { return };
        client.finish_send(handle.number(), &message);
    });
    NO_ERROR
}

/// A message is about to be handed to the application.
///
/// Runs on: the thread that polls. Must not block. Borrows `message` until we return.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_consume(_rk: *mut RdKafka, message: *mut RdKafkaMessage, opaque: *mut c_void) -> RdKafkaError {
    contain_panic_of_message(|| {
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this callback only.
        let Some(client) = (unsafe { handle.client() }) else { return };
        // SAFETY: librdkafka keeps `message` alive until this callback returns.
        let Some(message) = (unsafe { Message::from_raw(&client.api, message) }) else { return };
        client.deliver(handle.number(), &message);
    });
    NO_ERROR
}

/// A broker has answered a request: of interest is when a commit of offsets was asked for, and which messages were
/// produced by one request.
///
/// Runs on: the broker's thread, for each response, and `rdk:main`, for most of them again. Must not block.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_response_received(
    _rk: *mut RdKafka,
    _sockfd: c_int,
    _brokername: *const c_char,
    _brokerid: i32,
    api_key: i16,
    _api_version: i16,
    _corr_id: i32,
    _size: usize,
    rtt: i64,
    _err: RdKafkaError,
    opaque: *mut c_void,
) -> RdKafkaError {
    contain_panic(|| {
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this callback only.
        let Some(client) = (unsafe { handle.client() }) else { return };
        client.saw_response(api_key, rtt);
    });
    NO_ERROR
}

/// Offsets were committed, or could not be.
///
/// Runs on: `rdk:main`. Must not block. Borrows `offsets` until we return.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_commit(
    _rk: *mut RdKafka,
    offsets: *const RdKafkaTopicPartitionList,
    err: RdKafkaError,
    opaque: *mut c_void,
) -> RdKafkaError {
    contain_panic(|| {
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this callback only.
        let Some(client) = (unsafe { handle.client() }) else { return };
        // SAFETY: librdkafka keeps `offsets` until this callback returns.
        client.saw_commit(err, unsafe { committed(offsets) });
    });
    NO_ERROR
}

/// A client is being destroyed, or could not be created. Not the last callback: acknowledgements with `_DESTROY` follow.
///
/// Runs on: `rdk:main`, or the thread in a failing `rd_kafka_new()`.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `on_new` registered.
unsafe extern "C" fn on_destroy(_rk: *mut RdKafka, opaque: *mut c_void) -> RdKafkaError {
    contain_panic(|| {
        let handle = ClientHandle::from_opaque(opaque);
        // SAFETY: the client is used inside this expression only.
        let unused = unsafe { handle.client() }.filter(|client| client.is_unused() && client.is_of_this_process());
        let Some(binding) = handle.binding() else { return };
        if binding.integration == Integration::Plugin {
            ends::closing();
        }
        if unused.is_none() {
            return;
        }
        // A client that met no message has none to be acknowledged. If it could not be created, nobody may ever tell
        // us that its configuration is gone.
        match binding.integration {
            Integration::Rust => {
                handle.release();
                binding.resolver.client_closed(handle.number(), false);
            }
            Integration::Plugin if single_use::is_under_way() => {
                handle.release();
                ends::closed();
                binding.resolver.client_closed(handle.number(), ends::is_end_unseen());
            }
            Integration::Plugin => {}
        }
    });
    NO_ERROR
}

/// The configuration, and with it the client, is gone: the last callback.
///
/// Runs on: the application's thread. May come twice on librdkafka before 2.13, after a failed `rd_kafka_new()`.
///
/// # Safety
///
/// Called by librdkafka only, with the opaque that `conf_init` registered.
unsafe extern "C" fn on_conf_destroy(opaque: *mut c_void) -> RdKafkaError {
    contain_panic(|| {
        let handle = ClientHandle::from_opaque(opaque);
        let binding = handle.binding();
        // SAFETY: the client is used inside this expression only.
        let is_ours = unsafe { handle.client() }.is_some_and(Client::is_of_this_process);
        handle.release();
        if let Some(binding) = binding.filter(|_| is_ours) {
            let counted = binding.integration == Integration::Plugin;
            if counted {
                ends::closed();
            }
            binding.resolver.client_closed(handle.number(), counted && ends::is_end_unseen());
        }
    });
    NO_ERROR
}
