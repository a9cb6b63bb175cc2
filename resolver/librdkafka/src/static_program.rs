//! Programs that are linked with `-static`: a library in them has no thread-local storage, and nothing of ours could run.

use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::write_to_stderr;

/// Whether the program was started without a dynamic linker; that its clients are not traced is said at the first call.
///
/// Uses no thread-local storage, as the standard library would: the dynamic linker that came with this library has not
/// set it up.
pub(crate) fn is_static() -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let is = !has_interpreter();
    if is && !TOLD.swap(true, Ordering::Relaxed) {
        write_to_stderr(NOT_TRACED);
    }
    is
}

/// Whether the program names a dynamic linker; true as well where the system does not show its headers.
pub(crate) fn has_interpreter() -> bool {
    // musl lets a static program load nothing; and one that its dynamic linker runs as a command has the linker's headers.
    if cfg!(target_env = "musl") {
        return true;
    }
    // Not by `find_loaded_module`, which asks the dynamic linker: here there may be none.
    // SAFETY: reads what the kernel told the C library at the start: where the program's headers are, and how many.
    let headers = unsafe {
        let (address, count) = (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM));
        if address == 0 {
            return true;
        }
        slice::from_raw_parts(address as *const libc::Elf64_Phdr, count as usize)
    };
    headers.iter().any(|header| header.p_type == libc::PT_INTERP)
}

const NOT_TRACED: &str = "tracer-resolver: ERROR: clients of this program are not traced: it is linked with -static, and no \
    library can run in it. Link it dynamically; librdkafka itself may stay linked in\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_dynamic_linker_is_not_static() {
        assert!(has_interpreter());
    }
}
