//! The preload door: librdkafka's functions under their own names, for programs that `LD_PRELOAD` this library.
//!
//! Each one finds the real function of the librdkafka that its caller means, does its part, and calls it. They are also
//! reached from inside librdkafka, and from libraries in between, such as librdkafka++: then the caller is that library,
//! and the real function its own or that of what it is linked with. What is called by a pointer from `dlsym` (.NET, ctypes),
//! or in a program that librdkafka is linked into, does not come by here.
//!
//! And the functions of the C library by which a process ends, where nothing else tells of it. They are few; README.md has
//! the reason of each.
//!
//! Nothing is done at load but to look for one variable (`unmet_program`), and nothing before the first `rd_kafka_new`:
//! `LD_PRELOAD` reaches every child of a shell.
//!
//! They are `extern "C-unwind"`: callbacks of the application run in them, whose C++ exceptions, and the cancellation of
//! whose threads, pass through.

mod already_traced;
mod create;
mod failed_configurations;
mod last_words;
mod polls;
mod real;
mod replaced;
mod signals;

pub use already_traced::GENERATION;
pub use create::{rd_kafka_conf_destroy, rd_kafka_new};
pub use last_words::{_exit, _exit_of_c};
pub use polls::{
    RdKafkaQueue, rd_kafka_consume, rd_kafka_consume_batch, rd_kafka_consume_batch_queue, rd_kafka_consume_queue,
    rd_kafka_consumer_close, rd_kafka_consumer_poll, rd_kafka_destroy, rd_kafka_destroy_flags,
};
pub use replaced::{execv, execve, execvp, execvpe, fexecve};
pub use signals::{kill, killpg, pthread_kill, raise};
