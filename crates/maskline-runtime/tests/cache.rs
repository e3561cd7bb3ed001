//! The directory cache: built once, whole or not at all.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use maskline_runtime::{Cache, Error, Key, PruneOptions, hash_key};

fn write(folder: &Path) -> Result<(), Error> {
    std::fs::write(folder.join("file"), b"content").unwrap();
    Ok(())
}

fn key(name: &str) -> Key {
    hash_key([name])
}

#[test]
fn parallel_callers_build_once() {
    let folder = tempfile::tempdir().unwrap();
    let built = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                // A cache of its own, as another process has it: only the lock file is shared.
                let entry = Cache::new(folder.path()).get_or_build::<Error>(&key("a"), |at| {
                    built.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                    write(at)
                });
                assert_eq!(std::fs::read(entry.unwrap().path.join("file")).unwrap(), b"content");
            });
        }
    });
    assert_eq!(built.into_inner(), 1);
}

#[test]
fn who_waits_for_a_build_gets_the_entry_though_its_builder_goes_on_using_it() {
    let folder = tempfile::tempdir().unwrap();
    let (send, entries) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (send, folder) = (send.clone(), folder.path().to_path_buf());
        std::thread::spawn(move || {
            let entry = Cache::new(folder).get_or_build::<Error>(&key("a"), |at| {
                std::thread::sleep(Duration::from_millis(100));
                write(at)
            });
            send.send(entry.unwrap()).unwrap();
        });
    }
    // Both are held when the second one comes.
    let held = [(); 2].map(|()| entries.recv_timeout(Duration::from_secs(20)).unwrap());
    assert_eq!(held.iter().filter(|entry| entry.built).count(), 1);
}

#[test]
fn a_build_that_fails_or_crashes_leaves_no_entry() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let failed = cache.get_or_build(&key("a"), |at| {
        write(at)?;
        Err::<(), Error>(maskline_runtime::Tensor::new([1], Vec::<f32>::new()).unwrap_err())
    });
    assert!(failed.is_err() && cache.entries().unwrap().is_empty());
    let crashed = std::panic::catch_unwind(|| cache.get_or_build::<Error>(&key("a"), |_| panic!("crash in the middle")));
    assert!(crashed.is_err() && cache.entries().unwrap().is_empty());
    // What a killed process leaves: a folder aside, and an unlocked lock.
    std::fs::create_dir(folder.path().join(format!(".{}.partial-x", key("a")))).unwrap();
    assert!(cache.get_or_build::<Error>(&key("a"), write).unwrap().built);
    let left: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
}

#[test]
fn pruning_spares_what_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    let used = cache.get_or_build::<Error>(&key("used"), write).unwrap();
    drop(cache.get_or_build::<Error>(&key("idle"), write).unwrap());
    assert!(!cache.get_or_build::<Error>(&key("idle"), |_| panic!("it is there")).unwrap().built);
    let all = PruneOptions { all: true, ..PruneOptions::default() };
    let dry = cache.prune(&PruneOptions { dry_run: true, ..all.clone() }).unwrap();
    assert_eq!((dry.entries, cache.entries().unwrap().len()), (2, 2));
    let kept = PruneOptions { older_than: Some(Duration::from_secs(3600)), max_bytes: Some(1000), ..PruneOptions::default() };
    assert_eq!(cache.prune(&kept).unwrap().entries, 0);
    let pruned = cache.prune(&all).unwrap();
    assert_eq!((pruned.entries, pruned.in_use, pruned.bytes), (1, 1, 7));
    assert!(used.path.join("file").exists() && cache.remove(&key("used")).is_err());
    drop(used);
    cache.remove(&key("used")).unwrap();
    assert!(cache.entries().unwrap().is_empty());
}

#[test]
fn keys_depend_on_where_parts_end() {
    assert_ne!(hash_key(["ab", "c"]), hash_key(["a", "bc"]));
    assert_ne!(hash_key(["a"]), hash_key(["a", ""]));
}

fn write_many(folder: &Path) -> Result<(), Error> {
    std::fs::write(folder.join("file"), [7; 1000]).unwrap();
    Ok(())
}

/// The keys of what is there.
fn names(cache: &Cache) -> Vec<String> {
    cache.entries().unwrap().into_iter().map(|entry| entry.key).collect()
}

#[test]
fn a_limit_lets_the_least_recently_used_go_when_something_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path()).with_limit(Some(2500));
    let ask = |name: &str| {
        // Times on disk are coarse.
        std::thread::sleep(Duration::from_millis(20));
        cache.get_or_build::<Error>(&key(name), write_many).unwrap()
    };
    drop(ask("a"));
    drop(ask("b"));
    // Asked for again: `b` is now the one that was not used for longest.
    assert!(!ask("a").built);
    let third = ask("c");
    assert_eq!((third.evicted.entries, third.evicted.bytes), (1, 1000));
    drop(third);
    assert_eq!(names(&cache), [key("c"), key("a")].map(|key| key.to_string()));
}

#[test]
fn a_limit_spares_what_is_in_use_and_what_was_just_built() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path()).with_limit(Some(1500));
    let used = cache.get_or_build::<Error>(&key("used"), write_many).unwrap();
    let built = cache.get_or_build::<Error>(&key("built"), write_many).unwrap();
    assert_eq!((built.evicted.entries, built.evicted.in_use), (0, 1));
    assert!(used.path.join("file").exists() && built.path.join("file").exists());
    // The smallest limit lets everything go but the newest.
    drop((used, built));
    let small = Cache::new(folder.path()).with_limit(Some(0));
    let newest = small.get_or_build::<Error>(&key("newest"), write_many).unwrap();
    assert_eq!((newest.evicted.entries, names(&small)), (2, vec![key("newest").to_string()]));
    assert!(newest.path.join("file").exists());
}

#[test]
fn what_is_in_use_counts_when_the_rest_is_pruned_to_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    drop(cache.get_or_build::<Error>(&key("idle"), write_many).unwrap());
    std::thread::sleep(Duration::from_millis(20));
    let used = cache.get_or_build::<Error>(&key("used"), |folder| {
        write_many(folder)?;
        std::fs::write(folder.join("more"), [7; 1000]).unwrap();
        Ok(())
    });
    // The one in use has more than that by itself: there is no room left for others.
    let pruned = cache.prune(&PruneOptions { max_bytes: Some(1500), ..PruneOptions::default() }).unwrap();
    assert_eq!((pruned.entries, pruned.in_use), (1, 1));
    assert_eq!(names(&cache), [key("used").to_string()]);
    drop(used);
}
