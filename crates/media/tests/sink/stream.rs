//! Streams into real pipes.

use std::process::{Command, Stdio};

use laterna_media::sink::stream::{Format, FrameRate, Stream, StreamError};
use laterna_pipeline::Size;

use crate::support::{MS, scene};

#[test]
#[cfg(unix)]
fn a_reader_that_ends_early_closes_the_stream() {
    let mut command = Command::new("head");
    let mut head =
        command.args(["-c", "1000"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let rate = FrameRate { frames: 1000, seconds: 1 };
    let mut stream = Stream::new(head.stdin.take().unwrap(), Format::Y4m, rate).unwrap();
    let image = scene(Size::new(64, 48), 0);
    let failed = (0..10_000).find_map(|i| stream.write(&image, i * MS).err()).unwrap();
    assert!(matches!(failed, StreamError::Closed), "{failed}");
    let read = head.wait_with_output().unwrap().stdout;
    assert!(read.starts_with(b"YUV4MPEG2 W64 H48 F1000:1 ") && read.len() == 1000);
}
