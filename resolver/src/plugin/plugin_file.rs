//! `PluginFile`: a plugin's file, opened once, so that what is checked is what is loaded.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

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
    pub(super) memory: OwnedFd,
    pub(super) sha256: [u8; 32],
    /// Of the memory file, as the kernel's map of the process will show it.
    pub(super) inode: u64,
}

impl SealedCopy {
    /// What to give to the system's loader; good for as long as `memory` is open.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.memory.as_raw_fd()))
    }
}

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
    /// Where the system forbids memory files (`vm.memfd_noexec`, SELinux, seccomp), where there is no `/proc` to load them
    /// by, or when reading fails.
    pub(super) fn sealed_copy(&self) -> io::Result<SealedCopy> {
        let mut memory = File::from(memory_file()?);
        let sha256 = self.copy_to(&mut memory)?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // SAFETY: `memory` is open, and F_ADD_SEALS takes an int.
        if unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut copy = SealedCopy { memory: with_fresh_number(&memory)?, sha256, inode: 0 };
        copy.inode = fs::metadata(copy.path())?.ino();
        Ok(copy)
    }

    /// The whole file, and its hash.
    fn copy_to(&self, target: &mut impl Write) -> io::Result<[u8; 32]> {
        let mut hash = Sha256::new();
        self.read_into(&mut Both(&mut hash, target))?;
        Ok(hash.finalize().into())
    }

    /// From the beginning, whatever was read before.
    fn read_into(&self, target: &mut impl Write) -> io::Result<()> {
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
            target.write_all(buffer.get(..read).unwrap_or_default())?;
            offset += read as u64;
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

/// Duplicates to a descriptor number that was never given out here before.
///
/// The system's loader tells libraries apart by name first, and the name will be `/proc/self/fd/NUMBER`: with a number
/// used twice, the second library would silently be the first. Ours are never closed, but an application that closes
/// all descriptors (daemons do) would free the number.
fn with_fresh_number(file: &impl AsRawFd) -> io::Result<OwnedFd> {
    static NEXT: AtomicI32 = AtomicI32::new(64);
    let least = NEXT.load(Ordering::Relaxed);
    // SAFETY: the descriptor is open, and F_DUPFD_CLOEXEC takes an int.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // Relaxed: callers hold the registry's lock.
    NEXT.store(fd + 1, Ordering::Relaxed);
    // SAFETY: just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `linux/memfd.h`, since 6.3.
const MFD_EXEC: libc::c_uint = 0x10;
