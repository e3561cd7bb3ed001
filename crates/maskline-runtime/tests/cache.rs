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
