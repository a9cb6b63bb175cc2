//! The files of the spool, whole and broken; what queues do with them is in `export/tests/spool.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::*;
use crate::config;
use crate::export::test_words::batch_of;
use crate::export::{BatchFacts, FinishedBatch};
use crate::plugin::child_is_well;

/// A folder for a spool, and a spool in it.
struct Bench {
    folder: tempfile::TempDir,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Instant::now() }
    }

    fn store(&self) -> Store {
        self.store_of(1 << 30)
    }

    fn store_of(&self, limit: u64) -> Store {
        Store::new("collector", &config::Spool { folder: self.folder.path().to_owned(), limit })
    }

    fn keep(&self, store: &Store, id: u64, spans: u32) -> Option<Slot> {
        store.keep(&batch(id, spans), self.now)
    }

    /// The one file with batches.
    fn file(&self) -> PathBuf {
        let all = self.files();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    fn files(&self) -> Vec<PathBuf> {
        let in_it = |folder: PathBuf| {
            place::segments(&folder).unwrap().into_iter().map(move |name| folder.join(name)).collect::<Vec<_>>()
        };
        self.folders().into_iter().flat_map(in_it).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        place::processes(&self.place()).unwrap_or_default()
    }

    fn place(&self) -> PathBuf {
        place::of_backend(self.folder.path(), "collector")
    }

    /// What another process finds of a store that was killed: the lock is the kernel's to give back.
    fn killed(&self, store: Store) {
        let folder = self.folders().remove(0);
        std::mem::forget(store);
        // Of another process, whose lock nobody has.
        let other = self.of_another("0123456789abcdef-0");
        for name in place::segments(&folder).unwrap() {
            fs::copy(folder.join(&name), other.join(&name)).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }

    /// The folder of a process that has ended, with nothing in it.
    fn of_another(&self, name: &str) -> PathBuf {
        let other = self.place().join(name);
        fs::create_dir_all(&other).unwrap();
        fs::set_permissions(self.place(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(other.join("lock"), "").unwrap();
        other
    }

    fn take_over(&self) -> (Store, u64) {
        let store = self.store();
        let spans = store.take_over(self.now, |_| ());
        (store, spans)
    }
}

fn batch(id: u64, spans: u32) -> Arc<FinishedBatch> {
    let mut batch = Arc::into_inner(batch_of(id, 100, &[(3, spans)])).unwrap();
    batch.id = id;
    batch.facts = BatchFacts { oldest_start: 7, resources: 1, services: vec![Arc::from("shop")] };
    batch.body.fill(u8::try_from(id).unwrap());
    Arc::new(batch)
}

/// The batches that are taken, by the byte that they are made of, with their spans.
fn taken(store: &Store) -> Vec<(u8, u32)> {
    let mut all = Vec::new();
    loop {
        match store.take() {
            Taken::Batch(batch, slot) => {
                assert!(batch.bytes().iter().all(|byte| *byte == batch.bytes()[0]) && batch.bytes().len() == 100);
                all.push((batch.bytes()[0], batch.item_count));
                store.is_done(&slot);
            }
            Taken::Lost(_) => {}
            Taken::Nothing => return all,
        }
    }
}

#[test]
fn what_a_killed_process_had_in_hand_is_taken_over_in_its_order_as_it_was_written() {
    let bench = Bench::new();
    let store = bench.store();
    let slots: Vec<_> = (1..=4).map(|id| bench.keep(&store, id, 10).unwrap()).collect();
    store.is_done(&slots[1]);
    store.is_on_its_way(&slots[2]);
    bench.killed(store);
    let (next, spans) = bench.take_over();
    assert_eq!(spans, 30);
    let Taken::Batch(first, slot) = next.take() else { panic!() };
    assert_eq!((first.facts.clone(), first.per_service.len()), (batch(1, 1).facts.clone(), 0), "others' spans");
    next.is_parked(&slot, &first);
    drop(slot);
    assert_eq!(taken(&next), [(3, 10), (4, 10), (1, 10)]);
    assert_eq!((next.stats().maybe_twice, next.stats().damaged), (10, 0));
    assert_eq!(bench.files(), Vec::<PathBuf>::new(), "nothing is left");
    next.tidy();
    drop(next);
    assert_eq!(bench.folders(), Vec::<PathBuf>::new());
}

/// Who takes it takes it off that count, too. And files are read meanwhile, for which nobody waits.
#[test]
fn what_others_have_left_is_counted_before_anybody_can_take_it() {
    let bench = Bench::new();
    let store = bench.store();
    bench.keep(&store, 1, 10).unwrap();
    bench.killed(store);
    let next = bench.store();
    let mut counted = 0;
    next.take_over(bench.now, |spans| {
        counted = spans;
        assert!(!next.has_parked() && matches!(next.take(), Taken::Nothing));
    });
    assert_eq!((counted, taken(&next)), (10, vec![(1, 10)]));
}

#[test]
fn own_batches_come_back_under_their_services_numbers() {
    let bench = Bench::new();
    let store = bench.store();
    let (kept, held) = (batch(1, 10), bench.keep(&store, 2, 5).unwrap());
    let slot = store.keep(&kept, bench.now).unwrap();
    assert!(!store.has_parked());
    store.is_parked(&slot, &kept);
    let Taken::Batch(again, slot) = store.take() else { panic!() };
    assert_eq!((again.per_service.as_slice(), again.bytes()), (kept.per_service.as_slice(), kept.bytes()));
    assert!(matches!(store.take(), Taken::Nothing), "the other is in memory");
    store.is_done(&slot);
    store.is_done(&held);
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
    assert!(bench.keep(&store, 3, 1).is_some(), "a new file is begun");
}

#[test]
fn a_folder_of_a_process_that_lives_is_left_alone() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    assert_eq!(bench.take_over().1, 0, "it is this very process's");
    bench.killed(store);
    let foreign = bench.file().parent().unwrap().to_owned();
    // A lock is one process's: another one has to hold it.
    let script = "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()";
    let mut holder = std::process::Command::new("python3");
    holder.args(["-c", script]).arg(foreign.join("lock"));
    holder.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let Ok(mut holder) = holder.spawn() else {
        eprintln!("SKIPPED: {}:{}: no python3 to hold a lock", file!(), line!());
        return;
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()), &mut line).unwrap();
    let next = bench.store();
    assert_eq!((line.trim(), next.take_over(bench.now, |_| ())), ("held", 0));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(next.take_over(bench.now, |_| ()), 10, "it has ended");
}

#[test]
fn a_torn_or_changed_record_is_passed_over_and_counted_and_the_others_are_not() {
    for (what, harm) in [
        (
            "a byte of a body",
            (|bytes: &mut Vec<u8>, second: usize| bytes[second + 150] ^= 1) as fn(&mut Vec<u8>, usize),
        ),
        ("a length", |bytes, second| bytes[second + 12..second + 16].copy_from_slice(&u32::MAX.to_le_bytes())),
        ("a short length", |bytes, second| bytes[second + 12] = 1),
        ("the word it begins with", |bytes, second| bytes[second] = 0),
        ("zeroes", |bytes, second| bytes[second..second + 200].fill(0)),
        ("what the file begins with", |bytes, _| bytes[..16].fill(b'x')),
        ("a byte of that", |bytes, _| bytes[5] ^= 1),
    ] {
        let bench = Bench::new();
        let store = bench.store();
        let slots: Vec<_> = (1..=3).map(|id| bench.keep(&store, id, 10).unwrap()).collect();
        let file = bench.file();
        let mut bytes = fs::read(&file).unwrap();
        let second = bytes.windows(4).enumerate().filter(|(_, word)| word == b"TRSP").map(|(at, _)| at).nth(2).unwrap();
        harm(&mut bytes, second);
        fs::write(&file, &bytes).unwrap();
        drop(slots);
        bench.killed(store);
        let (next, _) = bench.take_over();
        let all = [(1, 10), (2, 10), (3, 10)];
        let is_whole = what.starts_with("what the file") || what.ends_with("of that");
        let expected: Vec<_> = all.into_iter().filter(|(id, _)| is_whole || *id != 2).collect();
        assert_eq!(taken(&next), expected, "{what}");
        assert_eq!(next.stats().damaged, 1, "{what}");
        assert_eq!(bench.files(), Vec::<PathBuf>::new(), "{what}");
    }
}

#[test]
fn a_file_that_ends_in_the_midst_of_a_record_gives_those_before() {
    let bench = Bench::new();
    let store = bench.store();
    let _slots: Vec<_> = (1..=2).map(|id| bench.keep(&store, id, 10).unwrap()).collect();
    let file = bench.file();
    let length = fs::metadata(&file).unwrap().len();
    fs::File::options().write(true).open(&file).unwrap().set_len(length - 30).unwrap();
    bench.killed(store);
    let (next, spans) = bench.take_over();
    assert_eq!((spans, taken(&next), next.stats().damaged), (10, vec![(1, 10)], 1));
}

#[test]
fn spans_of_own_batches_that_cannot_be_read_are_lost_by_their_number() {
    let bench = Bench::new();
    let store = bench.store();
    for id in 1..=2 {
        let slot = bench.keep(&store, id, 10).unwrap();
        store.is_parked(&slot, &batch(id, 10));
    }
    fs::remove_file(bench.file()).unwrap();
    let Taken::Lost(lost) = store.take() else { panic!() };
    assert_eq!(lost, ByService::from([(3, 20)]));
    assert!(matches!(store.take(), Taken::Nothing) && !store.has_parked());
}

#[test]
fn a_file_of_another_version_stays_where_it_is() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    let file = bench.file();
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 9;
    fs::write(&file, bytes).unwrap();
    bench.killed(store);
    let copy = bench.file();
    for other in 0..40 {
        fs::copy(&copy, bench.of_another(&format!("another-{other}")).join("0000000000.batches")).unwrap();
    }
    let (next, spans) = bench.take_over();
    assert!(next.has_looked_everywhere(), "none of them is in the way of what can be sent");
    assert!(next.unread().unwrap().contains("not written by this version"));
    drop(next);
    assert_eq!((spans, bench.files().len()), (0, 41));
}

#[test]
fn folders_that_vanish_between_two_looks_do_not_hide_one_that_was_never_opened() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    bench.killed(store);
    let aside = bench.folder.path().join("aside");
    fs::rename(bench.file(), &aside).unwrap();
    fs::remove_dir_all(bench.folders().remove(0)).unwrap();
    for other in 0..200 {
        fs::write(
            bench.of_another(&format!("another-{other}")).join("0000000000.batches"),
            b"TRSPOOL\0\x09\0\0\0\0\0\0\0",
        )
        .unwrap();
    }
    let listed = bench.folders();
    let next = bench.store();
    assert_eq!((next.take_over(bench.now, |_| ()), next.take_over(bench.now, |_| ())), (0, 0));
    // It was not opened yet, and of those that were many vanish.
    fs::rename(aside, listed[150].join("0000000000.batches")).unwrap();
    listed[..60].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    let looks = std::iter::repeat_with(|| next.take_over(bench.now, |_| ()));
    let spans = looks.take(10).take_while(|spans| *spans > 0 || !next.has_looked_everywhere()).sum::<u64>();
    assert_eq!(spans, 10);
}

#[test]
fn what_is_no_file_of_the_spool_at_all_is_passed_over_and_goes() {
    let bench = Bench::new();
    fs::write(bench.of_another("another").join("0000000000.batches"), [b'x'; 1_000]).unwrap();
    let (next, spans) = bench.take_over();
    assert_eq!((spans, taken(&next), next.stats().damaged, bench.files().len()), (0, Vec::new(), 1, 0));
}

#[test]
fn what_others_have_left_comes_in_the_order_in_which_it_was_written() {
    let bench = Bench::new();
    let store = bench.store();
    let first = bench.keep(&store, 1, 10).unwrap();
    let aside = bench.folder.path().join("aside");
    fs::copy(bench.file(), &aside).unwrap();
    store.is_done(&first);
    let _second = bench.keep(&store, 2, 10).unwrap();
    bench.killed(store);
    fs::rename(aside, bench.file().with_file_name("0000000000.batches")).unwrap();
    assert_eq!(taken(&bench.take_over().0), [(1, 10), (2, 10)]);
}

#[test]
fn what_may_have_arrived_is_told_once_whatever_comes_of_later_calls() {
    for (answers, told) in [(&[false, false][..], 0), (&[true, false], 10), (&[false, true], 10)] {
        let bench = Bench::new();
        let store = bench.store();
        let slot = bench.keep(&store, 1, 10).unwrap();
        for may_be_stored in answers {
            store.is_on_its_way(&slot);
            store.waits(&slot, *may_be_stored);
        }
        store.is_parked(&slot, &batch(1, 10));
        for _ in 0..2 {
            let Taken::Batch(again, slot) = store.take() else { panic!() };
            assert_eq!(store.stats().maybe_twice, told, "{answers:?}");
            store.waits(&slot, false);
            store.is_parked(&slot, &again);
        }
        bench.killed(store);
        let (next, _) = bench.take_over();
        assert_eq!((taken(&next), next.stats().maybe_twice), (vec![(1, 10)], told), "{answers:?}");
    }
}

#[test]
fn a_spool_that_has_its_limit_takes_nothing_more_until_there_is_room() {
    let bench = Bench::new();
    let store = bench.store_of(1_000);
    let slots: Vec<_> = (1..=20).map_while(|id| bench.keep(&store, id, 1)).collect();
    assert!((2..8).contains(&slots.len()), "{}", slots.len());
    assert!(store.stats().bytes <= 1_000);
    slots.iter().for_each(|slot| store.is_done(slot));
    let later = bench.now + Duration::from_secs(60);
    assert!(store.keep(&batch(30, 1), later).is_some());
}

#[test]
fn a_folder_that_others_may_change_and_links_are_not_used() {
    let open = Bench::new();
    fs::set_permissions(open.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(open.keep(&open.store(), 1, 1).is_none(), "0777");
    fs::set_permissions(open.folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(open.keep(&open.store(), 1, 1).is_some(), "as /tmp is");

    let linked = Bench::new();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), linked.place()).unwrap();
    assert!(linked.keep(&linked.store(), 1, 1).is_none(), "a link in the folder's place");
    assert_eq!((fs::read_dir(elsewhere.path()).unwrap().count(), linked.take_over().1), (0, 0));

    let planted = Bench::new();
    let store = planted.store();
    let _slot = planted.keep(&store, 1, 10).unwrap();
    let file = planted.file();
    planted.killed(store);
    let copy = planted.files().remove(0);
    let target = elsewhere.path().join("file");
    fs::rename(&copy, &target).unwrap();
    symlink(&target, &copy).unwrap();
    assert_eq!((planted.take_over().1, target.exists(), file.exists()), (0, true, false), "a link in a file's place");
}

#[test]
fn files_and_folders_are_the_user_s_alone() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 1).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = bench.file();
    assert_eq!((mode(&file), mode(file.parent().unwrap()), mode(&bench.place())), (0o600, 0o700, 0o700));
}

#[test]
fn no_folder_no_right_and_no_disk_leave_the_batch_in_memory() {
    let store = Store::new("b", &config::Spool { folder: "/proc/spool".into(), limit: 1 << 30 });
    assert!(store.keep(&batch(1, 1), Instant::now()).is_none());
    let bench = Bench::new();
    let store = bench.store();
    let slot = bench.keep(&store, 1, 1).unwrap();
    fs::remove_dir_all(bench.place()).unwrap();
    assert!(bench.keep(&store, 2, 1).is_some(), "the folder is made again");
    store.is_done(&slot);
}

#[test]
fn what_one_queue_of_a_process_has_taken_over_no_other_one_takes_nor_gives_away() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    bench.killed(store);
    let (first, spans) = bench.take_over();
    let (second, none) = bench.take_over();
    assert_eq!((spans, none), (10, 0));
    drop(second);
    let folder = bench.folders().remove(0);
    assert!(child_is_well(|| matches!(Claim::take_over(&folder), Ok(None))), "the lock is still there");
    assert_eq!(taken(&first), [(1, 10)]);
}

/// By its number and its start nobody can tell them apart.
#[test]
fn what_the_process_left_before_an_exec_is_taken_and_what_another_copy_of_this_library_holds_is_not() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    let name = bench.folders()[0].file_name().unwrap().to_owned();
    bench.killed(store);
    let folder = bench.place().join(name);
    fs::rename(bench.folders().remove(0), &folder).unwrap();
    let held = fs::File::open(folder.join("lock")).unwrap();
    assert_eq!(bench.take_over().1, 0);
    drop(held);
    assert_eq!(bench.take_over().1, 10);
}

#[test]
fn batches_without_a_lock_are_left_alone_and_told() {
    let bench = Bench::new();
    let store = bench.store();
    let _slot = bench.keep(&store, 1, 10).unwrap();
    bench.killed(store);
    let folder = bench.folders().remove(0);
    fs::remove_file(folder.join("lock")).unwrap();
    let (next, spans) = bench.take_over();
    assert_eq!((spans, bench.files().len()), (0, 1));
    assert!(next.unread().unwrap().contains("no file `lock`"));
    fs::write(folder.join("lock"), "").unwrap();
    assert_eq!(next.take_over(bench.now, |_| ()), 10);
    assert_eq!(next.unread(), None);
}

#[test]
fn a_name_that_is_taken_costs_one_batch_its_place() {
    let bench = Bench::new();
    let store = bench.store();
    let slot = bench.keep(&store, 1, 1).unwrap();
    fs::write(bench.file().with_file_name("0000000001.batches"), "").unwrap();
    store.is_done(&slot);
    assert!(bench.keep(&store, 2, 1).is_none());
    assert!(bench.keep(&store, 3, 1).is_some());
}

#[test]
fn what_is_done_and_could_not_be_marked_is_not_taken_again_nor_does_it_cost_another_its_file() {
    let bench = Bench::new();
    let store = bench.store();
    let slots: Vec<_> = (1..=2).map(|id| bench.keep(&store, id, 10).unwrap()).collect();
    let (file, aside) = (bench.file(), bench.folder.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    store.is_done(&slots[0]);
    fs::rename(&aside, &file).unwrap();
    store.is_parked(&slots[1], &batch(2, 10));
    assert_eq!((taken(&store), bench.files().len()), (vec![(2, 10)], 0));
}

#[test]
fn what_comes_late_of_a_call_does_not_bring_back_what_is_done() {
    let bench = Bench::new();
    let store = bench.store();
    let slots: Vec<_> = (1..=2).map(|id| bench.keep(&store, id, 10).unwrap()).collect();
    store.is_done(&slots[0]);
    store.waits(&slots[0], false);
    bench.killed(store);
    assert_eq!(taken(&bench.take_over().0), [(2, 10)]);
}

/// Runs a test again, in a process that may not do what `limit` says: every thread of it may not.
fn limited(test: &str, limit: &str) -> bool {
    if std::env::var_os("TESTED_WITH_A_LIMIT").is_some() {
        return true;
    }
    let mut child = std::process::Command::new("sh");
    child.args(["-c", &format!("trap '' XFSZ; {limit}; exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap()).args(["--test-threads=1", test]).env("TESTED_WITH_A_LIMIT", "1");
    let ended = child.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{ended:?}");
    false
}

#[test]
fn a_disk_that_is_full_keeps_no_file_without_a_batch() {
    if limited("a_disk_that_is_full_keeps_no_file", "ulimit -f 0") {
        let bench = Bench::new();
        let store = bench.store();
        assert!(bench.keep(&store, 1, 1).is_none());
        assert!(bench.folders().len() == 1 && bench.files().is_empty());
    }
}

#[test]
fn a_process_without_descriptors_makes_no_folder_with_each_batch() {
    if limited("a_process_without_descriptors_makes_no_folder", "ulimit -n 64") {
        let bench = Bench::new();
        drop(bench.keep(&bench.store(), 1, 1).unwrap());
        let before = bench.folders();
        let all: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        assert!(Claim::make(&bench.place()).is_err());
        drop(all);
        assert_eq!(bench.folders(), before);
    }
}

#[test]
fn what_cannot_be_opened_for_want_of_descriptors_is_neither_lost_nor_removed() {
    if limited("what_cannot_be_opened_for_want_of_descriptors", "ulimit -n 64") {
        let bench = Bench::new();
        let store = bench.store();
        for id in 1..=2 {
            let slot = bench.keep(&store, id, 10).unwrap();
            store.is_parked(&slot, &batch(id, 10));
        }
        let all: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
        assert!(matches!(store.take(), Taken::Nothing) && store.has_parked());
        drop(all);
        assert_eq!((store.stats().damaged, bench.files().len()), (0, 1));
        assert_eq!(taken(&store), [(1, 10), (2, 10)]);
    }
}

#[test]
fn what_a_queue_of_this_process_leaves_may_be_taken_over_by_another_of_it() {
    let bench = Bench::new();
    let store = bench.store();
    let slot = bench.keep(&store, 1, 10).unwrap();
    store.is_parked(&slot, &batch(1, 10));
    drop((slot, store));
    let (next, spans) = bench.take_over();
    assert_eq!((spans, taken(&next)), (10, vec![(1, 10)]));
}

#[test]
fn a_lock_whose_descriptor_the_program_has_closed_is_not_held_and_no_other_file_is_closed_for_it() {
    let bench = Bench::new();
    let claim = Claim::make(bench.folder.path()).unwrap();
    assert!(claim.is_held());
    fs::remove_file(claim.folder().join("lock")).unwrap();
    fs::write(claim.folder().join("lock"), "").unwrap();
    assert!(!claim.is_held(), "it is another file");
}

#[test]
fn hundreds_of_batches_take_one_descriptor() {
    let bench = Bench::new();
    let store = bench.store();
    let open = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|fd| {
                let path = fd.as_ref().ok().and_then(|fd| fs::read_link(fd.path()).ok());
                path.is_some_and(|path| path.starts_with(bench.folder.path()))
            })
            .count()
    };
    let _slots: Vec<_> = (0..200).map(|id| bench.keep(&store, id, 1).unwrap()).collect();
    assert_eq!(open(), 1);
}
