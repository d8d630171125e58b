//! A safetensors file: refused, or every tensor lies inside the file and has
//! the bytes that its shape needs.
#![no_main]

use laterna_weights::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = Header::parse(file) else { return };
    let mut covered = 0;
    for entry in header.tensors().values() {
        let stored = &file[entry.range.clone()];
        covered += stored.len();
        if let Ok((dtype, shape)) = &entry.form {
            assert_eq!(shape.elements() * dtype.size_bytes(), stored.len());
        }
    }
    assert!(covered <= file.len(), "tensors overlap");
});
