//! What the targets share.

use std::path::PathBuf;

use maskline_weights::Checkpoint;

/// Where this process keeps the file that is read: readers of checkpoints and models map files.
pub fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("maskline-fuzz-{}-{name}", std::process::id()))
}

/// Opens a checkpoint and looks at all that it says, as building a model does.
pub fn read_checkpoint(name: &str, bytes: &[u8]) {
    let path = scratch(name);
    std::fs::write(&path, bytes).expect("a file for the input");
    match Checkpoint::open(&path) {
        Ok(checkpoint) => {
            let root = checkpoint.root();
            for name in checkpoint.names() {
                let info = checkpoint.info(name).expect("a tensor that was listed");
                let raw = root.raw(name, &info.shape).expect("what is listed can be read");
                assert_eq!(raw.bytes.len(), info.element_count() * info.dtype.size());
                // All of it is in the file.
                std::hint::black_box(raw.bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            }
            let _ = (checkpoint.modules().count(), checkpoint.choice_notes(), checkpoint.common_prefix().map(str::len));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // Mapped files are gone with the checkpoint: the next input is written over nothing.
    let _ = std::fs::remove_file(&path);
}
