//! Whether the process has more rights than whoever started it, and so must not trust its environment.

/// `AT_SECURE` of the kernel: setuid, setgid, file capabilities, or a security module said so.
#[cfg(target_os = "linux")]
pub(crate) fn is_secure() -> bool {
    // SAFETY: getauxval() takes a plain number, touches no memory of ours, and returns 0 for an unknown entry.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// `issetugid()`: the same question where there is no auxiliary vector.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_secure() -> bool {
    // SAFETY: issetugid() takes nothing, touches no memory of ours, and cannot fail.
    unsafe { libc::issetugid() != 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_is_not_a_privileged_process() {
        assert!(!super::is_secure());
    }
}
