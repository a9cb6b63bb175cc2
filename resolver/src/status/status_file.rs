//! The file that `INTERCEPTORS_STATUS` names: how this process is, written anew every other second and at its end. And
//! that for Prometheus's node_exporter, which `textfile` of `[metrics]` names.
//!
//! Whoever reads it sees a whole one, the last or the one before: it is written beside its place and renamed. What cannot
//! be written is told once, and does no harm.
//!
//! `RATIONALE.md`: "Why is the status file written by the batch thread?"

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::config::Variables;
use crate::diagnostics;
use crate::per_process::{self, PerProcess};

/// See the module.
pub(crate) struct StatusFile {
    kind: Kind,
    /// Absolute: the process may change its folder. Perhaps with `{pid}` in it.
    path: PathBuf,
    /// Of the process that was told to write it.
    generation: usize,
    here: PerProcess<Mutex<Here>>,
}

/// What such a file is.
#[derive(Debug)]
struct Kind {
    /// Who names it, for messages.
    named_by: &'static str,
    /// What every such file begins with. Another's file is not written over.
    beginning: &'static str,
    mode: u32,
}

const STATUS: Kind = Kind { named_by: VARIABLE, beginning: BEGINNING, mode: 0o600 };
/// Read by a node_exporter that is another user.
const PROMETHEUS: Kind = Kind { named_by: "`textfile` of [metrics]", beginning: "# HELP target_info ", mode: 0o644 };

/// What one process has written.
#[derive(Default)]
struct Here {
    told: bool,
    next: Option<Instant>,
}

/// How often the file is written.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);
/// A file that takes long to write is written so much more seldom: at most a hundredth of the time goes there.
const PATIENCE: u32 = 100;
/// What every such file begins with. Another's file is not written over.
pub(crate) const BEGINNING: &str = "{\"interceptors_status\":1,";
/// Stands for the process's number in the path.
const PID: &[u8] = b"{pid}";
const VARIABLE: &str = "INTERCEPTORS_STATUS";

impl StatusFile {
    /// The one that the environment asks for. In a privileged process there is none: see [`Variables::process`].
    pub(crate) fn asked_for(variables: &Variables) -> Option<Self> {
        let path = variables.raw(VARIABLE).filter(|path| !path.is_empty())?;
        let path = std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(path));
        Some(Self::new(STATUS, path))
    }

    /// One for node_exporter.
    pub(crate) fn for_prometheus(path: PathBuf) -> Self {
        Self::new(PROMETHEUS, path)
    }

    fn new(kind: Kind, path: PathBuf) -> Self {
        Self { kind, path, generation: per_process::generation(), here: PerProcess::new() }
    }

    /// Writes `text` if it is time to.
    pub(crate) fn keep(&self, now: Instant, text: impl FnOnce() -> String) {
        // Held by whoever is writing already, and who need not be waited for.
        let Ok(mut here) = self.here.get_or_init(Mutex::default).try_lock() else { return };
        if here.next.is_none_or(|next| next <= now) {
            self.write_here(&mut here, text);
        }
    }

    /// Writes `text` now.
    pub(crate) fn write(&self, text: impl FnOnce() -> String) {
        let Ok(mut here) = self.here.get_or_init(Mutex::default).try_lock() else { return };
        self.write_here(&mut here, text);
    }

    fn write_here(&self, here: &mut Here, text: impl FnOnce() -> String) {
        let started = Instant::now();
        let written = match self.path_here() {
            Some(path) => replace(&self.kind, &path, &text())
                .map_err(|why| format!("{} cannot be written: {why}", path.display())),
            None => Err(format!(
                "{} is the file of the process that this one is a fork of; with {{pid}} in its name every process has its own",
                self.path.display()
            )),
        };
        let took = started.elapsed();
        here.next = Some(Instant::now() + INTERVAL.max(took.saturating_mul(PATIENCE)));
        let Err(why) = written else { return };
        if !std::mem::replace(&mut here.told, true) {
            diagnostics::warn(&format!("{}: {why}. Nothing else depends on it", self.kind.named_by));
        }
    }

    /// Where this process writes. A fork does not write over its parent's.
    fn path_here(&self) -> Option<PathBuf> {
        if !self.is_of_one_process() {
            return (per_process::generation() == self.generation).then(|| self.path.clone());
        }
        let pid = std::process::id().to_string();
        let mut path = Vec::new();
        let mut rest = self.path.as_os_str().as_bytes();
        while let Some(place) = rest.windows(PID.len()).position(|part| part == PID) {
            path.extend_from_slice(rest.get(..place).unwrap_or_default());
            path.extend_from_slice(pid.as_bytes());
            rest = rest.get(place + PID.len()..).unwrap_or_default();
        }
        path.extend_from_slice(rest);
        Some(PathBuf::from(std::ffi::OsString::from_vec(path)))
    }

    /// Whether each process has one of its own: the path has `{pid}`.
    pub(crate) fn is_of_one_process(&self) -> bool {
        self.path.as_os_str().as_bytes().windows(PID.len()).any(|part| part == PID)
    }
}

/// Puts a file with this text where `path` is, following no link.
fn replace(kind: &Kind, path: &Path, text: &str) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it names no file"));
    };
    check(kind, path)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = folder.join(beside);
    // One that a process of this number left behind when it was killed. What is not ours to remove, stands in the way.
    let _ = fs::remove_file(&beside);
    let written = OpenOptions::new().write(true).create_new(true).mode(kind.mode).open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        drop(file);
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Whether it may be replaced: nothing is there, or such a file.
fn check(kind: &Kind, path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.is_file() {
        return Err(io::Error::other("what is there is no regular file"));
    }
    if there.len() == 0 {
        return Ok(());
    }
    let mut start = Vec::new();
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    file.take(kind.beginning.len() as u64).read_to_end(&mut start)?;
    if start == kind.beginning.as_bytes() { Ok(()) } else { Err(io::Error::other("what is there is another file")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn file_at(path: &Path) -> StatusFile {
        StatusFile::asked_for(&Variables::of([(VARIABLE, path.as_os_str().to_owned())])).unwrap()
    }

    fn text(rest: &str) -> String {
        format!("{BEGINNING}{rest}")
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_its_owners_alone_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s-{pid}.json");
        let file = file_at(&path);
        file.write(|| text("1"));
        file.write(|| text("2"));
        let name = format!("s-{}.json", std::process::id());
        assert_eq!(names(folder.path()), [name.as_str()]);
        let written = folder.path().join(name);
        assert_eq!(fs::read_to_string(&written).unwrap(), text("2"));
        assert_eq!(fs::metadata(written).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn that_for_node_exporter_can_be_read_by_it_and_takes_no_other_s_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app-{pid}.prom");
        let file = StatusFile::for_prometheus(path);
        file.write(|| "# HELP target_info 1".to_owned());
        file.write(|| "# HELP target_info 2".to_owned());
        let written = folder.path().join(format!("app-{}.prom", std::process::id()));
        assert_eq!(fs::read_to_string(&written).unwrap(), "# HELP target_info 2");
        assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o644);
        fs::write(&written, "# HELP node_load1").unwrap();
        file.write(|| "# HELP target_info 3".to_owned());
        assert_eq!(fs::read_to_string(&written).unwrap(), "# HELP node_load1");
    }

    #[test]
    fn what_another_put_there_is_neither_followed_nor_lost() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        fs::write(&precious, "version = 1\n").unwrap();
        let link = folder.path().join("link");
        symlink(&precious, &link).unwrap();
        for path in [&precious, &link, &folder.path().to_owned()] {
            file_at(path).write(|| text("1"));
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "version = 1\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["link", "precious"]);
        // Somebody foresees the name beside it: a link there is taken away, and what it leads to is not written.
        let path = folder.path().join("s.json");
        symlink(&precious, folder.path().join(format!(".s.json.{}.tmp", std::process::id()))).unwrap();
        file_at(&path).write(|| text("1"));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "version = 1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), text("1"));
    }

    #[test]
    fn what_cannot_be_written_does_no_harm_and_is_tried_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/s.json");
        let file = file_at(&path);
        let now = Instant::now();
        file.keep(now, || text("1"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        file.keep(now, || unreachable!("it is not yet time"));
        file.keep(now + Duration::from_secs(60), || text("2"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text("2"));
        // A device on which nothing can be put, as a full one.
        file_at(Path::new("/dev/full")).write(|| text("1"));
        file_at(Path::new("/proc/s.json")).write(|| text("1"));
    }

    #[test]
    fn without_the_variable_or_with_an_empty_one_there_is_none() {
        assert!(StatusFile::asked_for(&Variables::of([("A", "b")])).is_none());
        assert!(StatusFile::asked_for(&Variables::of([(VARIABLE, "")])).is_none());
        assert!(StatusFile::asked_for(&Variables::of([(VARIABLE, "/a")]).withheld()).is_none());
    }
}
