//! Whether a file that decides what code runs here can be changed by somebody who has no say in that.

use std::ffi::{CString, OsString};
use std::fmt::{self, Display, Formatter};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Why a file is not to be trusted: the first doubt on the way from `/` to it.
#[derive(Debug)]
pub(crate) enum Doubt {
    /// This file or folder belongs to neither root nor the user of this process.
    Stranger { path: PathBuf, is_folder: bool, owner: u32 },
    /// Every user of this machine may write to this file or folder.
    Everyone { path: PathBuf, is_folder: bool, mode: u32 },
    /// This step of the way could not be looked at.
    Unknown { path: PathBuf, error: io::Error },
}

/// The first doubt about `path`: `None` if only root and the user of this process can change or exchange what it names.
///
/// One that is relative is taken from the working directory.
///
/// Walks as the kernel does, along every symbolic link: whoever may write to one of the folders on the way can put
/// another file there. In a folder such as `/tmp` (sticky) only the owner of an entry can take it away, so such a folder
/// is as good as its owner and the entry's. What is on a file system that is mounted read-only nobody can change here,
/// whoever it belongs to (Kubernetes mounts configurations so, in folders of mode 0777). Groups are trusted: whoever
/// deploys by a group chose its members. See `RATIONALE.md`, "Who may write to a file that names code?".
///
/// Call it after the file was opened: if the way is without a doubt then, nobody else can have exchanged it before.
///
/// `any_writer`: everybody may write there, as far as the modes go (Docker Desktop shows every file of the host's as 0777);
/// somebody else's files stay doubtful.
pub(crate) fn doubt(path: &Path, any_writer: bool) -> Option<Doubt> {
    first_doubt(path, |doubt| !any_writer || !matches!(doubt, Doubt::Everyone { .. }))
}

/// The user of this process, whose the files are that it makes.
pub(crate) fn user() -> u32 {
    // SAFETY: geteuid() takes nothing, touches no memory of ours, and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether what this is about belongs to root or to the user of this process.
pub(crate) fn is_ours(metadata: &Metadata) -> bool {
    is_trusted(metadata, user())
}

/// What allows every user of this machine to put a file into `folder`, sticky or not: a place where nothing that is found
/// says anything about who meant it to be found.
pub(crate) fn open_to_everyone(folder: &Path) -> Option<Doubt> {
    first_doubt(folder, |doubt| matches!(doubt, Doubt::Everyone { .. })).or_else(|| {
        let mode = fs::metadata(folder).ok()?.mode() & 0o7777;
        let open = mode & 0o002 != 0 && !is_read_only(folder);
        open.then(|| Doubt::Everyone { path: folder.to_owned(), is_folder: true, mode })
    })
}

/// The first doubt that `matters`, on the way from `/` to `path`.
fn first_doubt(path: &Path, matters: impl Fn(&Doubt) -> bool) -> Option<Doubt> {
    let us = user();
    let mut rest = match std::path::absolute(path) {
        Ok(path) => steps(&path),
        Err(error) => return Some(Doubt::Unknown { path: path.to_owned(), error }).filter(matters),
    };
    let mut here = PathBuf::from("/");
    let mut links = 0;
    if let Some(doubt) = doubt_of(&here, us).filter(&matters) {
        return Some(doubt);
    }
    while let Some(step) = rest.pop() {
        if step == ".." {
            // Of folders that were looked at on the way down.
            here.pop();
            continue;
        }
        here.push(&step);
        let link = match fs::symlink_metadata(&here) {
            Ok(metadata) if metadata.is_symlink() => fs::read_link(&here),
            Ok(_) => match doubt_of(&here, us).filter(&matters) {
                Some(doubt) => return Some(doubt),
                None => continue,
            },
            Err(error) => Err(error),
        };
        links += 1;
        match link {
            Ok(_) if links > MOST_LINKS => {
                let error = io::Error::from_raw_os_error(libc::ELOOP);
                return Some(Doubt::Unknown { path: here, error }).filter(matters);
            }
            Ok(target) => {
                if let Some(doubt) = doubt_of_link(&here, us).filter(&matters) {
                    return Some(doubt);
                }
                here.pop();
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(steps(&target));
            }
            Err(error) => return Some(Doubt::Unknown { path: here, error }).filter(matters),
        }
    }
    None
}

impl Doubt {
    /// The way out, as a sentence without an end.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::Stranger { path, is_folder, .. } => {
                let inside = if *is_folder { " and what is in it" } else { "" };
                format!(
                    "give {}{inside} to root or to the user that runs this process (chown), or put the file elsewhere",
                    path.display()
                )
            }
            Self::Everyone { path, .. } => format!("chmod o-w {}", path.display()),
            Self::Unknown { path, .. } => format!("let the user that runs this process look at {}", path.display()),
        }
    }
}

/// What is wrong, as a sentence without an end.
impl Display for Doubt {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let kind = |is_folder: &bool| if *is_folder { "the folder " } else { "" };
        match self {
            Self::Stranger { path, is_folder, owner } => write!(
                out,
                "{}{} belongs to user {owner}, who is neither root nor the user of this process",
                kind(is_folder),
                path.display()
            ),
            Self::Everyone { path, is_folder, mode } => write!(
                out,
                "{}{} can be written by every user of this machine (mode {mode:04o})",
                kind(is_folder),
                path.display()
            ),
            Self::Unknown { path, error } => write!(out, "{} cannot be looked at: {error}", path.display()),
        }
    }
}

/// The names to walk along, the next one last.
fn steps(path: &Path) -> Vec<OsString> {
    let steps = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut steps: Vec<OsString> = steps.collect();
    steps.reverse();
    steps
}

/// A doubt about a file or a folder itself.
fn doubt_of(path: &Path, us: u32) -> Option<Doubt> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(Doubt::Unknown { path: path.to_owned(), error }),
    };
    let is_folder = metadata.is_dir();
    let mode = metadata.mode() & 0o7777;
    // What is in a sticky folder is looked at on its own, a step later.
    let everyone = mode & 0o002 != 0 && !(is_folder && mode & 0o1000 != 0);
    let owner = metadata.uid();
    if !everyone && is_trusted(&metadata, us) || is_read_only(path) {
        return None;
    }
    let path = path.to_owned();
    // The mode first: it harms more, and is mended more easily.
    Some(if everyone { Doubt::Everyone { path, is_folder, mode } } else { Doubt::Stranger { path, is_folder, owner } })
}

/// A doubt about a symbolic link: it has no mode of its own, but in a sticky folder its owner may exchange it.
fn doubt_of_link(path: &Path, us: u32) -> Option<Doubt> {
    let (link, folder) = match (fs::symlink_metadata(path), path.parent()) {
        (Ok(link), Some(folder)) => (link, folder),
        (Err(error), _) => return Some(Doubt::Unknown { path: path.to_owned(), error }),
        (Ok(_), None) => return None,
    };
    if is_trusted(&link, us) || is_read_only(folder) {
        return None;
    }
    Some(Doubt::Stranger { path: path.to_owned(), is_folder: false, owner: link.uid() })
}

fn is_trusted(metadata: &Metadata, us: u32) -> bool {
    metadata.uid() == 0 || metadata.uid() == us
}

/// Whether the file system that `path` is on is mounted read-only. One that cannot be asked is not.
fn is_read_only(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is NUL-terminated and outlives the call, which writes to `answer` only.
    if unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: statvfs() succeeded, so all of it is written.
    unsafe { answer.assume_init() }.f_flag & libc::ST_RDONLY != 0
}

/// As many as Linux follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        folder
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A file of mode 0644 in a folder of mode 0755, below `folder`.
    fn file(folder: &Path) -> PathBuf {
        let inner = folder.join("inner");
        fs::create_dir(&inner).unwrap();
        set_mode(&inner, 0o755);
        let file = inner.join("file");
        fs::write(&file, "").unwrap();
        set_mode(&file, 0o644);
        file
    }

    fn shown(path: &Path) -> String {
        doubt(path, false).map_or("none".to_owned(), |doubt| format!("{doubt}; help: {}", doubt.help()))
    }

    #[test]
    fn a_file_of_ours_in_a_folder_of_ours_is_trusted_below_a_sticky_one_too() {
        let folder = folder();
        let file = file(folder.path());
        assert_eq!(shown(&file), "none");
        set_mode(&file, 0o664);
        assert_eq!(shown(&file), "none", "a group may write");
        set_mode(file.parent().unwrap(), 0o1777);
        assert_eq!(shown(&file), "none", "only its owner can take it away there");
    }

    #[test]
    fn a_file_or_a_folder_on_the_way_that_everyone_may_write_is_not_trusted() {
        let folder = folder();
        let file = file(folder.path());
        set_mode(&file, 0o646);
        assert!(shown(&file).contains("inner/file can be written by every user of this machine (mode 0646)"));
        set_mode(&file, 0o644);
        set_mode(file.parent().unwrap(), 0o777);
        assert!(shown(&file).contains("inner can be written by every user of this machine (mode 0777)"));
        set_mode(file.parent().unwrap(), 0o755);
        set_mode(folder.path(), 0o757);
        let shown = shown(&file);
        assert!(shown.starts_with("the folder ") && shown.contains("(mode 0757); help: chmod o-w "), "{shown}");
    }

    #[test]
    fn a_link_is_followed_and_the_folder_that_it_leads_to_is_looked_at_too() {
        let (open, closed) = (folder(), folder());
        let target = file(open.path());
        let link = closed.path().join("link");
        symlink(&target, &link).unwrap();
        let relative = closed.path().join("relative");
        symlink("../closed/./link", closed.path().join("unused")).unwrap();
        symlink("link", &relative).unwrap();
        assert_eq!(shown(&relative), "none");
        set_mode(target.parent().unwrap(), 0o777);
        assert!(shown(&link).contains("inner can be written"), "{}", shown(&link));
        assert!(shown(&relative).contains("inner can be written"), "{}", shown(&relative));
        // The folder that holds the link counts as well.
        set_mode(target.parent().unwrap(), 0o755);
        set_mode(closed.path(), 0o777);
        assert!(shown(&link).contains("can be written"), "{}", shown(&link));
    }

    #[test]
    fn a_link_to_itself_or_to_nowhere_is_said_and_not_followed_for_ever() {
        let folder = folder();
        symlink("loop", folder.path().join("loop")).unwrap();
        symlink("none", folder.path().join("dangling")).unwrap();
        assert!(matches!(doubt(&folder.path().join("loop"), false), Some(Doubt::Unknown { .. })));
        assert!(matches!(doubt(&folder.path().join("dangling"), false), Some(Doubt::Unknown { .. })));
    }

    #[test]
    fn a_folder_is_open_to_everyone_if_everyone_may_add_to_it_or_exchange_it_sticky_or_not() {
        let folder = folder();
        let inner = file(folder.path()).parent().unwrap().to_owned();
        let link = folder.path().join("link");
        symlink(&inner, &link).unwrap();
        let shown = |path: &Path| open_to_everyone(path).map_or("closed".to_owned(), |doubt| doubt.to_string());
        assert_eq!((shown(&inner), shown(&link)), ("closed".to_owned(), "closed".to_owned()));
        assert_eq!(shown(&folder.path().join("nowhere")), "closed");
        for (inner_mode, folder_mode) in [(0o1777, 0o755), (0o777, 0o755), (0o755, 0o777)] {
            set_mode(&inner, inner_mode);
            set_mode(folder.path(), folder_mode);
            for path in [&inner, &link] {
                assert!(shown(path).contains("can be written by every user"), "{inner_mode:o} {}", shown(path));
            }
        }
        set_mode(folder.path(), 0o1777);
        assert_eq!(shown(&inner), "closed", "nobody else can take away what is ours there");
        if chown(folder.path(), Some(STRANGER), None).is_err() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        assert_eq!(shown(&inner), "closed", "one stranger is not everyone");
        set_mode(&inner, 0o777);
        assert!(shown(&inner).contains("inner can be written by every user"), "{}", shown(&inner));
        chown(folder.path(), Some(0), None).unwrap();
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_trusted() {
        let folder = folder();
        let file = file(folder.path());
        if chown(&file, Some(STRANGER), None).is_err() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        assert!(shown(&file).contains("inner/file belongs to user 12345"), "{}", shown(&file));
        chown(&file, Some(0), None).unwrap();
        chown(file.parent().unwrap(), Some(STRANGER), None).unwrap();
        assert!(shown(&file).starts_with("the folder "), "{}", shown(&file));
        chown(file.parent().unwrap(), Some(0), None).unwrap();
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(shown(&link), "none");
        std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
        assert!(shown(&link).contains("link belongs to user 12345"), "{}", shown(&link));
    }

    #[test]
    fn what_nobody_can_write_to_is_trusted_whoever_it_belongs_to_and_whatever_its_mode() {
        let folder = folder();
        assert!(!is_read_only(folder.path()));
        // On a thread of its own, whose mounts nobody else sees, and which go with it.
        let place = folder.path().to_owned();
        std::thread::spawn(move || {
            if let Err(error) = mount_for_this_thread(&place) {
                eprintln!("skipped: nothing can be mounted here: {error}");
                return;
            }
            let file = place.join("file");
            fs::write(&file, "").unwrap();
            chown(&file, Some(STRANGER), None).unwrap();
            set_mode(&file, 0o666);
            assert!(doubt(&file, false).is_some(), "the folder is everybody's");
            mount(&place, libc::MS_REMOUNT | libc::MS_RDONLY).unwrap();
            assert_eq!(shown(&file), "none");
        })
        .join()
        .unwrap();
    }

    /// Mounts an empty file system of mode 0777 that only the calling thread sees.
    fn mount_for_this_thread(place: &Path) -> io::Result<()> {
        // SAFETY: unshare() takes flags only, and changes what this thread alone sees.
        if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        mount(Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)?;
        mount(place, 0)?;
        set_mode(place, 0o777);
        Ok(())
    }

    fn mount(place: &Path, flags: libc::c_ulong) -> io::Result<()> {
        let place = CString::new(place.as_os_str().as_bytes()).unwrap();
        let none = std::ptr::null();
        // SAFETY: the texts are NUL-terminated and outlive the call, which wants no data.
        match unsafe { libc::mount(c"tmpfs".as_ptr(), place.as_ptr(), c"tmpfs".as_ptr(), flags, none) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    const STRANGER: u32 = 12345;
}
