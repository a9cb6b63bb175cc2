//! Whether this process runs many tasks on one thread: then what a thread was handed last says nothing about what it sends.
//!
//! Three things show it. An epoll or io_uring instance: an event loop waits on one, whatever language it is written in
//! (asyncio, uvloop, libuv, libevent, Tokio, …). The extension module of Python's greenlets, which change places on a thread
//! without the system's knowledge (gevent, eventlet). The runtime of .NET, whose tasks go on on any thread of a pool.
//!
//! Looked at where a message is handed over, at most once a second, and not again once something was found. That an epoll
//! instance is made says nothing by itself: Python makes one when it is started, to see whether it can. No file is opened for a
//! look: a number that a program counts on getting could be taken.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use crate::batch::Pipeline;
use crate::cancellation::uncancelled;
use crate::clock;
use crate::loaded_modules::find_loaded_module;
use crate::per_process::PerProcess;

/// What is known of this process; a child of a fork looks for itself.
#[derive(Default)]
struct Known {
    at_work: AtomicBool,
    told: AtomicBool,
    /// When it was looked at last, in nanoseconds of the Unix epoch; 0: it is to be looked at now.
    looked: AtomicU64,
}

static KNOWN: PerProcess<Known> = PerProcess::new();
/// A child of a fork has its parent's descriptors.
static MADE: Made = Made::new();

/// Nanoseconds from one look to the next.
const PAUSE: u64 = 1_000_000_000;
/// Descriptors that are looked at: an event loop is made early in the life of a process, and gets a low number.
const DESCRIPTORS: c_int = 256;
/// Higher ones that are looked at too.
const HIGH_ONES: usize = 64;
/// What the names of modules contain whose tasks share threads.
const MODULES: [&[u8]; 2] = [b"_greenlet.", b"libcoreclr."];

/// The process has made an epoll instance, `descriptor`: told by an integration that sees it. Takes no memory: most processes that
/// make one are no clients.
pub fn event_loop_made(descriptor: c_int) {
    MADE.note(descriptor);
    if let Some(known) = KNOWN.get() {
        // Release: pairs with the acquire below.
        known.looked.store(0, Ordering::Release);
    }
}

/// Whether many tasks share a thread here, as far as is known.
pub(super) fn at_work() -> bool {
    let known = known();
    // Acquire: pairs with the release above.
    if known.looked.load(Ordering::Acquire) == 0 {
        look(clock::unix_nanos())
    } else {
        known.at_work.load(Ordering::Relaxed)
    }
}

/// The same, looked at anew if that was long before `now`, in nanoseconds of the Unix epoch: who asks has read that clock already,
/// and that it may be set only makes the look come earlier. Some tens of microseconds then; takes no memory and opens nothing.
pub(super) fn look(now: u64) -> bool {
    let known = known();
    let now = now.max(1);
    let looked = known.looked.load(Ordering::Relaxed);
    let is_due = looked == 0 || now.abs_diff(looked) > PAUSE;
    if !known.at_work.load(Ordering::Relaxed) && is_due {
        known.looked.store(now, Ordering::Relaxed);
        if uncancelled(|| !can_look() || MADE.has_loop(is_loop) || has_module()) {
            known.at_work.store(true, Ordering::Relaxed);
        }
    }
    let at_work = known.at_work.load(Ordering::Relaxed);
    if at_work && !known.told.swap(true, Ordering::Relaxed) {
        Pipeline::current().tell(
            log::Level::Info,
            "this process runs many tasks on one thread (an event loop, greenlets or .NET): what it sends is not taken to \
             follow from what it received. Pass the received headers on to connect traces"
                .to_owned(),
        );
    }
    at_work
}

fn known() -> &'static Known {
    KNOWN.get_or_init(Known::default)
}

/// Whether descriptors can be told apart here. Where `/proc` is not there (a `chroot`), nothing is known, and so nothing guessed.
fn can_look() -> bool {
    // SAFETY: a NUL-terminated path.
    unsafe { libc::access(c"/proc/self/fd".as_ptr(), libc::R_OK | libc::X_OK) == 0 }
}

/// Not where it is closed, a socket or a pipe. Asked first, and of the descriptor itself: a path takes ten times as long to follow, and
/// one in `/proc` that is not there was seen to take 50 microseconds.
fn may_be_loop(descriptor: c_int) -> bool {
    let (mut kind, mut size): (c_int, _) = (0, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: as many bytes may be written as `size` says, and that may be written too.
    let is_socket = unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, libc::SO_TYPE, (&raw mut kind).cast(), &raw mut size) == 0
    };
    if is_socket || io::Error::last_os_error().raw_os_error() == Some(libc::EBADF) {
        return false;
    }
    // SAFETY: asks, and changes nothing.
    unsafe { libc::fcntl(descriptor, libc::F_GETPIPE_SZ) < 0 }
}

/// Whether the descriptor is that of an event loop.
fn is_loop(descriptor: c_int) -> bool {
    if !may_be_loop(descriptor) {
        return false;
    }
    let path = path(descriptor);
    let mut target = [0_u8; 32];
    // SAFETY: `path` ends with a NUL, and as many bytes may be written as `target` has.
    let length = unsafe { libc::readlink(path.as_ptr().cast(), target.as_mut_ptr().cast(), target.len()) };
    let target = usize::try_from(length).ok().and_then(|length| target.get(..length)).unwrap_or_default();
    matches!(target, b"anon_inode:[eventpoll]" | b"anon_inode:[io_uring]")
}

/// Descriptors above the first [`DESCRIPTORS`] of epoll instances whose making was seen, until a look finds that they are none any
/// more: so a look asks for a bounded number of descriptors, however high a program's go. If more are made from one look to the
/// next, the latest are kept.
struct Made {
    /// 0 is none.
    places: [AtomicI32; HIGH_ONES],
    /// Where one is put next when all places are taken.
    next: AtomicUsize,
}

impl Made {
    const fn new() -> Self {
        Self { places: [const { AtomicI32::new(0) }; HIGH_ONES], next: AtomicUsize::new(0) }
    }

    /// Atomics only: in a process without clients one system call more may be the end.
    fn note(&self, descriptor: c_int) {
        let has_it = |place: &AtomicI32| place.load(Ordering::Relaxed) == descriptor;
        let takes_it =
            |place: &AtomicI32| place.compare_exchange(0, descriptor, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if descriptor < DESCRIPTORS || self.places.iter().any(has_it) || self.places.iter().any(takes_it) {
            return;
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % HIGH_ONES;
        if let Some(place) = self.places.get(next) {
            place.store(descriptor, Ordering::Relaxed);
        }
    }

    /// Whether there is an event loop by what `is_loop` says of one descriptor. Those of `places` that are none are forgotten.
    fn has_loop(&self, is_loop: impl Fn(c_int) -> bool) -> bool {
        let holds_loop = |place: &AtomicI32| {
            // Taken out first: another thread may close it meanwhile, make a loop of that number, and tell of it.
            let descriptor = place.swap(0, Ordering::Relaxed);
            let is_one = descriptor != 0 && is_loop(descriptor);
            if is_one {
                self.note(descriptor);
            }
            is_one
        };
        (0..DESCRIPTORS).any(&is_loop) || self.places.iter().any(holds_loop)
    }
}

/// `/proc/self/fd/<descriptor>`, with a NUL behind it.
fn path(descriptor: c_int) -> [u8; 24] {
    const FOLDER: &[u8] = b"/proc/self/fd/";
    let mut path = [0; 24];
    let (mut rest, mut digits, mut count) = (descriptor, [0_u8; 8], 0);
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        (rest, count) = (rest / 10, count + 1);
        if rest == 0 {
            break;
        }
    }
    let bytes = FOLDER.iter().chain(digits.iter().take(count).rev());
    path.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    path
}

/// Whether one of [`MODULES`] is loaded.
fn has_module() -> bool {
    find_loaded_module(|module| {
        let name = module.name().to_bytes();
        let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        MODULES.iter().any(|known| file.starts_with(known))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::*;

    #[test]
    fn the_path_of_a_descriptor_is_put_together_without_memory() {
        for (descriptor, expected) in [(0, c"/proc/self/fd/0"), (9, c"/proc/self/fd/9"), (250, c"/proc/self/fd/250")] {
            assert_eq!(CStr::from_bytes_until_nul(&path(descriptor)).unwrap(), expected);
        }
    }

    /// Which descriptors above the first ones a look asks for, where only `loops` are such.
    fn high_ones_asked(made: &Made, loops: &[c_int]) -> Vec<c_int> {
        let asked = std::cell::RefCell::new(Vec::new());
        let has_loop = made.has_loop(|descriptor| {
            asked.borrow_mut().push(descriptor);
            loops.contains(&descriptor)
        });
        let mut asked = asked.into_inner();
        let high = asked.split_off(DESCRIPTORS as usize);
        assert!(asked.into_iter().eq(0..DESCRIPTORS) && has_loop == high.iter().any(|one| loops.contains(one)));
        high
    }

    #[test]
    fn a_look_asks_for_few_descriptors_however_high_those_of_epoll_instances_were() {
        let made = Made::new();
        assert!(high_ones_asked(&made, &[]).is_empty());
        for descriptor in [-1, 3, 255, 19_000, 19_000, 500_000, c_int::MAX] {
            made.note(descriptor);
        }
        assert_eq!(high_ones_asked(&made, &[]), [19_000, 500_000, c_int::MAX]);
        assert!(high_ones_asked(&made, &[]).is_empty(), "they were none any more");
        for descriptor in 1000..3000 {
            made.note(descriptor);
        }
        let latest = (3000 - HIGH_ONES as c_int..3000).collect::<Vec<_>>();
        let mut asked = high_ones_asked(&made, &[]);
        asked.sort_unstable();
        assert_eq!(asked, latest);
    }

    #[test]
    fn a_high_one_that_is_an_event_loop_is_asked_for_until_it_is_none() {
        let made = Made::new();
        for round in 0..3 {
            (1000..1020).for_each(|short_lived| made.note(short_lived));
            made.note(900);
            let asked = high_ones_asked(&made, &[900]);
            assert_eq!(asked.iter().filter(|one| **one == 900).count(), 1, "round {round}: {asked:?}");
        }
        assert!(high_ones_asked(&made, &[]).contains(&900));
        assert!(high_ones_asked(&made, &[]).is_empty());
    }

    /// One test: descriptors and what is known are the process's.
    #[test]
    fn an_epoll_instance_is_an_event_loop() {
        let made = Made::new();
        assert!(!made.has_loop(is_loop));
        // SAFETY: makes descriptors, and closes them.
        unsafe {
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            let high = libc::fcntl(epoll, libc::F_DUPFD_CLOEXEC, 300);
            assert!(epoll >= 0 && high >= 300 && is_loop(epoll) && made.has_loop(is_loop));
            libc::close(epoll);
            assert!(!may_be_loop(epoll) && !made.has_loop(is_loop));
            made.note(high);
            assert!(made.has_loop(is_loop) && made.has_loop(is_loop), "it stays as long as it is one");
            libc::close(high);
            assert!(!made.has_loop(is_loop));
        }
        assert!(!has_module() && can_look());
    }

    /// A process of its own: what is found stays.
    #[test]
    fn it_is_looked_once_a_second_and_again_where_the_clock_was_set() {
        const CHILD: &str = "LOOKS_BY_A_CLOCK_THAT_IS_SET";
        if std::env::var_os(CHILD).is_some() {
            let now = 1_800_000_000 * PAUSE;
            assert!(!look(now));
            // SAFETY: makes a descriptor.
            assert!(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } >= 0);
            assert!(!look(now + PAUSE));
            assert!(look(now - 60 * PAUSE));
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let ended = child.env(CHILD, "1").arg("it_is_looked_once_a_second").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    #[test]
    fn a_closed_number_a_socket_and_a_pipe_are_known_without_their_path() {
        let (socket, file) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), tempfile::tempfile().unwrap());
        let (reads, writes) = io::pipe().unwrap();
        let of = |descriptor: &dyn AsRawFd| may_be_loop(descriptor.as_raw_fd());
        assert_eq!([of(&socket), of(&reads), of(&writes), of(&file)], [false, false, false, true]);
        assert!(!may_be_loop(-1));
        // SAFETY: makes a descriptor, which is closed as `file` is.
        let event = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
        assert!(of(&event));
    }

    /// A process of its own, for it does not come back. Only root may do that.
    #[test]
    fn where_there_is_no_proc_nothing_can_be_looked_at() {
        const CHILD: &str = "LOOKS_WITHOUT_PROC";
        if std::env::var_os(CHILD).is_some() {
            let empty = tempfile::tempdir().unwrap();
            let path = std::ffi::CString::new(empty.path().to_str().unwrap()).unwrap();
            // SAFETY: a path that ends with a NUL.
            if unsafe { libc::chroot(path.as_ptr()) } == 0 {
                assert!(!can_look() && look(clock::unix_nanos()));
            }
            std::process::exit(0);
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let ended = child.env(CHILD, "1").arg("where_there_is_no_proc").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
