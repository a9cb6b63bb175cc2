//! How librdkafka is led into this program: a shared object of one function, made at run time.
//!
//! The only way into a client that the `rdkafka` crate creates is the property `plugin.library.paths`: librdkafka loads
//! the file named there and calls its `conf_init`. No link flag can make a library crate's own function findable in a
//! stripped executable, so the file is made here: two pages of ELF in a sealed memory file, whose `conf_init` loads a
//! number into the fifth argument's register and jumps to a function of this program. The number says which resolver
//! and service the clients of that configuration belong to.
//!
//! Layout follows the ELF gABI (program headers, dynamic section, hash table); the code, the System V ABI's AMD64 supplement
//! (integer arguments: rdi, rsi, rdx, rcx, r8) or ARM's AAPCS64 (x0 to x4; x16 is free between a call and its function).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// What the stub jumps to: librdkafka's `conf_init` with one more argument.
pub(crate) type BoundConfInit = unsafe extern "C" fn(
    conf: *mut c_void,
    plugin_opaque: *mut *mut c_void,
    errstr: *mut c_char,
    errstr_size: usize,
    binding: u64,
) -> c_int;

/// Writes a shared object whose `conf_init` calls `target` with `binding`, and gives the path to load it by.
///
/// The file is never closed: its path is opened again at every client creation. Two pages for each binding, once per process.
pub(crate) fn publish(target: BoundConfInit, binding: u64) -> io::Result<String> {
    let image = image(target as usize as u64, binding);
    let folders = [std::env::temp_dir(), "/var/tmp".into(), "/dev/shm".into()];
    let files = folders.iter().map(|folder| Place::Folder(folder));
    first_loadable(&image, std::iter::once(Place::Memory).chain(files))
}

/// Where the object can be put.
enum Place<'a> {
    Memory,
    Folder(&'a Path),
}

/// Puts the object where it can be loaded. Memory files may be forbidden or not executable (`vm.memfd_noexec`, SELinux),
/// and so may files in folders for temporary ones (`noexec`): whether it can be loaded only loading tells.
fn first_loadable<'a>(image: &[u8], places: impl Iterator<Item = Place<'a>>) -> io::Result<String> {
    let mut refused = String::new();
    for place in places {
        let file = match &place {
            Place::Memory => memory_file(image),
            Place::Folder(folder) => temporary_file(image, folder),
        };
        match file.and_then(|file| loaded(&file, image)) {
            Ok(path) => return Ok(path),
            Err(error) => match place {
                Place::Memory => refused.push_str(&format!("in memory: {error}")),
                Place::Folder(folder) => refused.push_str(&format!("; in {}: {error}", folder.display())),
            },
        }
    }
    Err(io::Error::other(format!(
        "there is no place from which this process may load the file that leads librdkafka here ({refused}); point TMPDIR \
         to a folder that is not mounted noexec"
    )))
}

fn memory_file(image: &[u8]) -> io::Result<File> {
    // The C library has a function for it since glibc 2.27 only: a program for older ones could not be linked.
    // SAFETY: the name is NUL-terminated, and read only.
    let create = |flags: libc::c_uint| unsafe { libc::syscall(libc::SYS_memfd_create, NAME.as_ptr(), flags) };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Kernels since 6.3 want to be told that it is to be executed; older ones do not know the word.
    let mut descriptor = create(flags | MFD_EXEC);
    if descriptor < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        descriptor = create(flags);
    }
    let descriptor = libc::c_int::try_from(descriptor).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was checked, and is owned by nobody else.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(image)?;
    // SAFETY: a descriptor that is open; sealing touches nothing else.
    let sealed = unsafe {
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals)
    };
    if sealed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

const NAME: &CStr = c"tracer-resolver";
/// `MFD_EXEC` of linux/memfd.h.
const MFD_EXEC: libc::c_uint = 0x10;

/// A file that only this user can open, and nobody by its name once this returns.
fn temporary_file(image: &[u8], folder: &Path) -> io::Result<File> {
    let mut template = folder.join("tracer-resolver-XXXXXX").into_os_string().into_encoded_bytes();
    template.push(0);
    // SAFETY: `template` is NUL-terminated and writable, and `mkostemp` keeps its length; the descriptor is checked.
    let mut file = unsafe {
        let descriptor = libc::mkostemp(template.as_mut_ptr().cast(), libc::O_CLOEXEC);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from_raw_fd(descriptor)
    };
    let written = file.write_all(image);
    // The descriptor keeps the file; nobody can change it by name any more.
    // SAFETY: `mkostemp` left a NUL-terminated path.
    unsafe { libc::unlink(template.as_ptr().cast()) };
    written?;
    Ok(file)
}

/// Loads the object once, so that a refusal is known now and not when a client is created. It stays loaded; the path that it is
/// loaded by.
///
/// The dynamic linker tells libraries apart by name first, and this name is a descriptor's number. A program that closes all
/// descriptors, as daemons do, frees those of objects that are loaded: by such a number the linker would give the other one. So no
/// number is used twice here, and what was given is looked at, since others use such names too.
fn loaded(file: &File, image: &[u8]) -> io::Result<String> {
    static LEAST: AtomicI32 = AtomicI32::new(FIRST_NUMBER);
    loop {
        let least = LEAST.load(Ordering::Relaxed);
        // SAFETY: the descriptor is open, and F_DUPFD_CLOEXEC takes an int.
        let number = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else knows it.
        let file = unsafe { OwnedFd::from_raw_fd(number) };
        LEAST.fetch_max(number.saturating_add(1), Ordering::Relaxed);
        let path = format!("/proc/self/fd/{number}");
        if load(&path, image)? {
            std::mem::forget(file);
            return Ok(path);
        }
    }
}

/// No program counts on this one, or on those above.
const FIRST_NUMBER: libc::c_int = 64;

/// Whether what the dynamic linker has under this path is the object.
fn load(path: &str, image: &[u8]) -> io::Result<bool> {
    let mut path = path.as_bytes().to_vec();
    path.push(0);
    // SAFETY: NUL-terminated; the object has no constructors. `dlerror` gives a string that lives until the next call
    // of this thread.
    let conf_init = unsafe {
        let object = libc::dlopen(path.as_ptr().cast(), libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE);
        if object.is_null() {
            let reason = libc::dlerror();
            let reason =
                if reason.is_null() { "no reason given".into() } else { CStr::from_ptr(reason).to_string_lossy() };
            return Err(io::Error::other(reason.into_owned()));
        }
        libc::dlsym(object, c"conf_init".as_ptr())
    };
    if conf_init.addr() as u64 % machine::PAGE != CODE {
        return Ok(false);
    }
    let length = machine::code(0, 0).len();
    // SAFETY: code that is loaded for good; so much of it lies in one page with its beginning, by the comparison above.
    let code = unsafe { std::slice::from_raw_parts(conf_init.cast::<u8>(), length) };
    Ok(image.get(CODE as usize..).is_some_and(|image| image.starts_with(code)))
}

fn image(target: u64, binding: u64) -> Vec<u8> {
    object(&machine::code(target, binding))
}

#[cfg(target_arch = "x86_64")]
mod machine {
    /// `EM_X86_64`.
    pub(super) const NUMBER: u8 = 62;
    /// The largest page that a kernel for it has.
    pub(super) const PAGE: u64 = 0x1000;

    /// `movabs r8, binding; movabs rax, target; jmp rax`
    pub(super) fn code(target: u64, binding: u64) -> Vec<u8> {
        let mut code = vec![0x49, 0xb8];
        code.extend(binding.to_le_bytes());
        code.extend([0x48, 0xb8]);
        code.extend(target.to_le_bytes());
        code.extend([0xff, 0xe0]);
        code
    }
}

#[cfg(target_arch = "aarch64")]
mod machine {
    /// `EM_AARCH64`.
    pub(super) const NUMBER: u8 = 183;
    /// The largest page that a kernel for it has.
    pub(super) const PAGE: u64 = 0x1_0000;

    /// `bti c; ldr x4, binding; ldr x16, target; br x16`, and the two words
    pub(super) fn code(target: u64, binding: u64) -> Vec<u8> {
        let instructions: [u32; 4] = [0xd503_245f, 0x5800_0064, 0x5800_0090, 0xd61f_0200];
        instructions
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .chain([binding, target].into_iter().flat_map(u64::to_le_bytes))
            .collect()
    }
}

const CODE: u64 = 0x200;
const DYNAMIC: u64 = machine::PAGE;

/// One page to execute (headers, symbol, string and hash tables, code) and one to write (the dynamic section, in
/// which the dynamic linker relocates addresses in place).
fn object(code: &[u8]) -> Vec<u8> {
    let strings = b"\0conf_init\0";
    let (symbols_at, hash_at, strings_at) = (0x140, 0x170, 0x190);
    let mut image = Image(vec![0; 2 * machine::PAGE as usize]);
    // ELF header: 64-bit, little-endian, version 1, System V; ET_DYN and the machine; four program headers at 64.
    image.put(0, b"\x7fELF\x02\x01\x01");
    image.put(16, &[3, 0, machine::NUMBER, 0, 1, 0, 0, 0]);
    image.word(32, 64);
    image.put(52, &[64, 0, 56, 0, 4, 0, 64, 0]);
    // PT_LOAD read+execute, PT_LOAD read+write, PT_DYNAMIC; PT_GNU_STACK read+write, without which the dynamic
    // linker would make every stack of the process executable.
    image.program_header(0, 1, 5, 0, machine::PAGE);
    image.program_header(1, 1, 6, machine::PAGE, machine::PAGE);
    image.program_header(2, 2, 6, DYNAMIC, 6 * 16);
    image.program_header(3, 0x6474_e551, 6, 0, 0);
    // Symbol 1: conf_init, global function, in section 1 (any defined one), at CODE.
    let symbol = symbols_at + 24;
    image.put(symbol, &[1, 0, 0, 0, 0x12, 0, 1, 0]);
    image.word(symbol + 8, CODE);
    image.word(symbol + 16, code.len() as u64);
    // DT_HASH: one bucket, two symbols in the chain; the bucket names symbol 1.
    for (index, word) in [1_u32, 2, 1, 0, 0].into_iter().enumerate() {
        image.put(hash_at + 4 * index, &word.to_le_bytes());
    }
    image.put(strings_at, strings);
    image.put(CODE as usize, code);
    // DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL.
    let dynamic = [
        (4, hash_at as u64),
        (5, strings_at as u64),
        (6, symbols_at as u64),
        (10, strings.len() as u64),
        (11, 24),
        (0, 0),
    ];
    for (index, (tag, value)) in dynamic.into_iter().enumerate() {
        image.word(DYNAMIC as usize + 16 * index, tag);
        image.word(DYNAMIC as usize + 16 * index + 8, value);
    }
    image.0
}

struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(target) = self.0.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    }

    fn word(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// Offset, virtual and physical address are the same.
    fn program_header(&mut self, index: usize, kind: u32, flags: u32, at: u64, size: u64) {
        let start = 64 + 56 * index;
        self.put(start, &kind.to_le_bytes());
        self.put(start + 4, &flags.to_le_bytes());
        for (field, value) in [(8, at), (16, at), (24, at), (32, size), (40, size), (48, machine::PAGE)] {
            self.word(start + field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn answer(
        _conf: *mut c_void,
        _opaque: *mut *mut c_void,
        _errstr: *mut c_char,
        size: usize,
        binding: u64,
    ) -> c_int {
        (binding + size as u64) as c_int
    }

    fn call(path: &str) -> c_int {
        let path = std::ffi::CString::new(path).unwrap();
        // SAFETY: the object made by `publish`; its `conf_init` has librdkafka's signature.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            assert!(!library.is_null());
            let conf_init = libc::dlsym(library, c"conf_init".as_ptr());
            assert!(!conf_init.is_null());
            let conf_init: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut c_char, usize) -> c_int =
                std::mem::transmute(conf_init);
            conf_init(std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut(), 7)
        }
    }

    #[test]
    fn each_binding_gets_an_object_that_calls_this_program_with_its_number() {
        let (first, second) = (publish(answer, 100).unwrap(), publish(answer, 200).unwrap());
        assert_eq!((call(&first), call(&second), call(&first)), (107, 207, 107));
    }

    /// Daemons close all descriptors that they do not know.
    #[test]
    fn an_object_whose_number_is_another_s_by_now_is_not_taken_for_it() {
        let first = publish(answer, 400).unwrap();
        let number: libc::c_int = first.rsplit('/').next().unwrap().parse().unwrap();
        let image = image(answer as *const () as usize as u64, 500);
        let second = memory_file(&image).unwrap();
        // SAFETY: both are open; the first object is loaded, and needs its file no more.
        assert_eq!(unsafe { libc::dup2(second.as_raw_fd(), number) }, number);
        assert!(!load(&first, &image).unwrap(), "what is loaded by this name is the first");
        assert_eq!((call(&first), call(&loaded(&second, &image).unwrap())), (407, 507));
    }

    #[test]
    fn where_memory_files_are_refused_a_temporary_file_serves() {
        let image = image(answer as *const () as usize as u64, 3);
        let folder = std::env::temp_dir();
        assert_eq!(call(&first_loadable(&image, [Place::Folder(&folder)].into_iter()).unwrap()), 10);
    }

    #[test]
    fn a_place_that_takes_the_object_but_does_not_let_it_be_loaded_is_passed_over() {
        let image = image(answer as *const () as usize as u64, 4);
        // /proc/self takes no file; what is cut is made, and refused by the dynamic linker.
        let places = || [Place::Memory, Place::Folder(Path::new("/proc/self"))].into_iter();
        let error = first_loadable(&image[..100], places()).unwrap_err().to_string();
        assert!(error.contains("in memory: /proc/self/fd/"), "{error}");
        assert!(error.contains("; in /proc/self: "), "{error}");
        assert_eq!(call(&first_loadable(&image, places()).unwrap()), 11);
    }

    #[test]
    fn loading_the_object_leaves_the_stacks_not_executable() {
        publish(answer, 300).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        assert!(stack.contains(" rw-p "), "{stack}");
    }
}
