//! A small reader of fragmented MP4 files. It knows nothing of the writer: kinds
//! and fields are found as ISO/IEC 14496-12 has them, and anything amiss panics.

use std::ops::Range;

/// What one track holds.
#[derive(Debug, Default)]
pub struct Movie {
    pub size: (u16, u16),
    pub sequence_set: Vec<u8>,
    pub picture_set: Vec<u8>,
    pub colour: Vec<u16>,
    /// Ticks, if the file says.
    pub length: Option<u64>,
    pub samples: Vec<Sample>,
    /// Number of samples in each fragment.
    pub fragments: Vec<usize>,
}

#[derive(Debug)]
pub struct Sample {
    pub time: u64,
    pub duration: u32,
    pub sync: bool,
    pub bytes: Vec<u8>,
}

impl Movie {
    /// A sample as a bytestream with start codes, after the parameter sets if it
    /// can be decoded alone.
    pub fn bytestream(&self, index: usize) -> Vec<u8> {
        let sample = &self.samples[index];
        let mut out = Vec::new();
        let mut unit = |unit: &[u8]| out.extend_from_slice(&[&[0, 0, 0, 1], unit].concat());
        if sample.sync {
            unit(&self.sequence_set);
            unit(&self.picture_set);
        }
        let mut rest = &sample.bytes[..];
        while !rest.is_empty() {
            let length = word(rest, 0) as usize;
            unit(&rest[4..4 + length]);
            rest = &rest[4 + length..];
        }
        out
    }

    pub fn times(&self) -> Vec<u64> {
        self.samples.iter().map(|sample| sample.time).collect()
    }
}

/// Reads the whole boxes of a file; one that ends early is ignored, with a `moof`
/// whose data is not all there. None before there is a `moov`.
pub fn read(file: &[u8]) -> Option<Movie> {
    let mut movie = None;
    let mut moof = None;
    for (kind, range) in children(file, 0..file.len(), true) {
        match &kind {
            b"ftyp" => assert_eq!(range.start, 8),
            b"moov" => movie = Some(moov(file, range)),
            b"moof" => moof = Some(range),
            b"mdat" => fragment(file, movie.as_mut()?, moof.take().unwrap(), range),
            kind => panic!("{kind:?} at the top"),
        }
    }
    movie
}

/// Kinds and bodies of the boxes in `range`.
fn children(file: &[u8], range: Range<usize>, cut: bool) -> Vec<([u8; 4], Range<usize>)> {
    let mut boxes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let length = if range.end - at < 8 { usize::MAX } else { word(file, at) as usize };
        if cut && length > range.end - at {
            break;
        }
        assert!(length >= 8 && length <= range.end - at, "a box of {length} bytes at {at}");
        let kind = file[at + 4..at + 8].try_into().unwrap();
        boxes.push((kind, at + 8..at + length));
        at += length;
    }
    boxes
}

/// The body of the one box at the end of `path`.
fn find(file: &[u8], range: Range<usize>, path: &[&[u8; 4]]) -> Range<usize> {
    path.iter().fold(range, |range, &kind| {
        let mut found = children(file, range, false).into_iter().filter(|(k, _)| k == kind);
        let (_, body) = found.next().unwrap_or_else(|| panic!("no {kind:?}"));
        assert!(found.next().is_none(), "two {kind:?}");
        body
    })
}

fn moov(file: &[u8], moov: Range<usize>) -> Movie {
    let mdia = find(file, moov.clone(), &[b"trak", b"mdia"]);
    assert_eq!(word(file, find(file, mdia.clone(), &[b"mdhd"]).start + 12), 90_000);
    let stsd = find(file, mdia, &[b"minf", b"stbl", b"stsd"]);
    let entry = find(file, stsd.start + 8..stsd.end, &[b"avc1"]);
    let parts = entry.start + 78..entry.end;
    let avcc = &file[find(file, parts.clone(), &[b"avcC"])];
    let (sequence, rest) = set(&avcc[6..]);
    let (picture, _) = set(&rest[1..]);
    assert_eq!((avcc[0], avcc[4] & 3, avcc[5] & 31, rest[0]), (1, 3, 1, 1));
    assert_eq!(avcc[1..4], sequence[1..4]);
    let colr = &file[find(file, parts, &[b"colr"])];
    assert_eq!(&colr[..4], b"nclx");
    let mvex = find(file, moov, &[b"mvex"]);
    let mehd = children(file, mvex, false).into_iter().find(|(kind, _)| kind == b"mehd");
    Movie {
        size: (half(file, entry.start + 24), half(file, entry.start + 26)),
        sequence_set: sequence.to_vec(),
        picture_set: picture.to_vec(),
        colour: vec![half(colr, 4), half(colr, 6), half(colr, 8), u16::from(colr[10] >> 7)],
        length: mehd.map(|(_, body)| long(file, body.start + 4)),
        ..Movie::default()
    }
}

/// A parameter set after its length, and what follows.
fn set(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[2..].split_at(usize::from(half(bytes, 0)))
}

fn fragment(file: &[u8], movie: &mut Movie, moof: Range<usize>, mdat: Range<usize>) {
    let number = word(file, find(file, moof.clone(), &[b"mfhd"]).start + 4);
    assert_eq!(number as usize, movie.fragments.len() + 1);
    let traf = find(file, moof.clone(), &[b"traf"]);
    let mut time = long(file, find(file, traf.clone(), &[b"tfdt"]).start + 4);
    let trun = find(file, traf, &[b"trun"]);
    assert_eq!(word(file, trun.start), 0x701);
    let count = word(file, trun.start + 4) as usize;
    let mut at = moof.start - 8 + word(file, trun.start + 8) as usize;
    assert_eq!((at, trun.len()), (mdat.start, 12 + 12 * count));
    for i in 0..count {
        let entry = trun.start + 12 + 12 * i;
        let [duration, size, flags] = [0, 4, 8].map(|field| word(file, entry + field));
        let bytes = file[at..at + size as usize].to_vec();
        let sync = flags & 0x1_0000 == 0;
        movie.samples.push(Sample { time, duration, sync, bytes });
        time += u64::from(duration);
        at += size as usize;
    }
    assert_eq!(at, mdat.end);
    movie.fragments.push(count);
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}
