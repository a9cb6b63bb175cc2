//! `Loader`: from a plugin's name to its library, and the process's list of what is loaded.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use tracer_plugin_api::abi::{TRACER_ABI_MINOR, TRACER_PLUGIN_SYMBOL, tracer_plugin, tracer_plugin_entry};

use super::calls::{self, MayThrow as _, inside};
use super::forks::undisturbed;
use super::library::{Origin, PluginLibrary};
use super::load_error::{LoadError, LoadFailure, Tried};
use super::mapping;
use super::plugin_file::{Identity, PluginFile, SealedCopy, Stamp};
use super::search::{self, Candidate, Search};
use super::table::is_called;
use crate::config::{Plugins, Variables};
use crate::diagnostics;
use crate::per_process::{self, FirstMade, PerProcess};
use crate::swap::Swap;
use crate::trusted_path;

/// What to do about a plugin that somebody else may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Load it, and warn.
    Lenient,
    /// Refuse it.
    Strict,
}

impl Trust {
    /// Strict, whatever was asked for, in a process that has more rights than whoever started it (setuid): nobody with
    /// fewer rights may choose what code runs there.
    pub(super) fn in_process_of(self, variables: &Variables) -> Self {
        if variables.are_withheld() { Self::Strict } else { self }
    }
}

/// Finds and loads plugins. All loaders of a process share one list: a file is loaded once, whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    trust: Trust,
    /// The process has more rights than whoever started it: nobody else may write to its plugins, whatever is said.
    withheld: bool,
    default_places: Vec<PathBuf>,
    /// [`PluginFile::sealed_copy`]; tests put a system in its place that refuses memory files.
    seal: fn(&PluginFile) -> io::Result<SealedCopy>,
}

impl Loader {
    /// A loader that also searches beside the code of ours that runs, and the system's folders.
    pub(crate) fn new(trust: Trust) -> Self {
        let variables = Variables::process();
        let (trust, withheld) = (trust.in_process_of(&variables), variables.are_withheld());
        let default_places = search::default_places(mapping::own_folder().as_deref());
        Self { trust, withheld, default_places, seal: PluginFile::sealed_copy }
    }

    /// A loader that searches beside the library in `folder`, as that library would: for who asks on its behalf.
    pub(crate) fn for_library_in(folder: &Path, trust: Trust) -> Self {
        Self { default_places: search::default_places(Some(folder)), ..Self::new(trust) }
    }

    /// The names of the plugins that lie in the places searched, or to which `plugins` gives a file.
    pub(crate) fn present(&self, plugins: &Plugins) -> Vec<String> {
        // Whatever the name, the places are the same.
        let unnamed = Plugins { entries: Vec::new(), ..plugins.clone() };
        let search = Search::new("any", &unnamed, &self.default_places, self.trusts_any_writer(plugins));
        let mut names = search.map_or_else(|_| Vec::new(), |search| search.present());
        names.extend(plugins.entries.iter().filter(|entry| entry.file.is_some()).map(|entry| entry.name.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }

    #[cfg(test)]
    pub(super) fn for_test(
        trust: Trust,
        default_places: Vec<PathBuf>,
        seal: fn(&PluginFile) -> io::Result<SealedCopy>,
    ) -> Self {
        Self { trust, withheld: false, default_places, seal }
    }

    /// As in a process that has more rights than whoever started it.
    #[cfg(test)]
    pub(super) fn withhold(&mut self) {
        self.withheld = true;
    }

    /// The plugin of this name: linked into the program, loaded before, or loaded now. Code of the plugin (its
    /// constructors) runs in here; with a pin, only after its hash was found right.
    ///
    /// Not for hot paths: reads files, and waits for other threads that load.
    pub(crate) fn load(&self, name: &str, plugins: &Plugins) -> Result<Arc<PluginLibrary>, LoadError> {
        let alone = one_at_a_time(name);
        let _alone = alone.lock().unwrap_or_else(PoisonError::into_inner);
        let refuse = |failure| LoadError::new(name, failure);
        let pin = search::entry(name, plugins).and_then(|entry| entry.sha256);
        let search =
            Search::new(name, plugins, &self.default_places, self.trusts_any_writer(plugins)).map_err(refuse)?;
        if !search.explicit && pin.is_none() {
            if let Some(linked_in) = Registry::now().linked_in(name) {
                return Ok(linked_in);
            }
        }
        let (file, named) = match find(name, &search) {
            Ok(found) => found,
            Err(failure) => return self.keep_what_is_gone(name, &search, pin, failure),
        };
        self.check_trust(name, &file, &named, self.trusts_any_writer(plugins))?;
        match pin {
            None => {
                let origin = Origin::File { path: file.path.clone(), sha256: None };
                match self.load_by_path(name, &file, &named, origin) {
                    Err(LoadError { failure: LoadFailure::ChangedOnDisk(path), .. }) => {
                        self.keep_what_changed(name, path)
                    }
                    loaded => loaded,
                }
            }
            Some(pin) => self.load_pinned(name, &file, &named, pin),
        }
    }

    /// The file is another one now than that whose code this process has: a reload goes on with this code.
    fn keep_what_changed(&self, name: &str, path: PathBuf) -> Result<Arc<PluginLibrary>, LoadError> {
        let loaded = Registry::now().from(|known| known.path == path).filter(|_| self.trust == Trust::Lenient);
        let Some(loaded) = loaded else { return Err(LoadError::new(name, LoadFailure::ChangedOnDisk(path))) };
        go_on_with(name, loaded, &format!("{} has changed since this process loaded it", path.display()))
    }

    /// The file cannot be had any more: a reload goes on with its code, if this process has it. A pin is asked of a file.
    fn keep_what_is_gone(
        &self,
        name: &str,
        search: &Search,
        pin: Option<[u8; 32]>,
        failure: LoadFailure,
    ) -> Result<Arc<PluginLibrary>, LoadError> {
        let registry = Registry::now();
        let mut allowed = search.candidates.iter().filter(|candidate| candidate.barred.is_none());
        let known = allowed.find_map(|candidate| registry.from(|known| known.named == candidate.path));
        let Some(loaded) = known.filter(|_| self.trust == Trust::Lenient && pin.is_none()) else {
            return Err(LoadError::new(name, failure));
        };
        let what = match failure {
            LoadFailure::NotFound { .. } => format!("{} is gone since this process loaded it", loaded.path().display()),
            LoadFailure::Unreadable(path, error) => {
                format!("{} cannot be read any more since this process loaded it ({error})", path.display())
            }
            other => return Err(LoadError::new(name, other)),
        };
        go_on_with(name, loaded, &what)
    }

    /// Reads the files of what is loaded, as far as that was not done and nobody has touched them since: they may be touched by
    /// the time of the next reload. On a thread that may wait for a disk.
    pub(crate) fn remember_contents() {
        for (key, _) in &Registry::now().loaded {
            let Key::Path(known) = key else { continue };
            let is_it = |file: &PluginFile| file.identity == known.identity && file.stamp == known.stamp;
            let open = || PluginFile::open(&known.path).ok().flatten().filter(is_it);
            if known.content.get().is_some() {
                continue;
            }
            if let Some(content) = open().and_then(|file| file.content().ok()).filter(|_| open().is_some()) {
                known.content.get_or_init(|| content);
            }
        }
    }

    /// Makes a plugin known that is linked into the program: for hosts that cannot load libraries, and for tests.
    ///
    /// It is taken when its name is asked for and the configuration names neither a file nor a pin.
    ///
    /// # Safety
    ///
    /// `table` is what the plugin's `tracer_plugin_v1` returns: constant, and its functions callable, for ever.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no integration of ours is a program that cannot load libraries yet")
    )]
    pub(crate) unsafe fn register(name: &str, table: *const tracer_plugin) -> Result<Arc<PluginLibrary>, LoadError> {
        // SAFETY: the caller's promise is the one that is asked for.
        let library = Arc::new(unsafe { PluginLibrary::from_table(table, name, Origin::Program) }?);
        Registry::change(|registry| registry.add(Key::Program(name.to_owned()), &library));
        Ok(library)
    }

    /// Whether what everybody may write to is trusted all the same.
    fn trusts_any_writer(&self, plugins: &Plugins) -> bool {
        plugins.allow_world_writable && !self.withheld
    }

    /// Looks at the way by which the file was opened, `named`, after that: found in nobody else's hands, it has been so,
    /// and the system's loader will open the same file by it.
    fn check_trust(&self, name: &str, file: &PluginFile, named: &Path, any_writer: bool) -> Result<(), LoadError> {
        let mut folders = [named, &file.path].into_iter().filter_map(Path::parent).filter(|_| !any_writer);
        let doubt = trusted_path::doubt(named, any_writer).or_else(|| folders.find_map(trusted_path::open_to_everyone));
        let Some(doubt) = doubt else { return Ok(()) };
        let problem = LoadError::new(name, LoadFailure::Untrusted(file.path.clone(), doubt));
        if self.trust == Trust::Strict {
            return Err(problem);
        }
        Registry::warn_once(format!("{}; {}", problem.message(), problem.help()));
        Ok(())
    }

    fn load_pinned(
        &self,
        name: &str,
        file: &PluginFile,
        named: &Path,
        pin: [u8; 32],
    ) -> Result<Arc<PluginLibrary>, LoadError> {
        let unreadable = |error| LoadError::new(name, LoadFailure::Unreadable(file.path.clone(), error));
        let matches_pin = |found: [u8; 32]| {
            let path = file.path.clone();
            let mismatch = LoadFailure::PinMismatch { path, expected: pin, found };
            if found == pin { Ok(()) } else { Err(LoadError::new(name, mismatch)) }
        };
        if let Some(loaded) = Registry::now().get(&Key::Pinned(pin)) {
            matches_pin(file.sha256().map_err(unreadable)?)?;
            return has_type(name, loaded);
        }
        let origin = Origin::File { path: file.path.clone(), sha256: Some(pin) };
        let sealed = match Registry::now().copy_of(pin) {
            Some(copy) => {
                matches_pin(file.sha256().map_err(unreadable)?)?;
                Ok(copy)
            }
            None => (self.seal)(file).map(Arc::new),
        };
        let library = match sealed {
            Ok(copy) => {
                matches_pin(copy.sha256)?;
                let library = undisturbed(|| open(name, &file.path, &copy.path(), Some(copy.inode), origin));
                let failure = library.as_ref().err().map(|error| &error.failure);
                if !matches!(failure, Some(LoadFailure::NotLoadable(..))) {
                    copy.is_a_name();
                    // Else that of another.
                    if !matches!(failure, Some(LoadFailure::OtherLibrary(_))) {
                        Registry::change(|registry| registry.keep(copy));
                    }
                }
                library.inspect(tell)?
            }
            Err(refusal) => {
                matches_pin(file.sha256().map_err(unreadable)?)?;
                let what = format!(
                    "plugin `{name}`: the system refuses memory files ({refusal}); {} has the pinned sha256 and is loaded \
                     by its path, which whoever may write there could change in between",
                    file.path.display()
                );
                diagnostics::say(LOG_TARGET, log::Level::Warn, &what);
                let library = self.load_by_path(name, file, named, origin)?;
                // Too late to keep its constructors from running, but not to keep it from being used.
                let reopened =
                    PluginFile::open(&file.path).ok().flatten().map(|again| (again.identity, again.sha256()));
                match reopened {
                    Some((identity, Ok(found))) if identity == file.identity => matches_pin(found)?,
                    _ => return Err(LoadError::new(name, LoadFailure::ChangedOnDisk(file.path.clone()))),
                }
                library
            }
        };
        Registry::change(|registry| registry.add(Key::Pinned(pin), &library));
        Ok(library)
    }

    fn load_by_path(
        &self,
        name: &str,
        file: &PluginFile,
        named: &Path,
        origin: Origin,
    ) -> Result<Arc<PluginLibrary>, LoadError> {
        let loaded = Registry::now();
        if let Some(loaded) = loaded.as_it_was(name, file)? {
            return has_type(name, loaded);
        }
        let mut of_disk = OnDisk {
            identity: file.identity,
            stamp: file.stamp,
            path: file.path.clone(),
            named: named.to_owned(),
            content: Arc::default(),
            is_mapped: false,
        };
        if let Some(loaded) = loaded.in_its_place(name, file, &of_disk)? {
            Registry::change(|registry| registry.add(Key::Path(of_disk), &loaded));
            return has_type(name, loaded);
        }
        of_disk.is_mapped = true;
        // With its marks: a fork between one of them and the loading would leave a child that takes for half what is whole.
        undisturbed(|| {
            // For a child that does not wait: it will have half of the library, and the linker there takes it for whole.
            let begun = (per_process::generation(), file.identity);
            Registry::change(|registry| registry.loading.push(begun));
            let opened = open(name, &file.path, &file.path, None, origin);
            Registry::change(|registry| {
                registry.loading.retain(|other| *other != begun);
                if let Ok(library) = &opened {
                    registry.add(Key::Path(of_disk), library);
                }
            });
            opened
        })
        .inspect(tell)
    }
}

/// With code of this process whose file is not what it was; said once.
fn go_on_with(name: &str, loaded: Arc<PluginLibrary>, what: &str) -> Result<Arc<PluginLibrary>, LoadError> {
    let loaded = has_type(name, loaded)?;
    let warning = format!(
        "plugin `{name}`: {what}; the code that it has, version {}, stays in use until the process is started anew",
        loaded.version()
    );
    Registry::warn_once(warning);
    Ok(loaded)
}

/// Whether the system does not say if there is such a file.
fn is_out_of_sight(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The first candidate that exists, and the path by which it was opened. One that exists and cannot be used is an error,
/// and not a reason to look further: what would be found then is not what the operator installed. One in a folder that
/// everybody may write to is passed over: nobody knows who installed it. So is a folder that may not be searched.
fn find(name: &str, search: &Search) -> Result<(PluginFile, PathBuf), LoadFailure> {
    let mut tried = Vec::new();
    let mut passed_over = Vec::new();
    let mut way_out = None;
    for Candidate { path, barred } in &search.candidates {
        let reason = if let Some(doubt) = barred {
            if path.exists() {
                passed_over.push(format!(
                    "plugin `{name}`: {} is not taken: {doubt}; {}",
                    path.display(),
                    doubt.help()
                ));
                way_out.get_or_insert_with(|| doubt.help());
            }
            format!("never searched: {doubt}")
        } else {
            match PluginFile::open(path) {
                Ok(Some(file)) => {
                    passed_over.into_iter().for_each(Registry::warn_once);
                    return Ok((file, path.clone()));
                }
                Ok(None) => {
                    let folder_is_there = path.parent().is_some_and(Path::is_dir);
                    if folder_is_there { "no such file" } else { "no such folder" }.to_owned()
                }
                // Nobody can tell whether there is one.
                Err(LoadFailure::Unreadable(_, error)) if search.candidates.len() > 1 && is_out_of_sight(path) => {
                    let reason = format!("its folder may not be searched: {error}");
                    passed_over.push(format!("plugin `{name}`: {} is not looked for: {reason}", path.display()));
                    reason
                }
                Err(failure) => return Err(failure),
            }
        };
        tried.push(Tried { path: path.clone(), reason });
    }
    Err(LoadFailure::NotFound {
        file_name: search.file_name.clone(),
        tried,
        present: search.present(),
        barred: way_out,
    })
}

/// Loads `file` under the name `loadable`, for ever, and checks what it is; to be called [`undisturbed`]. `inode` is what the kernel must say its code was
/// mapped from.
pub(super) fn open(
    name: &str,
    file: &Path,
    loadable: &Path,
    inode: Option<u64>,
    origin: Origin,
) -> Result<Arc<PluginLibrary>, LoadError> {
    let refuse = |failure| LoadError::new(name, failure);
    // NOW: a symbol that is missing is missing here, and not at the first export. LOCAL: nothing of one plugin is seen by
    // another. NODELETE: see RATIONALE, "Why is a plugin never unloaded?".
    let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: constructors of the library run here. That is what loading a plugin means; who may be loaded was decided by
    // the configuration, its folders and its pins.
    let library = inside(name, "constructors", || unsafe { Library::open(Some(loadable), flags) })
        .map_err(|error| refuse(LoadFailure::not_loadable(file, error.to_string(), inode.is_some())))?;
    let entry = find_entry(&library, file).map_err(refuse)?;
    // The handle is not needed any more, and must never be closed.
    std::mem::forget(library);
    if let (Some(expected), Some(mapping)) = (inode, mapping::at(entry as usize)) {
        if mapping.inode != expected {
            return Err(refuse(LoadFailure::OtherLibrary(file.to_owned())));
        }
    }
    calls::remember(entry as usize);
    // SAFETY: `find_entry` found it under the name for which the contract fixes this type; pure, any thread.
    let table = inside(name, "entry", || unsafe { entry.may_throw()(u32::from(TRACER_ABI_MINOR)) });
    // SAFETY: an entry point returned it, and its library is never unloaded.
    unsafe { PluginLibrary::from_table(table, name, origin) }.map(Arc::new)
}

/// Not where a fork waits: a logger may wait for who forks.
fn tell(library: &Arc<PluginLibrary>) {
    log::info!(target: LOG_TARGET, "loaded {}", library.description());
}

fn find_entry(library: &Library, file: &Path) -> Result<tracer_plugin_entry, LoadFailure> {
    // SAFETY: the contract fixes the type of what has this name.
    if let Ok(entry) = unsafe { library.get::<tracer_plugin_entry>(TRACER_PLUGIN_SYMBOL.as_bytes()) } {
        return Ok(*entry);
    }
    let speaks = |abi: &u32| {
        // SAFETY: only looked up, never called.
        unsafe { library.get::<*const ()>(format!("tracer_plugin_v{abi}").as_bytes()) }.is_ok()
    };
    Err(match (2..=9).find(speaks) {
        Some(abi) => LoadFailure::OtherAbi(file.to_owned(), abi),
        None => LoadFailure::NoSymbol(file.to_owned()),
    })
}

/// A file may be configured under two names; the plugin in it has one.
fn has_type(name: &str, library: Arc<PluginLibrary>) -> Result<Arc<PluginLibrary>, LoadError> {
    if is_called(library.type_name(), name) {
        return Ok(library);
    }
    let defect = format!("type_name is \"{}\", but the configuration calls it `{name}`", library.type_name());
    Err(LoadError::new(name, LoadFailure::Defective(library.path(), vec![defect])))
}

/// Held while a plugin of this name is loaded: of others nobody waits for it, whatever its code does.
fn one_at_a_time(name: &str) -> Arc<Mutex<()>> {
    static NAMES: PerProcess<Mutex<BTreeMap<String, Arc<Mutex<()>>>>> = PerProcess::new();
    let mut names = NAMES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(names.entry(name.to_owned()).or_default())
}

/// Held while the list of plugins is changed.
pub(super) fn changing() -> MutexGuard<'static, ()> {
    static CHANGING: PerProcess<Mutex<()>> = PerProcess::new();
    CHANGING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that this process has loaded. Only ever grows: nothing is unloaded.
#[derive(Clone, Debug, Default)]
struct Registry {
    loaded: Vec<(Key, Arc<PluginLibrary>)>,
    /// What is being loaded by its path, and in which process of those that were forked from each other.
    loading: Vec<(usize, Identity)>,
    /// What pinned plugins run from, and what was mapped in vain: asked again, it is not mapped again. Open for ever: a number is
    /// a library's name, and must not be given to another file.
    copies: Vec<Arc<SealedCopy>>,
    /// What was said already: several backends may have one plugin, and each reload asks again.
    warned: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// By path: the code is the file, as it was then.
    Path(OnDisk),
    /// By content: the same bytes are the same plugin, wherever they lie.
    Pinned([u8; 32]),
    Program(String),
}

/// A file whose bytes are a loaded plugin's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OnDisk {
    identity: Identity,
    stamp: Stamp,
    /// Without symbolic links.
    path: PathBuf,
    /// As it was looked for.
    named: PathBuf,
    /// Empty until [`Loader::remember_contents`]: who never reloads does not read whole files.
    content: Arc<FirstMade<u64>>,
    /// The code was loaded from this very file, and not from one with the same bytes: it stays mapped, so its inode's
    /// number stays its own.
    is_mapped: bool,
}

impl Registry {
    /// One thread of a process at a time. A child of a fork has the list as it was before what its parent was at, and does
    /// not wait for the parent's thread, which is not there.
    fn change<T>(change: impl FnOnce(&mut Self) -> T) -> T {
        let _alone = changing();
        let list = Self::list();
        let mut registry = Self::clone(&list.load());
        let result = change(&mut registry);
        list.store(Arc::new(registry));
        result
    }

    /// Of this process, and of those it was forked from.
    fn list() -> &'static Swap<Self> {
        static LIST: FirstMade<Swap<Registry>> = FirstMade::new();
        LIST.get_or_init(|| Swap::new(Arc::default()))
    }

    /// As it is now.
    fn now() -> Arc<Self> {
        Self::list().load()
    }

    fn add(&mut self, key: Key, library: &Arc<PluginLibrary>) {
        self.loaded.push((key, Arc::clone(library)));
    }

    /// What was loaded from the same file, by its path or by another of its names, if nobody has touched it since.
    fn as_it_was(&self, name: &str, file: &PluginFile) -> Result<Option<Arc<PluginLibrary>>, LoadError> {
        let own = per_process::generation();
        if self.loading.iter().any(|(process, identity)| *process != own && *identity == file.identity) {
            return Err(LoadError::new(name, LoadFailure::HalfLoaded(file.path.clone())));
        }
        Ok(self.from(|known| known.identity == file.identity && known.stamp == file.stamp))
    }

    /// What was loaded from the file that was in the place of this one, or is written anew, with the same bytes: a package
    /// was installed again, a link leads to another folder. An error if it has others: the system's loader, which goes by
    /// path and inode, would answer with the old code.
    fn in_its_place(
        &self,
        name: &str,
        file: &PluginFile,
        now: &OnDisk,
    ) -> Result<Option<Arc<PluginLibrary>>, LoadError> {
        let is_same_file = |known: &OnDisk| known.is_mapped && known.identity == now.identity;
        let was_there = |known: &OnDisk| is_same_file(known) || known.path == now.path;
        if self.from(|known| was_there(known) || known.named == now.named).is_none() {
            return Ok(None);
        }
        let unreadable = |error| LoadError::new(name, LoadFailure::Unreadable(now.path.clone(), error));
        let content = file.content().map_err(unreadable)?;
        let content = *now.content.get_or_init(|| content);
        let has_its_bytes = |known: &OnDisk| match known.content.get() {
            Some(known) => *known == content,
            None => known.stamp.is_of_the_same_write(now.stamp),
        };
        let same = self.from(|known| has_its_bytes(known) && (was_there(known) || known.named == now.named));
        if same.is_none() && self.from(was_there).is_some() {
            return Err(LoadError::new(name, LoadFailure::ChangedOnDisk(now.path.clone())));
        }
        Ok(same)
    }

    /// The latest that was loaded from such a file.
    fn from(&self, is_it: impl Fn(&OnDisk) -> bool) -> Option<Arc<PluginLibrary>> {
        let found = self.loaded.iter().rev().find(|(key, _)| matches!(key, Key::Path(known) if is_it(known)));
        found.map(|(_, library)| Arc::clone(library))
    }

    fn copy_of(&self, pin: [u8; 32]) -> Option<Arc<SealedCopy>> {
        self.copies.iter().find(|copy| copy.sha256 == pin).map(Arc::clone)
    }

    fn keep(&mut self, copy: Arc<SealedCopy>) {
        if self.copy_of(copy.sha256).is_none() {
            self.copies.push(copy);
        }
    }

    /// Said when nobody waits for the registry: the application's logger may take its time, or come back here.
    fn warn_once(warning: String) {
        let is_new = Self::change(|registry| {
            let is_new = !registry.warned.contains(&warning);
            registry.warned.extend(is_new.then(|| warning.clone()));
            is_new
        });
        if is_new {
            crate::diagnostics::say(LOG_TARGET, log::Level::Warn, &warning);
        }
    }

    fn linked_in(&self, name: &str) -> Option<Arc<PluginLibrary>> {
        self.get(&Key::Program(name.to_owned()))
    }

    fn get(&self, key: &Key) -> Option<Arc<PluginLibrary>> {
        self.loaded.iter().find(|(known, _)| known == key).map(|(_, library)| Arc::clone(library))
    }
}

const LOG_TARGET: &str = "tracer_resolver::plugin";
