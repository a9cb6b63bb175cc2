//! The preloaded library: librdkafka's functions under their own names, for programs that `LD_PRELOAD` this library.
//!
//! Each one finds the real function of the librdkafka that its caller means, does its part, and calls it. They are also
//! reached from inside librdkafka, and from libraries in between, such as librdkafka++: then the caller is that library,
//! and the real function its own or that of what it is linked with. What is called by a pointer from `dlsym` (.NET, ctypes),
//! or in a program that librdkafka is linked into, does not come by here.
//!
//! And some functions of the C library: those by which a process ends where nothing else tells of it, and those by which a
//! thread waits for several things at once. They are few; `docs/process.md` has the reason of each.
//!
//! At load one variable is looked for (`unmet_program`), and some functions of the C library are looked up (`next`); nothing
//! else is done before the first `rd_kafka_new`: `LD_PRELOAD` reaches every child of a shell.
//!
//! They are `extern "C-unwind"`: callbacks of the application run in them, whose C++ exceptions, and the cancellation of
//! whose threads, pass through.

mod already_traced;
mod call_sites;
mod create;
mod ends;
mod failed_configurations;
mod next;
mod polls;
mod produces;
mod real;
mod transactions;
mod waits;

pub use already_traced::GENERATION;
pub use create::{rd_kafka_conf_destroy, rd_kafka_new};
pub use ends::{
    _exit, _exit_of_c, execl, execle, execlp, execv, execve, execveat, execvp, execvpe, fexecve, kill, killpg, raise,
    sigqueue, tgkill,
};
pub use polls::{
    RdKafkaQueue, rd_kafka_consume, rd_kafka_consume_batch, rd_kafka_consume_batch_queue, rd_kafka_consume_queue,
    rd_kafka_consumer_close, rd_kafka_consumer_poll, rd_kafka_destroy, rd_kafka_destroy_flags, rd_kafka_flush,
    rd_kafka_poll,
};
pub use produces::{
    RdKafkaArgument, RdKafkaTopicConf, rd_kafka_produce, rd_kafka_produce_batch, rd_kafka_produceva, rd_kafka_topic_new,
};
pub use transactions::{RdKafkaErrorObject, RdKafkaGroupMetadata, rd_kafka_send_offsets_to_transaction};
pub use waits::{epoll_create, epoll_create1, poll, poll_chk, ppoll, ppoll_chk, pselect, select};
