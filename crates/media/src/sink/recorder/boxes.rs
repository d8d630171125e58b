//! The boxes of a fragmented MP4 file with one H.264 track (ISO/IEC 14496-12 and
//! 14496-15). Every box is a length, four letters and a body.

use laterna_pipeline::Size;

/// Ticks a second: whole numbers of them make 24, 25, 30 and 60 frames a second.
pub(super) const TIMESCALE: u32 = 90_000;

const TRACK: u32 = 1;

/// Of a sample that depends on no other, and of one that does.
const SYNC: u32 = 0x0200_0000;
const NON_SYNC: u32 = 0x0101_0000;

/// A 3x3 matrix that leaves pictures as they are, in the file's fixed point.
const UPRIGHT: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// One coded picture in a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) size_bytes: u32,
    /// Ticks.
    pub(super) duration: u32,
    /// It can be decoded without those before.
    pub(super) sync: bool,
}

/// What a decoder is told before the first picture: one sequence and one picture
/// parameter set, without start codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ParameterSets {
    pub(super) sequence: Vec<u8>,
    pub(super) picture: Vec<u8>,
}

/// Where [`duration`] goes in what [`header`] wrote, in bytes from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct DurationAt(pub(super) u64);

/// File type and `moov`: everything but pictures. No time of day is written, so
/// that the same pictures make the same file.
pub(super) fn header(out: &mut Vec<u8>, size: Size, sets: &ParameterSets) -> DurationAt {
    boxed(out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        words(out, &[0]);
        out.extend_from_slice(b"iso6isomavc1mp41");
    });
    let mut at = 0;
    boxed(out, b"moov", |out| {
        movie(out);
        boxed(out, b"mvex", |out| {
            at = out.len() as u64;
            no_duration(out);
            full(out, b"trex", 0, 0, |out| words(out, &[TRACK, 1, 0, 0, 0]));
        });
        boxed(out, b"trak", |out| track(out, size, sets));
    });
    DurationAt(at)
}

/// What stands in the place of [`duration`] until then, and is as long.
pub(super) fn no_duration(out: &mut Vec<u8>) {
    boxed(out, b"free", |out| words(out, &[0; 3]));
}

/// The length of the whole, in ticks, which is known at the end.
pub(super) fn duration(out: &mut Vec<u8>, ticks: u64) {
    full(out, b"mehd", 1, 0, |out| out.extend_from_slice(&ticks.to_be_bytes()));
}

/// `moof` and `mdat`: a run of samples, playable as soon as it is written.
/// `start` is in ticks, `data` the samples one after the other.
pub(super) fn fragment(
    out: &mut Vec<u8>,
    number: u32,
    start: u64,
    samples: &[Sample],
    data: &[u8],
) {
    let begin = out.len();
    let mut offset_at = 0;
    boxed(out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| words(out, &[number]));
        boxed(out, b"traf", |out| {
            // Offsets count from the start of `moof`.
            full(out, b"tfhd", 0, 0x02_0000, |out| words(out, &[TRACK]));
            full(out, b"tfdt", 1, 0, |out| out.extend_from_slice(&start.to_be_bytes()));
            // It has an offset, and of each sample duration, size and flags.
            full(out, b"trun", 0, 0x701, |out| {
                words(out, &[samples.len() as u32]);
                offset_at = out.len();
                words(out, &[0]);
                for sample in samples {
                    let flags = if sample.sync { SYNC } else { NON_SYNC };
                    words(out, &[sample.duration, sample.size_bytes, flags]);
                }
            });
        });
    });
    let offset = (out.len() - begin + 8) as u32;
    out[offset_at..][..4].copy_from_slice(&offset.to_be_bytes());
    boxed(out, b"mdat", |out| out.extend_from_slice(data));
}

fn movie(out: &mut Vec<u8>) {
    full(out, b"mvhd", 0, 0, |out| {
        // Made, changed, ticks a second, length; speed 1, volume 1.
        words(out, &[0, 0, TIMESCALE, 0, 0x1_0000, 0x0100_0000, 0, 0]);
        words(out, &UPRIGHT);
        words(out, &[0; 6]);
        words(out, &[TRACK + 1]);
    });
}

fn track(out: &mut Vec<u8>, size: Size, sets: &ParameterSets) {
    let [width, height] = [size.width, size.height].map(|length| (length as u32) << 16);
    // It is on and part of the movie.
    full(out, b"tkhd", 0, 3, |out| {
        words(out, &[0, 0, TRACK, 0, 0, 0, 0, 0, 0]);
        words(out, &UPRIGHT);
        words(out, &[width, height]);
    });
    boxed(out, b"mdia", |out| {
        // The language is `und`.
        full(out, b"mdhd", 0, 0, |out| words(out, &[0, 0, TIMESCALE, 0, 0x55c4_0000]));
        full(out, b"hdlr", 0, 0, |out| {
            words(out, &[0]);
            out.extend_from_slice(b"vide");
            words(out, &[0; 3]);
            out.push(0);
        });
        boxed(out, b"minf", |out| media(out, size, sets));
    });
}

fn media(out: &mut Vec<u8>, size: Size, sets: &ParameterSets) {
    full(out, b"vmhd", 0, 1, |out| words(out, &[0, 0]));
    boxed(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            words(out, &[1]);
            // The data is in this file.
            full(out, b"url ", 0, 1, |_| {});
        });
    });
    boxed(out, b"stbl", |out| {
        full(out, b"stsd", 0, 0, |out| {
            words(out, &[1]);
            boxed(out, b"avc1", |out| sample_entry(out, size, sets));
        });
        for kind in [b"stts", b"stsc", b"stco"] {
            full(out, kind, 0, 0, |out| words(out, &[0]));
        }
        full(out, b"stsz", 0, 0, |out| words(out, &[0, 0]));
    });
}

fn sample_entry(out: &mut Vec<u8>, size: Size, sets: &ParameterSets) {
    // Six reserved bytes, then the number of the data reference.
    words(out, &[0, 1, 0, 0, 0, 0]);
    halves(out, &[size.width as u16, size.height as u16]);
    // 72 dots an inch, one picture a sample, no name, 24 bits.
    words(out, &[0x48_0000, 0x48_0000, 0]);
    halves(out, &[1]);
    out.extend_from_slice(&[0; 32]);
    halves(out, &[24, 0xffff]);
    boxed(out, b"avcC", |out| decoder_configuration(out, sets));
    boxed(out, b"colr", |out| {
        // Primaries of BT.709 and sRGB, curve of sRGB, matrix of BT.709, limited.
        out.extend_from_slice(b"nclx");
        halves(out, &[1, 13, 1]);
        out.push(0);
    });
    boxed(out, b"pasp", |out| words(out, &[1, 1]));
}

fn decoder_configuration(out: &mut Vec<u8>, sets: &ParameterSets) {
    // Profile, its constraints and level are the three bytes after the header.
    let mut profile = [0; 3];
    let said = sets.sequence.iter().skip(1);
    profile.iter_mut().zip(said).for_each(|(byte, &said)| *byte = said);
    out.push(1);
    out.extend_from_slice(&profile);
    // Lengths of four bytes; one sequence set, one picture set.
    out.extend_from_slice(&[0xff, 0xe1]);
    halves(out, &[sets.sequence.len() as u16]);
    out.extend_from_slice(&sets.sequence);
    out.push(1);
    halves(out, &[sets.picture.len() as u16]);
    out.extend_from_slice(&sets.picture);
    // High profiles repeat their chroma format and bit depths: 4:2:0, 8 and 8.
    if profile[0] >= 100 {
        out.extend_from_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
}

fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    words(out, &[0]);
    out.extend_from_slice(kind);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..][..4].copy_from_slice(&length.to_be_bytes());
}

/// A box with a version and flags.
fn full(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        words(out, &[u32::from(version) << 24 | flags]);
        body(out);
    });
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

fn halves(out: &mut Vec<u8>, halves: &[u16]) {
    halves.iter().for_each(|half| out.extend_from_slice(&half.to_be_bytes()));
}
