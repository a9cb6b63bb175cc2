//! `PluginFile`: a plugin's file, opened once, so that what is checked is what is loaded.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use sha2::{Digest, Sha256};

use super::load_error::LoadFailure;

/// An open file that is regular and readable.
#[derive(Debug)]
pub(super) struct PluginFile {
    /// Absolute, without symbolic links.
    pub(super) path: PathBuf,
    /// Whatever the path says, this is the file.
    pub(super) identity: Identity,
    /// Tells whether its content changed.
    pub(super) stamp: Stamp,
    file: File,
}

/// One file, under however many names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// Changes with the content: size, and times of modification and of inode change in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64, (i64, i64), (i64, i64));

impl Stamp {
    /// Whether what was written is most likely the same: packages give a file the time at which they were made.
    pub(super) fn is_of_the_same_write(self, other: Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

/// A copy in memory that nobody can change any more, and the hash of exactly these bytes.
#[derive(Debug)]
pub(super) struct SealedCopy {
    /// The program may have closed it.
    pub(super) memory: ManuallyDrop<OwnedFd>,
    pub(super) sha256: [u8; 32],
    /// Of the memory file, as the kernel's map of the process will show it.
    pub(super) inode: u64,
    is_a_name: AtomicBool,
}

impl SealedCopy {
    /// What to give to the system's loader; good for as long as `memory` is open.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
    }

    /// The system's loader knows a library by its path now.
    pub(super) fn is_a_name(&self) {
        self.is_a_name.store(true, Ordering::Relaxed);
    }
}

impl Drop for SealedCopy {
    /// A number that is no name may be given out again: who tries every minute would come to the end of the numbers.
    fn drop(&mut self) {
        if !*self.is_a_name.get_mut() {
            let number = self.memory.as_raw_fd();
            // Fails where another was given out since: then this one is left out.
            let _ = NEXT_NUMBER.compare_exchange(number + 1, number, Ordering::Relaxed, Ordering::Relaxed);
        }
        if fs::metadata(self.path()).is_ok_and(|there| there.ino() == self.inode) {
            // SAFETY: once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

/// No library's name has this number, nor a greater one.
static NEXT_NUMBER: AtomicI32 = AtomicI32::new(64);

impl PluginFile {
    /// Opens a candidate. `Ok(None)` if there is none; an error if there is one that must not or cannot be loaded.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, LoadFailure> {
        let absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let unreadable = |error| LoadFailure::Unreadable(path.to_owned(), error);
        let canonical = match fs::canonicalize(path) {
            Ok(canonical) => canonical,
            // A symbolic link that leads nowhere is there, and is broken.
            Err(error) if absent(&error) && fs::symlink_metadata(path).is_err() => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        // Not blocking: the other end of a pipe might never come. `File` adds close-on-exec. No link: there is none in
        // what was resolved, and one put there since leads elsewhere.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&canonical).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let kind = metadata.file_type();
        if kind.is_file() && metadata.size() > MOST_BYTES {
            return Err(unreadable(too_large()));
        }
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "a device"
            };
            return Err(LoadFailure::NotAFile(path.to_owned(), what));
        }
        Ok(Some(Self {
            path: canonical,
            identity: Identity { device: metadata.dev(), inode: metadata.ino() },
            stamp: Stamp(
                metadata.size(),
                (metadata.mtime(), metadata.mtime_nsec()),
                (metadata.ctime(), metadata.ctime_nsec()),
            ),
            file,
        }))
    }

    /// SHA-256 over all of the open file.
    pub(super) fn sha256(&self) -> io::Result<[u8; 32]> {
        self.copy_to(&mut io::sink())
    }

    /// Tells its bytes from others that somebody may have put there in good faith: who must not be believed needs a pin.
    /// Reads the whole file, at about a gigabyte a second.
    pub(super) fn content(&self) -> io::Result<u64> {
        let mut bytes = Bytes(DefaultHasher::new());
        self.read_into(&mut bytes)?;
        Ok(bytes.0.finish())
    }

    /// Copies the open file into memory, hashing what is written there, and seals it.
    ///
    /// # Errors
    ///
    /// Where the system forbids memory files, or to execute them (`vm.memfd_noexec`, SELinux, seccomp), where there is no `/proc`
    /// to load them by, or when reading fails.
    pub(super) fn sealed_copy(&self) -> io::Result<SealedCopy> {
        let mut memory = File::from(memory_file()?);
        let sha256 = self.copy_to(&mut memory)?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // SAFETY: `memory` is open, and F_ADD_SEALS takes an int.
        if unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        may_be_executed(&memory)?;
        let inode = memory.metadata()?.ino();
        let memory = ManuallyDrop::new(with_fresh_number(&memory)?);
        let copy = SealedCopy { memory, sha256, inode, is_a_name: AtomicBool::new(false) };
        // To be loaded by its path.
        fs::metadata(copy.path()).map(|_| copy)
    }

    /// The whole file, and its hash.
    fn copy_to(&self, target: &mut impl Write) -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        self.read_into(&mut Both(&mut hash, target))?;
        Ok(hash.finalize().into())
    }

    /// From the beginning, whatever was read before.
    fn read_into(&self, target: &mut impl Write) -> io::Result<()> {
        self.read_at_most(MOST_BYTES, target)
    }

    /// It may grow meanwhile.
    fn read_at_most(&self, bytes: u64, target: &mut impl Write) -> io::Result<()> {
        use std::os::unix::fs::FileExt;

        let mut buffer = vec![0; 1 << 16];
        let mut offset = 0;
        loop {
            let read = match self.file.read_at(&mut buffer, offset) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            offset += read as u64;
            if offset > bytes {
                return Err(too_large());
            }
            target.write_all(buffer.get(..read).unwrap_or_default())?;
        }
    }
}

/// Hashed with what the standard library hashes with: compiled for speed in every build.
struct Bytes(DefaultHasher);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Both<'a, T>(&'a mut Sha256, &'a mut T);

impl<T: Write> Write for Both<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        self.1.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

fn memory_file() -> io::Result<OwnedFd> {
    // What /proc/PID/maps shows.
    let name = CString::new("tracer-plugin").unwrap_or_default();
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Kernels since 6.3 want to be told that it will be executed; older ones do not know the flag.
    for flags in [flags | MFD_EXEC, flags] {
        // By its number: glibc has a function for it since 2.27 only, and where that is missing this library, preloaded,
        // would keep every program from starting.
        // SAFETY: `name` is NUL-terminated and outlives the call; the kernel takes it and an unsigned int.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) };
        let fd = libc::c_int::try_from(fd).unwrap_or(-1);
        if fd >= 0 {
            // SAFETY: just opened, and nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

fn too_large() -> io::Error {
    io::Error::other("it has more than 1 GiB: no plugin is as large")
}

/// Whether the system's loader could map it: SELinux may let a process write a memory file, and not run it. Said before the loader
/// says it, whose words do not tell it from other troubles.
fn may_be_executed(file: &impl AsRawFd) -> io::Result<()> {
    let (protection, length) = (libc::PROT_READ | libc::PROT_EXEC, 1);
    // SAFETY: a new mapping, where the kernel likes it, of a file that is open.
    let page = unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: mapped above, and nobody has looked at it.
    unsafe { libc::munmap(page, length) };
    Ok(())
}

/// Duplicates to a descriptor number that is above all that were given out here.
///
/// The system's loader tells libraries apart by name first, and the name will be `/proc/self/fd/NUMBER`: with a number
/// used twice, the second library would silently be the first. Ours are never closed, but an application that closes
/// all descriptors (daemons do) would free the number.
fn with_fresh_number(file: &impl AsRawFd) -> io::Result<OwnedFd> {
    loop {
        let least = NEXT_NUMBER.load(Ordering::Relaxed);
        if let Some(fresh) = with_number(file, least, &NEXT_NUMBER)? {
            return Ok(fresh);
        }
    }
}

/// With `least`, which was the next number a moment ago, or one above it. `None` where another thread may have had that since, and
/// closed it: plugins of several names are loaded side by side.
fn with_number(file: &impl AsRawFd, least: i32, next: &AtomicI32) -> io::Result<Option<OwnedFd>> {
    // SAFETY: the descriptor is open, and F_DUPFD_CLOEXEC takes an int.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else knows it.
    let fresh = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((next.fetch_max(fd + 1, Ordering::Relaxed) <= fd).then_some(fresh))
}

/// `linux/memfd.h`, since 6.3.
const MFD_EXEC: libc::c_uint = 0x10;

/// All of it is read, and of a pinned plugin there is a copy in memory.
const MOST_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_plugin_can_be_is_refused_unread() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // A hole: takes no room.
        file.as_file().set_len(MOST_BYTES + 1).unwrap();
        let Err(LoadFailure::Unreadable(path, error)) = PluginFile::open(file.path()) else { panic!("it was opened") };
        assert_eq!((&*path, &*error.to_string()), (file.path(), "it has more than 1 GiB: no plugin is as large"));
    }

    #[test]
    fn a_file_that_grows_is_read_no_further_than_a_plugin_can_be_long() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let opened = PluginFile::open(file.path()).unwrap().unwrap();
        fs::write(file.path(), [b'x'; 100]).unwrap();
        let mut read = Vec::new();
        assert!(opened.read_at_most(99, &mut read).is_err() && read.is_empty());
        opened.read_at_most(100, &mut read).unwrap();
        assert_eq!(read.len(), 100);
    }

    #[test]
    fn a_file_of_the_program_s_that_has_a_copy_s_number_is_not_closed_with_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let copy = PluginFile::open(file.path()).unwrap().unwrap().sealed_copy().unwrap();
        let number = copy.memory.as_raw_fd();
        // SAFETY: the copy's number, which is asked for its file before it is closed.
        assert_eq!(unsafe { libc::dup2(file.as_file().as_raw_fd(), number) }, number);
        drop(copy);
        // SAFETY: given to the file above, and still that.
        let taken = unsafe { OwnedFd::from_raw_fd(number) };
        assert_eq!(File::from(taken).metadata().unwrap().ino(), file.as_file().metadata().unwrap().ino());
    }

    #[test]
    fn what_may_not_be_mapped_to_run_is_said_before_it_is_loaded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Refused by the kernel for another reason; a policy's refusal looks the same.
        let unreadable = File::options().write(true).open(file.path()).unwrap();
        assert_eq!(may_be_executed(&unreadable).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert!(may_be_executed(&File::open(std::env::current_exe().unwrap()).unwrap()).is_ok());
    }

    #[test]
    fn of_two_threads_at_once_the_second_does_not_get_what_the_first_has_had() {
        let (file, next) = (tempfile::tempfile().unwrap(), AtomicI32::new(700));
        let first = with_number(&file, 700, &next).unwrap().unwrap().as_raw_fd();
        assert_eq!(next.load(Ordering::Relaxed), first + 1);
        // It was closed above, and the second thread has not heard of it.
        assert!(with_number(&file, first, &next).unwrap().is_none());
    }
}
