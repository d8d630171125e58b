//! The index of a sharded checkpoint: refused, or every shard is a plain file
//! name.
#![no_main]

use std::path::{Component, Path};

use laterna_weights::ShardIndex;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(index) = ShardIndex::parse(json) else { return };
    for shard in index.shards() {
        let mut parts = Path::new(shard).components();
        assert!(matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)));
    }
});
