//! What is loaded is what was meant: one file once, never another's code, never yesterday's.

use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::sync::Arc;

use super::super::library::Origin;
use super::super::loader::open;
use super::*;

fn version(version: &'static str) -> CPlugin {
    CPlugin { version, ..CPlugin::default() }
}

#[test]
fn folders_are_searched_in_order_and_the_default_places_last() {
    let (first, second, last) = (Folder::new(), Folder::new(), Folder::new());
    version("2").install(&second);
    version("3").install(&last);
    let plugins = Plugins { dirs: vec![first.0.clone(), second.0.clone()], entries: Vec::new(), ..Plugins::default() };
    let loader = Loader::for_test(Trust::Strict, vec![last.0.clone()], PluginFile::sealed_copy);
    assert_eq!(loader.load("sample", &plugins).unwrap().version(), "2");
    assert_eq!(loader.load("sample", &Plugins::default()).unwrap().version(), "3");
    version("1").install(&first);
    assert_eq!(loader.load("sample", &plugins).unwrap().version(), "1");
}

#[test]
fn a_configured_file_name_is_looked_for_in_the_folders() {
    let folder = Folder::new();
    version("7").compile(&folder.join("renamed.so"));
    let plugins = Plugins {
        dirs: vec![folder.0.clone()],
        entries: vec![entry(Some(Path::new("renamed.so")), None)],
        ..Plugins::default()
    };
    assert_eq!(loader(Trust::Strict).load("sample", &plugins).unwrap().version(), "7");
}

#[test]
fn one_file_under_several_names_is_one_library() {
    let folder = Folder::new();
    let path = CPlugin::default().install(&folder);
    let (hard, soft) = (folder.join("hard.so"), folder.join("soft.so"));
    fs::hard_link(&path, &hard).unwrap();
    symlink(&path, &soft).unwrap();
    for pin in [None, Some(sha256_of(&path))] {
        let load = |path: &Path| loader(Trust::Strict).load("sample", &pinned(path, pin)).unwrap();
        let library = load(&path);
        assert!(Arc::ptr_eq(&library, &load(&path)));
        assert!(Arc::ptr_eq(&library, &load(&hard)));
        assert!(Arc::ptr_eq(&library, &load(&soft)));
    }
}

#[test]
fn one_file_configured_under_two_plugin_names_is_still_of_one_type() {
    let folder = Folder::new();
    let path = CPlugin::default().install(&folder);
    loader(Trust::Strict).load("sample", &pinned(&path, None)).unwrap();
    let mut plugins = pinned(&path, None);
    plugins.entries[0].name = "other".to_owned();
    let error = loader(Trust::Strict).load("other", &plugins).unwrap_err();
    assert!(error.to_string().contains("type_name is \"sample\", but the configuration calls it `other`"), "{error}");
}

#[test]
fn a_plugin_replaced_on_disk_is_not_silently_the_old_one() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    loader(Trust::Strict).load("sample", &folder.plugins()).unwrap();
    // As a package manager does it: a new file, renamed over the old.
    version("2").compile(&folder.join("new.so"));
    fs::rename(folder.join("new.so"), &path).unwrap();
    let error = loader(Trust::Strict).load("sample", &folder.plugins()).unwrap_err();
    assert_eq!(
        folder.hide_in(&error),
        "P103 plugin `sample`: DIR/libtracer_plugin_sample.so has changed since this process loaded it; loaded code cannot \
         be replaced\nhelp: restart the process, or install the new version under a new file name"
    );
    // The way out that the message names.
    fs::rename(&path, folder.join("libtracer_plugin_sample-2.so")).unwrap();
    let plugins = pinned(&folder.join("libtracer_plugin_sample-2.so"), None);
    assert_eq!(loader(Trust::Strict).load("sample", &plugins).unwrap().version(), "2");
}

#[test]
fn a_plugin_overwritten_in_place_is_noticed_too_under_all_its_names() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let other_name = folder.join("other_name.so");
    fs::hard_link(&path, &other_name).unwrap();
    loader(Trust::Strict).load("sample", &pinned(&path, None)).unwrap();
    // Bytes behind the end harm nobody who runs the code; the times change.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"x").unwrap();
    for name in [path, other_name] {
        let error = loader(Trust::Strict).load("sample", &pinned(&name, None)).unwrap_err();
        assert!(matches!(error.failure, LoadFailure::ChangedOnDisk(_)), "{error}");
    }
}

/// Every way in which a file is touched that leaves its bytes: a reload must go on.
#[test]
fn a_file_with_the_same_bytes_is_the_plugin_that_is_loaded_however_often_it_was_touched_copied_or_installed_again() {
    for trust in [Trust::Strict, Trust::Lenient] {
        let folder = Folder::new();
        let path = version("1").install(&folder);
        let load = || loader(trust).load("sample", &folder.plugins());
        let library = load().unwrap();
        Loader::remember_contents();
        let is_same = |what: &str| {
            let again = load();
            assert!(again.as_ref().is_ok_and(|again| Arc::ptr_eq(again, &library)), "{what}: {again:?}");
        };
        let bytes = fs::read(&path).unwrap();
        for round in 0..2 {
            let now = std::time::SystemTime::now() + std::time::Duration::from_secs(round);
            fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
            is_same("touch");
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700 + 0o55 * round as u32))
                .unwrap();
            is_same("chmod");
            fs::hard_link(&path, folder.join(&format!("other-{round}"))).unwrap();
            is_same("another name");
            fs::write(folder.join("new.so"), &bytes).unwrap();
            fs::rename(folder.join("new.so"), &path).unwrap();
            is_same("renamed over it");
            fs::remove_file(&path).unwrap();
            fs::write(&path, &bytes).unwrap();
            is_same("removed and written");
            fs::write(&path, &bytes).unwrap();
            is_same("written over it");
        }
        // As ever: other bytes are another plugin, whatever was the same before.
        version("2").compile(&folder.join("new.so"));
        fs::rename(folder.join("new.so"), &path).unwrap();
        assert_eq!(load().is_ok(), trust == Trust::Lenient);
    }
}

/// Who reloads for the first time has not read the file: what a package manager leaves as it was has to do, its time.
#[test]
fn a_package_that_is_installed_again_before_the_first_reload_is_the_same_plugin() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let load = || loader(Trust::Strict).load("sample", &folder.plugins());
    let library = load().unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(folder.join("new.so"), &bytes).unwrap();
    fs::File::options().write(true).open(folder.join("new.so")).unwrap().set_modified(written).unwrap();
    fs::rename(folder.join("new.so"), &path).unwrap();
    assert!(Arc::ptr_eq(&load().unwrap(), &library));
    let later = written + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(Arc::ptr_eq(&load().unwrap(), &library), "its bytes are known by now");
}

/// A ConfigMap: the folder is a link that is exchanged.
#[test]
fn where_a_link_leads_to_another_file_the_same_bytes_are_the_same_plugin_and_others_are_loaded() {
    let folder = Folder::new();
    for (place, version) in [("v1", "1"), ("v2", "1"), ("v3", "2")] {
        fs::create_dir(folder.join(place)).unwrap();
        self::version(version).compile(&folder.join(place).join("sample.so"));
    }
    let link = folder.join("data");
    let load = |place: &str| {
        symlink(place, folder.join("new")).unwrap();
        fs::rename(folder.join("new"), &link).unwrap();
        loader(Trust::Strict).load("sample", &pinned(&link.join("sample.so"), None)).unwrap()
    };
    let first = load("v1");
    Loader::remember_contents();
    let (copied, newer) = (load("v2"), load("v3"));
    assert!(Arc::ptr_eq(&first, &copied));
    assert_eq!((first.version(), newer.version()), ("1", "2"));
    assert!(Arc::ptr_eq(&newer, &load("v3")));
    assert!(Arc::ptr_eq(&first, &load("v1")), "it was never unloaded");
}

#[test]
fn the_code_of_a_plugin_that_was_replaced_or_removed_stays_in_use_unless_strict_and_that_is_said_once() {
    logged();
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let load = |trust| loader(trust).load("sample", &folder.plugins());
    let library = load(Trust::Lenient).unwrap();
    let goes_on = |because: &str| {
        for _ in 0..2 {
            assert!(Arc::ptr_eq(&load(Trust::Lenient).unwrap(), &library));
        }
        assert!(load(Trust::Strict).is_err());
        let said = logged_about(&format!("{}{because}", path.display()));
        let said: Vec<_> = said.into_iter().filter(|(level, _, _)| *level == log::Level::Warn).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        let ends = "the code that it has, version 1, stays in use until the process is started anew";
        assert!(said[0].2.ends_with(ends), "{said:?}");
    };
    version("2").compile(&folder.join("new.so"));
    fs::rename(folder.join("new.so"), &path).unwrap();
    goes_on(" has changed since this process loaded it");
    fs::remove_file(&path).unwrap();
    goes_on(" is gone since this process loaded it");
    symlink("nowhere", &path).unwrap();
    goes_on(" cannot be read any more since this process loaded it");
    // What stands there and is no file at all is somebody's mistake, and a pin is asked of a file.
    fs::remove_file(&path).unwrap();
    assert!(loader(Trust::Lenient).load("sample", &pinned(&path, Some([1; 32]))).is_err());
    fs::create_dir(&path).unwrap();
    assert!(matches!(load(Trust::Lenient).unwrap_err().failure, LoadFailure::NotAFile(..)));
    assert!(loader(Trust::Lenient).load("other", &folder.plugins()).is_err(), "it was never loaded");
}

#[test]
fn a_pinned_plugin_runs_from_memory_so_that_its_file_may_change_and_a_new_pin_gives_new_code() {
    let folder = Folder::new();
    // Versions of this test's own: the same bytes would be the library of another test.
    let path = version("memory-1").install(&folder);
    let first = loader(Trust::Strict).load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap();
    let code = super::super::mapping::at(first.functions().destroy as usize).unwrap();
    assert!(code.path.to_str().unwrap().contains("memfd:tracer-plugin"), "{code:?}");
    assert_eq!(first.sha256(), Some(sha256_of(&path)));
    assert_eq!(first.path(), path);

    version("memory-2").compile(&folder.join("new.so"));
    fs::rename(folder.join("new.so"), &path).unwrap();
    let second = loader(Trust::Strict).load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap();
    assert_eq!((first.version(), second.version()), ("memory-1", "memory-2"));
}

#[test]
fn the_same_pinned_bytes_are_one_library_wherever_they_lie() {
    let (first, second) = (Folder::new(), Folder::new());
    let path = version("copied").install(&first);
    let copy = second.join("copy.so");
    fs::copy(&path, &copy).unwrap();
    let load = |path: &Path| loader(Trust::Strict).load("sample", &pinned(path, Some(sha256_of(path)))).unwrap();
    assert!(Arc::ptr_eq(&load(&path), &load(&copy)));
}

#[test]
fn a_pinned_plugin_that_was_loaded_is_checked_again_when_it_is_asked_for_again() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let plugins = pinned(&path, Some(sha256_of(&path)));
    loader(Trust::Strict).load("sample", &plugins).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"x").unwrap();
    let error = loader(Trust::Strict).load("sample", &plugins).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::PinMismatch { .. }), "{error}");
}

#[test]
fn the_memory_a_pinned_plugin_runs_from_cannot_be_changed() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let copy = PluginFile::open(&path).unwrap().unwrap().sealed_copy().unwrap();
    assert_eq!(copy.sha256, sha256_of(&path));
    let memory = fs::File::from(copy.memory.try_clone().unwrap());
    let length = memory.metadata().unwrap().len();
    let refused = |attempt: std::io::Result<()>| assert_eq!(attempt.unwrap_err().raw_os_error(), Some(libc::EPERM));
    refused(memory.write_at(b"x", 0).map(drop));
    refused(memory.write_at(b"x", length).map(drop));
    refused(memory.set_len(0));
    refused(memory.set_len(length + 1));
}

/// A reload tries it every minute.
#[test]
fn a_pinned_plugin_that_is_refused_each_time_is_in_memory_once_at_most() {
    let folder = Folder::new();
    let (unmapped, no_plugin) = (folder.join("unmapped.so"), folder.join("no_plugin.so"));
    compile("extern void it_is_in_vain(void); void user(void); void user(void) { it_is_in_vain(); }", &unmapped);
    CPlugin { entry: "something_in_vain", ..CPlugin::default() }.compile(&no_plugin);
    for (path, at_last) in [(unmapped, 0), (no_plugin, 1)] {
        let bytes = fs::read(&path).unwrap();
        let is_copy = |entry: &fs::DirEntry| {
            let is_memory =
                fs::read_link(entry.path()).is_ok_and(|to| to.starts_with("/memfd:tracer-plugin (deleted)"));
            is_memory && fs::read(entry.path()).is_ok_and(|read| read == bytes)
        };
        for _ in 0..3 {
            assert!(loader(Trust::Strict).load("sample", &pinned(&path, Some(sha256_of(&path)))).is_err());
        }
        assert_eq!(fs::read_dir("/proc/self/fd").unwrap().flatten().filter(is_copy).count(), at_last, "{path:?}");
    }
}

#[test]
fn a_descriptor_number_that_is_a_name_is_never_used_twice_even_if_somebody_closed_it() {
    let folder = Folder::new();
    let file = PluginFile::open(&version("1").install(&folder)).unwrap().unwrap();
    let first = file.sealed_copy().unwrap();
    let number = first.memory.as_raw_fd();
    first.is_a_name();
    drop(first);
    assert!(file.sealed_copy().unwrap().memory.as_raw_fd() > number);
}

#[test]
fn a_process_that_closes_all_its_descriptors_still_gets_the_plugin_it_asks_for() {
    let folder = Folder::new();
    let load = |version: &'static str| {
        let path = folder.join(version);
        self::version(version).compile(&path);
        loader(Trust::Strict).load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap()
    };
    let first = load("closed-1");
    let inode = super::super::mapping::at(first.functions().destroy as usize).unwrap().inode;
    let is_ours = |number: &i32| {
        let path = format!("/proc/self/fd/{number}");
        let is_memory = fs::read_link(&path).is_ok_and(|target| target.starts_with("/memfd:tracer-plugin (deleted)"));
        is_memory && fs::metadata(&path).is_ok_and(|metadata| metadata.ino() == inode)
    };
    let number = (0..4096).find(is_ours).unwrap();
    // SAFETY: found to be the memory file of the plugin above, which no other test knows.
    assert_eq!(unsafe { libc::close(number) }, 0);
    let second = load("closed-2");
    assert_eq!((first.version(), second.version()), ("closed-1", "closed-2"));
}

#[test]
fn a_library_that_is_not_the_one_that_was_checked_is_refused() {
    let folder = Folder::new();
    let path = version("1").install(&folder);
    let origin = Origin::File { path: path.clone(), sha256: Some([0; 32]) };
    // The inode of something else: what a name used twice leads to.
    let error = open("sample", &path, &path, Some(1), origin).unwrap_err();
    assert_eq!(
        folder.hide_in(&error),
        "P103 plugin `sample`: loading DIR/libtracer_plugin_sample.so gave another library than the one that was checked\n\
         help: restart the process, or install the new version under a new file name"
    );
}

#[test]
fn where_memory_files_are_forbidden_a_pinned_plugin_is_loaded_by_its_path_with_a_warning() {
    logged();
    let folder = Folder::new();
    let path = version("by-path-1").install(&folder);
    let forbidden = |_: &PluginFile| Err(std::io::Error::from_raw_os_error(libc::EACCES));
    let loader = Loader::for_test(Trust::Strict, Vec::new(), forbidden);
    let library = loader.load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap();
    assert_eq!(super::super::mapping::at(library.functions().destroy as usize).unwrap().path, path);
    let lines = logged_about(path.to_str().unwrap());
    assert!(lines.iter().any(|(level, _, text)| *level == log::Level::Warn && text.contains("refuses memory files")));

    // By its path it has the limits of any path: another file there would be the old code.
    version("by-path-2").compile(&folder.join("new.so"));
    fs::rename(folder.join("new.so"), &path).unwrap();
    let error = loader.load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::ChangedOnDisk(_)), "{error}");
}

#[test]
fn a_file_swapped_while_it_is_loaded_by_its_path_is_not_used() {
    let folder = Folder::new();
    // Its constructor does what an attacker with write access does between the check and the load.
    let path = folder.join("libtracer_plugin_sample.so");
    let plugin = CPlugin {
        more: format!(
            "#include <stdio.h>\n__attribute__((constructor)) static void swap(void) \
             {{ FILE *file = fopen({path:?}, \"ab\"); if (file) {{ fputs(\"x\", file); fclose(file); }} }}"
        ),
        ..CPlugin::default()
    };
    plugin.install(&folder);
    let forbidden = |_: &PluginFile| Err(std::io::Error::from_raw_os_error(libc::EACCES));
    let loader = Loader::for_test(Trust::Strict, Vec::new(), forbidden);
    let error = loader.load("sample", &pinned(&path, Some(sha256_of(&path)))).unwrap_err();
    assert!(matches!(error.failure, LoadFailure::PinMismatch { .. }), "{error}");
}

#[test]
fn a_loaded_plugin_stays_loaded_even_if_somebody_closes_our_handle() {
    let folder = Folder::new();
    let path = CPlugin::default().install(&folder);
    let library = loader(Trust::Strict).load("sample", &pinned(&path, None)).unwrap();
    let code = library.functions().destroy as usize;
    drop(library);
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `name` is NUL-terminated; no code of the library runs or is called any more by this test.
    unsafe {
        let again = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
        assert!(!again.is_null());
        libc::dlclose(again);
        libc::dlclose(again);
    }
    assert!(super::super::mapping::at(code).is_some());
}

#[test]
fn a_plugin_linked_into_the_program_needs_no_file_but_a_configured_file_wins() {
    use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, abi::tracer_plugin, plugin_table};

    struct LinkedIn;
    impl Backend for LinkedIn {
        const TYPE_NAME: &'static str = "linked-in";
        const VERSION: &'static str = "9";
        const CONFIG_SCHEMA: &'static str = "{}";
        fn validate(_: &str) -> Result<(), BackendError> {
            Ok(())
        }
        fn create(_: &CreateArgs<'_>) -> Result<Self, BackendError> {
            Ok(Self)
        }
        fn export(&self, _: &Batch<'_>, _: std::time::Duration) -> Result<(), BackendError> {
            Ok(())
        }
    }
    static TABLE: tracer_plugin = plugin_table::<LinkedIn>();

    // SAFETY: the table is static, and so are its functions.
    let error = unsafe { Loader::register("other", &TABLE) }.unwrap_err();
    assert!(
        error.to_string().contains("plugin `other`: (linked into the program) breaks the plugin contract"),
        "{error}"
    );
    // SAFETY: as above.
    let registered = unsafe { Loader::register("linked-in", &TABLE) }.unwrap();
    let found = loader(Trust::Strict).load("linked-in", &Plugins::default()).unwrap();
    assert!(Arc::ptr_eq(&registered, &found));
    let mut plugins = pinned(Path::new("/nonexistent/x.so"), None);
    plugins.entries[0].name = "linked-in".to_owned();
    assert!(loader(Trust::Strict).load("linked-in", &plugins).is_err());
}

/// A prefork server whose parent looks at its file while it forks: without a lock of its own the child waits for ever for a
/// thread that is not there.
#[test]
fn a_child_that_is_forked_while_a_plugin_is_loaded_loads_for_itself() {
    let loader = Loader::new(Trust::Lenient);
    loader.load("misbehaving", &Plugins::default()).unwrap();
    let loading = super::super::loader::changing();
    assert!(child_is_well(|| loader.load("misbehaving", &Plugins::default()).is_ok()));
    drop(loading);
}

/// Its constructor takes its time, and then it is ready.
const SLOW: &str = "#include <stdio.h>
#include <unistd.h>
static int is_ready;
__attribute__((constructor)) static void construct(void)
{ fclose(fopen(BEGUN, \"w\")); usleep(1000 * TAKES_MS); is_ready = 1; }";

/// What a child finds that is forked while the plugin's constructor runs, which takes so long.
fn loaded_in_a_child_of_the_midst(milliseconds: u32, is_well: impl FnOnce(Result<(), LoadError>) -> bool) {
    let folder = Folder::new();
    let begun = folder.join("begun");
    let more = format!("#define BEGUN {begun:?}\n#define TAKES_MS {milliseconds}\n{SLOW}");
    CPlugin { more, returns: "is_ready ? &table : 0", ..CPlugin::default() }.install(&folder);
    let plugins = folder.plugins();
    std::thread::scope(|scope| {
        let parent = scope.spawn(|| loader(Trust::Lenient).load("sample", &plugins).map(|_| ()));
        while !begun.exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(child_is_well(|| is_well(loader(Trust::Lenient).load("sample", &plugins).map(|_| ()))));
        parent.join().unwrap().unwrap();
    });
}

/// Without the handler in `forks` the child has a library whose constructor never came to its end.
#[test]
fn a_fork_waits_for_a_plugin_that_is_being_loaded() {
    loaded_in_a_child_of_the_midst(100, |loaded| loaded.is_ok());
}

/// The linker of the child takes the library for whole. Without `Registry::loading` so do we.
#[test]
fn what_was_half_loaded_at_a_fork_is_not_used_in_the_child() {
    loaded_in_a_child_of_the_midst(4000, |loaded| {
        matches!(loaded, Err(LoadError { failure: LoadFailure::HalfLoaded(_), .. }))
    });
}

/// It holds no lock of ours, nor of the linker's.
#[test]
fn an_entry_that_never_comes_back_keeps_no_other_plugin_from_being_loaded() {
    let (hangs, works) = (Folder::new(), Folder::new());
    let more = "#include <unistd.h>\nstatic const tracer_plugin *hang(void) { for (;;) pause(); }";
    CPlugin { more: more.to_owned(), returns: "hang()", type_name: "hangs", ..CPlugin::default() }
        .compile(&hangs.join("libtracer_plugin_hangs.so"));
    CPlugin::default().install(&works);
    let plugins = hangs.plugins();
    std::thread::spawn(move || loader(Trust::Lenient).load("hangs", &plugins).map(|_| ()));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let loaded = super::super::host_thread::within(std::time::Duration::from_secs(30), move || {
        loader(Trust::Lenient).load("sample", &works.plugins()).map(|_| ())
    });
    assert!(matches!(loaded, Ok(Ok(()))), "{loaded:?}");
}

/// Says in a file what it is called for.
fn of_forks(folder: &Folder, capabilities: &'static str) -> Arc<PluginLibrary> {
    of_forks_with(folder, capabilities, "")
}

fn of_forks_with(folder: &Folder, capabilities: &'static str, also: &str) -> Arc<PluginLibrary> {
    let more = format!(
        "{also}\n#include <stdio.h>\n#include <string.h>
static void note(const char *what) {{ FILE *file = fopen({:?}, \"a\"); fputs(what, file); fclose(file); }}
static void after_fork(void) {{ note(\"after_fork\\n\"); }}
static const tracer_after_fork forks = {{ sizeof(tracer_after_fork), 0, after_fork }};
static const void *find(tracer_str id)
{{ return id.len == strlen(TRACER_EXT_AFTER_FORK) && !memcmp(id.ptr, TRACER_EXT_AFTER_FORK, id.len) ? &forks : 0; }}",
        folder.join("report")
    );
    const FUNCTIONS: &str = "validate, create, export_batch, timed, timed, destroy, stats, find";
    CPlugin { more, capabilities, functions: FUNCTIONS, ..CPlugin::default() }.install(folder);
    loader(Trust::Lenient).load("sample", &folder.plugins()).unwrap()
}

#[test]
fn a_plugin_is_told_once_of_a_fork_before_it_makes_anything_in_the_child() {
    let folder = Folder::new();
    let library = of_forks(&folder, "0");
    let create = || library.is_ready().is_ok();
    assert!(create() && !folder.join("report").exists(), "nothing was forked");
    assert!(child_is_well(|| create() && create()));
    assert_eq!(fs::read_to_string(folder.join("report")).unwrap(), "after_fork\n");
}

#[test]
fn a_plugin_that_says_so_is_left_alone_in_a_child_of_who_loaded_it() {
    let folder = Folder::new();
    let library = of_forks(&folder, "TRACER_CAP_NOT_IN_FORKED_CHILDREN");
    assert!(library.is_ready().is_ok());
    assert!(child_is_well(|| library.is_ready().is_err_and(|why| why.contains("child of a fork"))));
    assert!(!folder.join("report").exists());
    // The child loads one by itself that its parent had not.
    let other = Folder::new();
    assert!(child_is_well(|| of_forks(&other, "TRACER_CAP_NOT_IN_FORKED_CHILDREN").is_ready().is_ok()));
}

/// What Go's linker leaves in what it links.
const NOTE_OF_GO: &str =
    r#"__asm__(".pushsection .note.go.buildid,\"a\",@note\n.long 4, 4, 4\n.ascii \"Go\\0\\0abcd\"\n.popsection");"#;

#[test]
fn a_plugin_in_go_is_left_alone_in_a_child_of_who_loaded_it_without_saying_so() {
    let folder = Folder::new();
    let library = of_forks_with(&folder, "0", NOTE_OF_GO);
    assert!(library.is_ready().is_ok());
    assert!(child_is_well(|| library.is_ready().is_err_and(|why| why.contains("it is written in Go"))));
    assert!(!folder.join("report").exists(), "nothing of it is called");
}

/// What a plugin calls by a name that another has too is its own.
#[test]
fn two_versions_of_a_plugin_stand_side_by_side_under_two_names() {
    let versions = ["old", "new"].map(|which| {
        let folder = Folder::new();
        let more = format!(
            "#define OWN_VALIDATE\n#include <string.h>
__attribute__((visibility(\"default\"))) const char *which(void) {{ return \"{which}\"; }}
static tracer_code validate(const tracer_validate_args *args, tracer_error *error)
{{ (void)args; strcpy(error->message, which()); return TRACER_ERR_CONFIG; }}"
        );
        let path = CPlugin { more, ..CPlugin::default() }.install(&folder);
        (folder, path)
    });
    let [(_old, old), (_new, new)] = &versions;
    let named = |name: &str, file: &Path| PluginEntry { name: name.to_owned(), ..entry(Some(file), None) };
    let plugins = Plugins { entries: vec![named("sample-old", old), named("sample", new)], ..Plugins::default() };
    let said = |name: &str| {
        let library = loader(Trust::Lenient).load(name, &plugins).unwrap();
        library.check(&serde_json::json!({}), &[])[0].message.clone()
    };
    assert_eq!(["sample-old", "sample", "sample-old"].map(said), ["old", "new", "old"]);
    let wrong = Plugins { entries: vec![named("sampler", old), named("sample-", old)], ..Plugins::default() };
    for name in ["sampler", "sample-"] {
        assert!(loader(Trust::Lenient).load(name, &wrong).is_err(), "{name}");
    }
}
