//! What this process uses, as the system counts it.

/// Bytes of memory that are resident.
pub fn resident_bytes() -> u64 {
    pages(1) * 4096
}

/// Bytes of memory that are reserved, whether they were touched or not.
pub fn reserved_bytes() -> u64 {
    pages(0) * 4096
}

fn pages(field: usize) -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(field).unwrap().parse().unwrap()
}

/// Threads that exist.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// File descriptors that are open.
pub fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
