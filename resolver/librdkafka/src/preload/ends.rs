//! The ends of a process that nothing else tells of: each of these functions of the C library lets what is in hand leave
//! first. What is done then is the engine's part: its `ends`.

mod exec;
mod exit;
mod signals;

use super::{next, real};

pub use exec::{execl, execle, execlp, execv, execve, execveat, execvp, execvpe, fexecve};
pub use exit::{_exit, _exit_of_c};
pub use signals::{kill, killpg, raise, sigqueue, tgkill};
