//! Collects coded pictures into fragments of at most a second and writes each
//! with one call, so that what is on the disk is playable at any time.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use laterna_pipeline::Size;

use super::boxes::{self, DurationAt, ParameterSets, Sample, TIMESCALE};

/// A fragment ends when it would become longer than this, in ticks.
const LONGEST: u64 = TIMESCALE as u64;

/// Or has become larger than this.
const LARGEST_BYTES: usize = 16 << 20;

/// What a recording is written to.
pub(super) trait Target: Write + Seek {
    /// Takes away what lies after the first `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Waits until what was written outlasts a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What of a recording is in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) length_bytes: u64,
    pub(super) fragments: u32,
    pub(super) duration_at: DurationAt,
}

/// Writes one track.
#[derive(Debug)]
pub(super) struct Muxer<T> {
    target: T,
    /// Bytes of whole boxes in the target.
    complete: u64,
    duration_at: DurationAt,
    /// Fragments written.
    fragments: u32,
    /// When the fragment that is being collected begins, in ticks.
    start: u64,
    samples: Vec<Sample>,
    data: Vec<u8>,
    /// The newest picture, whose length is not known yet.
    newest: Option<Newest>,
    newest_data: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    time: u64,
    sync: bool,
}

impl<T: Target> Muxer<T> {
    /// Writes the header.
    pub(super) fn new(target: T, size: Size, sets: &ParameterSets) -> io::Result<Self> {
        let mut out = Vec::new();
        let duration_at = boxes::header(&mut out, size, sets);
        let written = Written { length_bytes: 0, fragments: 0, duration_at };
        let mut muxer = Self::with(target, written, out);
        muxer.write_out()?;
        Ok(muxer)
    }

    /// Goes on after what is `written`, as if nothing had been since: what lies
    /// behind it goes, and so does the length of the whole.
    pub(super) fn resume(mut target: T, written: Written) -> io::Result<Self> {
        let Written { length_bytes, duration_at, .. } = written;
        let mut out = Vec::new();
        boxes::no_duration(&mut out);
        let header = duration_at.0.saturating_add(out.len() as u64);
        if header > length_bytes || target.seek(SeekFrom::End(0))? < length_bytes {
            let why = "it is shorter than when it was left";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        target.seek(SeekFrom::Start(duration_at.0))?;
        target.write_all(&out)?;
        target.cut(length_bytes)?;
        Ok(Self::with(target, written, out))
    }

    fn with(target: T, written: Written, out: Vec<u8>) -> Self {
        Self {
            target,
            complete: written.length_bytes,
            duration_at: written.duration_at,
            fragments: written.fragments,
            start: 0,
            samples: Vec::new(),
            data: Vec::new(),
            newest: None,
            newest_data: Vec::new(),
            out,
        }
    }

    /// Takes the coded picture in `data`, shown from `time` on, in ticks, which is
    /// after the one before.
    pub(super) fn push(&mut self, data: &[u8], sync: bool, time: u64) -> io::Result<()> {
        self.end_newest(time)?;
        if sync || time - self.start >= LONGEST || self.data.len() > LARGEST_BYTES {
            self.flush()?;
        }
        self.newest = Some(Newest { time, sync });
        self.newest_data.clear();
        self.newest_data.extend_from_slice(data);
        Ok(())
    }

    /// Shows the newest picture until `end`, writes what there is and waits until
    /// it outlasts a loss of power. More pictures may follow, the first one sync.
    pub(super) fn rest(&mut self, end: u64) -> io::Result<Written> {
        self.end_newest(end)?;
        self.flush()?;
        self.target.sync()?;
        let Self { complete, fragments, duration_at, .. } = *self;
        Ok(Written { length_bytes: complete, fragments, duration_at })
    }

    /// Shows the newest picture until `end`, and writes everything.
    pub(super) fn finish(&mut self, end: u64) -> io::Result<()> {
        self.end_newest(end)?;
        self.flush()?;
        self.out.clear();
        boxes::duration(&mut self.out, end);
        self.target.seek(SeekFrom::Start(self.duration_at.0))?;
        self.target.write_all(&self.out)?;
        self.target.seek(SeekFrom::Start(self.complete))?;
        self.target.flush()
    }

    /// The newest picture is shown until `end`: it joins the fragment, or begins
    /// another one.
    fn end_newest(&mut self, end: u64) -> io::Result<()> {
        let Some(Newest { time, sync }) = self.newest.take() else { return Ok(()) };
        if end - self.start > LONGEST {
            self.flush()?;
        }
        if self.samples.is_empty() {
            self.start = time;
        }
        // Of a picture shown for half a day the rest follows from the next
        // fragment's start.
        let duration = u32::try_from(end - time).unwrap_or(u32::MAX);
        let size_bytes = self.newest_data.len() as u32;
        self.samples.push(Sample { size_bytes, duration, sync });
        self.data.extend_from_slice(&self.newest_data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.samples.is_empty() {
            return Ok(());
        }
        self.fragments += 1;
        self.out.clear();
        boxes::fragment(&mut self.out, self.fragments, self.start, &self.samples, &self.data);
        self.samples.clear();
        self.data.clear();
        self.write_out()
    }

    /// All of `out` or nothing of it.
    fn write_out(&mut self) -> io::Result<()> {
        let written = self.target.write_all(&self.out);
        match written {
            Ok(()) => self.complete += self.out.len() as u64,
            // A part of a box helps nobody, though players skip it: if it cannot
            // be taken away either, the first error is still the one to tell.
            Err(_) => drop(self.target.cut(self.complete)),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const TICK: u64 = TIMESCALE as u64 / 10;

    /// A disk with room for this many bytes.
    struct Disk {
        file: Cursor<Vec<u8>>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.room.saturating_sub(self.file.position() as usize);
            if left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.file.write(&bytes[..bytes.len().min(left)])
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    impl Target for Disk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.file.get_mut().truncate(length as usize);
            self.file.set_position(length);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn muxer(room: usize) -> Muxer<Disk> {
        let disk = Disk { file: Cursor::default(), room };
        Muxer::new(disk, Size::new(16, 16), &ParameterSets::default()).unwrap()
    }

    /// Kinds and lengths of the boxes of a whole file, which must end with one.
    fn top(bytes: &[u8]) -> Vec<(String, usize)> {
        let mut boxes = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            boxes.push((String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned(), length));
            at += length;
        }
        assert_eq!(at, bytes.len());
        boxes
    }

    /// The bytes of pictures in each fragment.
    fn fragments(bytes: &[u8]) -> Vec<usize> {
        let data = top(bytes).into_iter().filter(|(kind, _)| kind == "mdat");
        data.map(|(_, length)| length - 8).collect()
    }

    #[test]
    fn fragments_end_after_a_second_and_before_each_sync_picture() {
        let mut muxer = muxer(usize::MAX);
        for time in 0..25 {
            muxer.push(&[0], time == 0 || time == 13, time * TICK).unwrap();
        }
        assert_eq!(fragments(muxer.target.file.get_ref()), [10, 3, 10]);
        muxer.finish(25 * TICK).unwrap();
        assert_eq!(fragments(muxer.target.file.get_ref()), [10, 3, 10, 2]);
    }

    #[test]
    fn a_long_picture_has_a_fragment_of_its_own() {
        let mut muxer = muxer(usize::MAX);
        for time in [0, 5, 9, 90] {
            muxer.push(&[0], time == 0, time * TICK).unwrap();
        }
        muxer.finish(91 * TICK).unwrap();
        assert_eq!(fragments(muxer.target.file.get_ref()), [2, 1, 1]);
    }

    #[test]
    fn a_full_disk_keeps_whole_fragments() {
        let mut whole = muxer(usize::MAX);
        whole.push(&[0; 300], true, 0).unwrap();
        let header = whole.complete as usize;
        whole.push(&[0; 300], true, TICK).unwrap();
        let one = whole.complete as usize;
        for room in [one, one + 1, one + 200, one + 399] {
            let mut muxer = muxer(room);
            muxer.push(&[0; 300], true, 0).unwrap();
            muxer.push(&[0; 300], true, TICK).unwrap();
            let error = muxer.push(&[0; 300], true, 2 * TICK).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let bytes = muxer.target.file.get_ref();
            assert_eq!((bytes.len(), fragments(bytes)), (one, vec![300]), "{room}");
        }
        assert!(header < one);
    }

    #[test]
    fn a_picture_of_days_keeps_the_next_ones_time() {
        let mut muxer = muxer(usize::MAX);
        let days = 10 * u64::from(u32::MAX);
        muxer.push(&[0], true, 0).unwrap();
        muxer.push(&[0], true, days).unwrap();
        muxer.finish(days + 5).unwrap();
        let bytes = muxer.target.file.get_ref();
        assert!(bytes.windows(8).any(|window| window == days.to_be_bytes()));
        assert!(bytes.windows(8).any(|window| window == (days + 5).to_be_bytes()));
        assert!(bytes.windows(4).any(|window| window == [0xff; 4]));
    }
}
