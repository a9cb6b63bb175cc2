//! How much memory there is for this process, as the system has it at this moment: of the machine, of every control group that
//! the process is in (both versions, each of the levels), and by its own limits.
//!
//! A handful of small files of the kernel's, some tens of microseconds: not for the application's threads, nor under a lock.

use std::fs;
use std::path::{Path, PathBuf};

/// One bound on the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// How much there may be in all.
    pub(super) total: u64,
    /// How much of it is not in use, or is a cache that the kernel gives up when asked.
    pub(super) free: u64,
}

/// All that bound it and can be read.
pub(super) fn limits() -> Vec<Limit> {
    limits_in(Path::new("/"))
}

fn limits_in(root: &Path) -> Vec<Limit> {
    let groups = text(&root.join("proc/self/cgroup"));
    let mut limits: Vec<_> = groups.lines().flat_map(|line| groups_of(root, line)).collect();
    limits.extend(machine(&text(&root.join("proc/meminfo"))));
    limits.extend(own(&text(&root.join("proc/self/limits")), &text(&root.join("proc/self/status"))));
    limits
}

/// The limits of one line of `/proc/self/cgroup`: those of the group, and of all around it.
fn groups_of(root: &Path, line: &str) -> Vec<Limit> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (base, version) = match controllers {
        "" => (root.join("sys/fs/cgroup"), &SECOND),
        of if of.split(',').any(|each| each == "memory") => (root.join("sys/fs/cgroup/memory"), &FIRST),
        _ => return Vec::new(),
    };
    // Within a container the path may be the one outside of it, where nothing is seen: what is seen is its own group.
    let own = base.join(path.trim_start_matches('/'));
    let around = own.ancestors().take_while(|folder| folder.starts_with(&base)).map(Path::to_owned);
    around.filter_map(|folder: PathBuf| version.limit(&folder)).collect()
}

/// What the files of a version are called.
struct Version {
    most: &'static str,
    used: &'static str,
    /// In `memory.stat`: the cache that goes first.
    cache: &'static str,
}

const SECOND: Version = Version { most: "memory.max", used: "memory.current", cache: "inactive_file" };
const FIRST: Version =
    Version { most: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file" };

impl Version {
    /// `None` where there is no limit: "max", and in the first version a number beyond any memory.
    fn limit(&self, folder: &Path) -> Option<Limit> {
        let total = text(&folder.join(self.most)).trim().parse().ok().filter(|most| *most < NO_LIMIT)?;
        let used: u64 = text(&folder.join(self.used)).trim().parse().ok()?;
        let stat = text(&folder.join("memory.stat"));
        let cache = stat.lines().find_map(|line| line.strip_prefix(self.cache)?.trim().parse().ok()).unwrap_or(0);
        Some(Limit { total, free: total.saturating_sub(used.saturating_sub(cache)) })
    }
}

/// `/proc/meminfo`.
fn machine(meminfo: &str) -> Option<Limit> {
    Some(Limit { total: kilobytes(meminfo, "MemTotal:")?, free: kilobytes(meminfo, "MemAvailable:")? })
}

/// `ulimit -v` and `ulimit -d`: beyond these the allocator has nothing, however much the machine has.
fn own(limits: &str, status: &str) -> impl Iterator<Item = Limit> {
    let limit = |name: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        let total: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(Limit { total, free: total.saturating_sub(kilobytes(status, used)?) })
    };
    [limit("Max address space", "VmSize:"), limit("Max data size", "VmData:")].into_iter().flatten()
}

/// The bytes of a line `NAME   123 kB`.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Where a file is missing, there is no such limit.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first version says so for "none", rounded down to a page.
const NO_LIMIT: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A root folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn every_group_around_the_process_bounds_it_and_cache_that_goes_first_is_free() {
        let root = root(&[
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/pod/memory.current", "1063256064\n"),
            ("sys/fs/cgroup/pod/memory.stat", "anon 5\ninactive_file 62914560\n"),
            ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
            ("sys/fs/cgroup/pod/app/memory.current", "7\n"),
            ("proc/meminfo", "MemTotal:  4194304 kB\nMemFree: 1 kB\nMemAvailable:  2097152 kB\n"),
        ]);
        assert_eq!(
            limits_in(root.path()),
            [Limit { total: 1024 * MIB, free: 70 * MIB }, Limit { total: 4096 * MIB, free: 2048 * MIB },]
        );
    }

    #[test]
    fn the_first_version_s_group_is_found_by_the_path_outside_of_the_container_too() {
        let root = root(&[
            ("proc/self/cgroup", "5:cpu:/docker/1f\n4:memory,hugetlb:/docker/1f\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "104857600\n"),
        ]);
        assert_eq!(limits_in(root.path()), [Limit { total: 512 * MIB, free: 412 * MIB }]);
        fs::write(root.path().join("sys/fs/cgroup/memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        assert_eq!(limits_in(root.path()), []);
    }

    #[test]
    fn the_process_s_own_limits_count_beside_them() {
        let root = root(&[
            (
                "proc/self/limits",
                "Limit  Soft Limit  Hard Limit  Units\nMax data size  unlimited  unlimited  bytes\n\
                 Max address space  1073741824  unlimited  bytes\n",
            ),
            ("proc/self/status", "Name: x\nVmSize:\t 524288 kB\nVmData:\t 1 kB\n"),
        ]);
        assert_eq!(limits_in(root.path()), [Limit { total: 1024 * MIB, free: 512 * MIB }]);
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        let limits = limits();
        assert!(limits.iter().all(|limit| limit.total > 0 && limit.free <= limit.total), "{limits:?}");
        assert!(!limits.is_empty());
    }
}
