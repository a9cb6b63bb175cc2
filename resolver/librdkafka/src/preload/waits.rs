//! What shows that a thread has many things in hand: the making of an epoll instance, and `poll` and `select` for several
//! descriptors at once. The engine then guesses no parent there; see its `interceptor::event_loops`.
//!
//! A wait for the answer on one connection is none of these: database and HTTP clients wait like that in the middle of a
//! message's processing. All else is left as it is: arguments, results, `errno`, cancellation, signals.

use std::ffi::{c_int, c_void};
use std::mem;

use tracer_resolver::interceptor::{event_loop_made, waiting_for_anything, waits_are_counted};

use super::next::call_next;
use super::real::{errno, not_there, set_errno};
use crate::unmet_program::is_met;

/// Defines the exported functions: each looks at its arguments, and calls the real one.
macro_rules! wrappers {
    ($(
        $(#[$doc:meta])*
        fn $name:ident / $symbol:literal ($($argument:ident: $type:ty),*) -> c_int = $look:expr;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// As the function of this name in the C library.
        #[cfg_attr(not(test), unsafe(export_name = $symbol))]
        pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
            ($look)($($argument,)* || call_next!($name($($argument: $type),*) -> c_int, else not_there()))
        }
    )*};
}

wrappers! {
    /// Makes an epoll instance: while it is there this process is an event loop's.
    fn epoll_create / "epoll_create" (size: c_int) -> c_int = |_, make| made(make);
    /// Makes an epoll instance: while it is there this process is an event loop's.
    fn epoll_create1 / "epoll_create1" (flags: c_int) -> c_int = |_, make| made(make);
    /// Waits for descriptors.
    fn poll / "poll" (fds: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int) -> c_int = |fds, count, _, wait| polled(fds, count, wait);
    /// `poll`, as programs call it that are built with `_FORTIFY_SOURCE`.
    fn poll_chk / "__poll_chk" (fds: *mut libc::pollfd, count: libc::nfds_t, timeout: c_int, room: usize) -> c_int
        = |fds, count, _, _, wait| polled(fds, count, wait);
    /// Waits for descriptors.
    fn ppoll / "ppoll" (
        fds: *mut libc::pollfd, count: libc::nfds_t, timeout: *const libc::timespec, signals: *const libc::sigset_t
    ) -> c_int = |fds, count, _, _, wait| polled(fds, count, wait);
    /// `ppoll`, as programs call it that are built with `_FORTIFY_SOURCE`.
    fn ppoll_chk / "__ppoll_chk" (
        fds: *mut libc::pollfd, count: libc::nfds_t, timeout: *const libc::timespec, signals: *const libc::sigset_t,
        room: usize
    ) -> c_int = |fds, count, _, _, _, wait| polled(fds, count, wait);
    /// Waits for descriptors.
    fn select / "select" (
        count: c_int, read: *mut libc::fd_set, write: *mut libc::fd_set, except: *mut libc::fd_set,
        timeout: *mut libc::timeval
    ) -> c_int = |count, read, write, except, _, wait| selected(count, [read, write, except], wait);
    /// Waits for descriptors.
    fn pselect / "pselect" (
        count: c_int, read: *mut libc::fd_set, write: *mut libc::fd_set, except: *mut libc::fd_set,
        timeout: *const libc::timespec, signals: *const libc::sigset_t
    ) -> c_int = |count, read, write, except, _, _, wait| selected(count, [read, write, except], wait);
}

fn made(make: impl FnOnce() -> c_int) -> c_int {
    let descriptor = make();
    event_loop_made(descriptor);
    descriptor
}

/// A thread waits for `count` descriptors. Looked at when the kernel has read them: an array that is none is its to refuse.
fn polled(fds: *const libc::pollfd, count: libc::nfds_t, wait: impl FnOnce() -> c_int) -> c_int {
    let result = wait();
    if is_looked_at() && count > 0 && (result >= 0 || errno() == libc::EINTR) {
        // SAFETY: the caller's array of that length, which the kernel has just read; who waits changes it only afterwards.
        let fds = unsafe { std::slice::from_raw_parts(fds, count as usize) };
        waits_for(fds.iter().map(|fd| fd.fd).filter(|fd| *fd >= 0));
    }
    result
}

/// A thread waits for the descriptors below `count` that are in one of `sets`. Looked at before: the kernel writes its answer
/// there. Only as far as a set is sure to reach: the kernel reads none beyond what the process has open, whatever `count` says.
fn selected(count: c_int, sets: [*const libc::fd_set; 3], wait: impl FnOnce() -> c_int) -> c_int {
    const BITS: usize = mem::size_of::<libc::c_ulong>() * 8;
    if is_looked_at() {
        let count = usize::try_from(count).unwrap_or(0).min(libc::FD_SETSIZE);
        let word_of = |set: &*const libc::fd_set, word: usize| {
            // SAFETY: the caller's set, which has room for all descriptors below `count`, in words of this size.
            if set.is_null() { 0 } else { unsafe { set.cast::<libc::c_ulong>().add(word).read() } }
        };
        let fds = (0..count.div_ceil(BITS)).flat_map(|word| {
            let bits = sets.iter().fold(0, |bits, set| bits | word_of(set, word));
            let is_in = move |bit: &usize| bits >> bit & 1 == 1;
            (0..if bits == 0 { 0 } else { BITS }).filter(is_in).map(move |bit| word * BITS + bit)
        });
        waits_for(fds.filter(|fd| *fd < count).map(|fd| fd as c_int));
    }
    wait()
}

/// Whether this thread's waits say anything: not in a process without clients, nor once the thread is known for an event loop.
#[inline]
fn is_looked_at() -> bool {
    is_met() && waits_are_counted()
}

/// Tells the engine of a wait for more than the answer on one connection. Leaves `errno` as it is.
fn waits_for(mut fds: impl Iterator<Item = c_int>) {
    let Some(first) = fds.next() else { return }; // A pause.
    let errno = errno();
    if fds.next().is_some() || !is_connection(first) {
        waiting_for_anything();
    }
    set_errno(errno);
}

/// Whether it is a stream that somebody may answer on; not one that takes connections, nor one of a pair, by which a loop is
/// woken.
fn is_connection(fd: c_int) -> bool {
    option(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
        && option(fd, libc::SO_ACCEPTCONN) == Some(0)
        && !has_nameless_peer(fd)
}

/// Whether it is connected to a socket of this machine that has no name, and so is no server's. What is about to be connected is
/// connected to none yet.
fn has_nameless_peer(fd: c_int) -> bool {
    let mut peer = mem::MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut size = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `peer` has the size that is said.
    let known = unsafe { libc::getpeername(fd, peer.as_mut_ptr().cast(), &raw mut size) } == 0;
    known && size as usize <= mem::size_of::<libc::sa_family_t>()
}

fn option(fd: c_int, name: c_int) -> Option<c_int> {
    let (mut value, mut size) = (0, mem::size_of::<c_int>() as libc::socklen_t);
    // SAFETY: `value` has the size that is said.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast::<c_void>(), &raw mut size) };
    (result == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_connection_is_told_from_all_else_and_errno_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (datagrams, null) = (UdpSocket::bind("127.0.0.1:0").unwrap(), std::fs::File::open("/dev/null").unwrap());
        assert!(is_connection(stream.as_raw_fd()));
        assert!(!is_connection(listener.as_raw_fd()) && !is_connection(datagrams.as_raw_fd()));
        assert!(!is_connection(null.as_raw_fd()) && !is_connection(-1));
        let (one, _other) = UnixStream::pair().unwrap();
        let path = std::env::temp_dir().join(format!("connection-{}", std::process::id()));
        let server = UnixListener::bind(&path).unwrap();
        let by_name = UnixStream::connect(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(is_connection(by_name.as_raw_fd()));
        assert!(!is_connection(one.as_raw_fd()) && !is_connection(server.as_raw_fd()));
        set_errno(libc::EINTR);
        waits_for([null.as_raw_fd()].into_iter());
        assert_eq!(errno(), libc::EINTR);
    }
}
