//! The pickle of a PyTorch archive: the input is its program, wrapped in a whole archive with one storage.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::write::{SimpleFileOptions, ZipWriter};

fuzz_target!(|program: &[u8]| {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("archive/data.pkl", program), ("archive/data/0", &[0; 96]), ("archive/version", b"3\n")] {
        archive.start_file(name, stored).expect("an entry");
        archive.write_all(bytes).expect("its bytes");
    }
    let bytes = archive.finish().expect("an archive").into_inner();
    maskline_fuzz::read_checkpoint("model.pt", &bytes);
});
