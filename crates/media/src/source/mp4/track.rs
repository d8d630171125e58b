//! The video track of an MP4 file: how it is coded, and where each picture lies
//! and when it is shown.

use std::time::Duration;

use laterna_pipeline::Size;

use super::super::pixels::{Colour, Matrix, Range};
use super::super::player::time_of;
use super::boxes::{Bytes, FourCc, Mp4Error};

/// Pictures of a track: 38 hours at 30 a second.
const MAX_SAMPLES: usize = 1 << 22;

/// Profiles of H.264 with 8 bits and 4:2:0 in whole pictures: Baseline, Main,
/// Extended and High.
const PROFILES: [u8; 4] = [66, 77, 88, 100];

/// The first video track of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) size: Size,
    /// Ticks a second.
    pub(super) timescale: u32,
    /// Quarters of a turn, clockwise, that a picture is to be turned.
    pub(super) quarters: u8,
    pub(super) colour: Colour,
    /// Parameter sets, as Annex B of H.264 writes them.
    pub(super) parameters: Vec<u8>,
    /// Bytes of the length before each unit of a sample.
    pub(super) length_bytes: usize,
    /// In the order of decoding.
    pub(super) samples: Vec<Sample>,
    /// Of the track, in ticks.
    pub(super) duration: u64,
}

/// A coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Where it lies in the file.
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// When it is shown, in ticks; before 0 it is decoded only.
    pub(super) shown: i64,
}

/// Why a file cannot be read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TrackError {
    Broken(Mp4Error),
    /// It is sound, but of a kind that this does not decode.
    Unsupported(String),
}

impl From<Mp4Error> for TrackError {
    fn from(error: Mp4Error) -> Self {
        Self::Broken(error)
    }
}

impl Track {
    /// Reads the body of a `moov` box.
    pub(super) fn parse(moov: &[u8]) -> Result<Self, TrackError> {
        let moov = Bytes::new(*b"moov", moov);
        if moov.find(*b"mvex")?.is_some() {
            return Err(TrackError::Unsupported("it is in fragments".to_owned()));
        }
        for track in moov.all(*b"trak")? {
            if handler(track)? == *b"vide" {
                return Self::of(track);
            }
        }
        Err(TrackError::Unsupported("it has no video".to_owned()))
    }

    fn of(track: Bytes<'_>) -> Result<Self, TrackError> {
        let media = track.get([*b"mdia"])?;
        let (timescale, duration) = media_header(media.get([*b"mdhd"])?)?;
        let table = media.get([*b"minf", *b"stbl"])?;
        let coding = Coding::parse(table.get([*b"stsd"])?)?;
        let mut samples = samples(table)?;
        let start = edit_start(track)?;
        for sample in &mut samples {
            sample.shown = sample.shown.saturating_sub(start);
        }
        let quarters = quarters(track.get([*b"tkhd"])?)?;
        let Coding { size, colour, parameters, length_bytes } = coding;
        let colour = colour.unwrap_or_else(|| Colour::of(size));
        Ok(Self { size, timescale, quarters, colour, parameters, length_bytes, samples, duration })
    }

    /// A time in ticks.
    pub(super) fn time(&self, ticks: i64) -> Duration {
        time_of(u128::try_from(ticks).unwrap_or(0), self.timescale.into())
    }
}

fn handler(track: Bytes<'_>) -> Result<FourCc, Mp4Error> {
    let mut handler = track.get([*b"mdia", *b"hdlr"])?;
    handler.take(8)?;
    Ok(handler.u32()?.to_be_bytes())
}

/// Ticks a second, and of the track.
fn media_header(mut header: Bytes<'_>) -> Result<(u32, u64), Mp4Error> {
    let version = header.version()?;
    header.by_version(version)?;
    header.by_version(version)?;
    match (header.u32()?, header.by_version(version)?) {
        (0, _) => Err(header.nonsense()),
        found => Ok(found),
    }
}

/// The tick at which the presentation begins.
fn edit_start(track: Bytes<'_>) -> Result<i64, Mp4Error> {
    let Some(edits) = track.find(*b"edts")? else { return Ok(0) };
    let Some(mut list) = edits.find(*b"elst")? else { return Ok(0) };
    let (version, count) = (list.version()?, list.u32()?);
    for _ in 0..count {
        list.by_version(version)?;
        let start = match version {
            1 => list.u64()?.cast_signed(),
            _ => i64::from(list.u32()?.cast_signed()),
        };
        list.u32()?;
        // -1 stands for a pause before the beginning.
        if start >= 0 {
            return Ok(start);
        }
    }
    Ok(0)
}

/// The turn that the track's matrix stands for.
fn quarters(mut header: Bytes<'_>) -> Result<u8, Mp4Error> {
    let version = header.version()?;
    header.take(if version == 1 { 32 } else { 20 })?;
    header.take(16)?;
    let (a, b) = (header.u32()?.cast_signed(), header.u32()?.cast_signed());
    Ok(match (a.signum(), b.signum()) {
        (0, 1) => 1,
        (-1, 0) => 2,
        (0, -1) => 3,
        _ => 0,
    })
}

/// What a sample description says.
struct Coding {
    size: Size,
    colour: Option<Colour>,
    parameters: Vec<u8>,
    length_bytes: usize,
}

impl Coding {
    fn parse(mut description: Bytes<'_>) -> Result<Self, TrackError> {
        description.version()?;
        if description.u32()? == 0 {
            return Err(description.nonsense().into());
        }
        let (kind, mut entry) = description.first()?;
        if kind != *b"avc1" && kind != *b"avc3" {
            let codec = kind.escape_ascii();
            return Err(TrackError::Unsupported(format!("it is coded as `{codec}`, not H.264")));
        }
        entry.take(24)?;
        let size = Size::new(usize::from(entry.u16()?), usize::from(entry.u16()?));
        entry.take(50)?;
        let colour = entry.find(*b"colr")?.map(colour).transpose()?.flatten();
        let (parameters, length_bytes) = parameters(entry.get([*b"avcC"])?)?;
        Ok(Self { size, colour, parameters, length_bytes })
    }
}

/// The colour that a `colr` box names, if it is one known here.
fn colour(mut bytes: Bytes<'_>) -> Result<Option<Colour>, Mp4Error> {
    let kind = bytes.u32()?.to_be_bytes();
    if kind != *b"nclx" && kind != *b"nclc" {
        return Ok(None);
    }
    bytes.take(4)?;
    let matrix = match bytes.u16()? {
        1 => Matrix::Bt709,
        5 | 6 => Matrix::Bt601,
        _ => return Ok(None),
    };
    let is_full = kind == *b"nclx" && bytes.u8()? & 0x80 != 0;
    let range = if is_full { Range::Full } else { Range::Limited };
    Ok(Some(Colour { matrix, range }))
}

/// The parameter sets and the length of lengths of an `avcC` box.
fn parameters(mut bytes: Bytes<'_>) -> Result<(Vec<u8>, usize), TrackError> {
    bytes.u8()?;
    let profile = bytes.u8()?;
    if !PROFILES.contains(&profile) {
        let why = format!("its H.264 profile {profile} has more than 8 bits or 4:2:0");
        return Err(TrackError::Unsupported(why));
    }
    bytes.take(2)?;
    let length_bytes = usize::from(bytes.u8()? & 3) + 1;
    let mut parameters = Vec::new();
    for mask in [0x1F, 0xFF] {
        for _ in 0..bytes.u8()? & mask {
            let length = usize::from(bytes.u16()?);
            parameters.extend_from_slice(&[0, 0, 0, 1]);
            parameters.extend_from_slice(bytes.take(length)?);
        }
    }
    Ok((parameters, length_bytes))
}

/// Joins the five tables of samples.
fn samples(table: Bytes<'_>) -> Result<Vec<Sample>, Mp4Error> {
    let sizes = sizes(table.get([*b"stsz"])?)?;
    let offsets = offsets(table, &sizes)?;
    let decoded = runs(table.get([*b"stts"])?)?;
    let delays = table.find(*b"ctts")?.map(runs).transpose()?.unwrap_or_default();
    let mut delays = delays.flat_map_runs();
    let (mut tick, mut samples) = (0_i64, Vec::with_capacity(sizes.len()));
    let mut steps = decoded.flat_map_runs();
    for (bytes, offset) in sizes.into_iter().zip(offsets) {
        let delay = i64::from(delays.next().unwrap_or(0).cast_signed());
        samples.push(Sample { offset, bytes, shown: tick.saturating_add(delay) });
        tick = tick.saturating_add(i64::from(steps.next().unwrap_or(0)));
    }
    Ok(samples)
}

fn sizes(mut bytes: Bytes<'_>) -> Result<Vec<u32>, Mp4Error> {
    bytes.version()?;
    let (fixed, count) = (bytes.u32()?, bytes.u32()? as usize);
    if count > MAX_SAMPLES {
        return Err(Mp4Error::Large(*b"stsz"));
    }
    if fixed > 0 {
        return Ok(vec![fixed; count]);
    }
    let table = bytes.take(4 * count)?.as_chunks::<4>().0;
    Ok(table.iter().map(|&size| u32::from_be_bytes(size)).collect())
}

/// Where each sample of these sizes lies.
fn offsets(table: Bytes<'_>, sizes: &[u32]) -> Result<Vec<u64>, Mp4Error> {
    let chunks = chunks(table)?;
    let runs = chunk_runs(table.get([*b"stsc"])?)?;
    let mut offsets = Vec::with_capacity(sizes.len());
    for (index, &chunk) in chunks.iter().enumerate() {
        let run = runs.partition_point(|&(first, _)| first as usize <= index + 1);
        let count = run.checked_sub(1).map_or(0, |run| runs[run].1);
        let mut at = chunk;
        for _ in 0..count {
            let Some(&size) = sizes.get(offsets.len()) else { return Ok(offsets) };
            offsets.push(at);
            at = at.saturating_add(u64::from(size));
        }
    }
    if offsets.len() < sizes.len() {
        return Err(Mp4Error::Short(*b"stsc"));
    }
    Ok(offsets)
}

fn chunks(table: Bytes<'_>) -> Result<Vec<u64>, Mp4Error> {
    if let Some(mut bytes) = table.find(*b"stco")? {
        bytes.version()?;
        let count = bytes.u32()? as usize;
        let table = bytes.take(count.saturating_mul(4))?.as_chunks::<4>().0;
        return Ok(table.iter().map(|&at| u64::from(u32::from_be_bytes(at))).collect());
    }
    let mut bytes = table.get([*b"co64"])?;
    bytes.version()?;
    let count = bytes.u32()? as usize;
    let table = bytes.take(count.saturating_mul(8))?.as_chunks::<8>().0;
    Ok(table.iter().map(|&at| u64::from_be_bytes(at)).collect())
}

/// From which chunk on, counted from 1, a chunk has how many samples.
fn chunk_runs(mut bytes: Bytes<'_>) -> Result<Vec<(u32, u32)>, Mp4Error> {
    bytes.version()?;
    let count = bytes.u32()? as usize;
    let table = bytes.take(count.saturating_mul(12))?.as_chunks::<12>().0;
    let number = |entry: &[u8; 12], at: usize| {
        u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
    };
    let runs: Vec<_> = table.iter().map(|entry| (number(entry, 0), number(entry, 4))).collect();
    if runs.is_sorted_by_key(|&(first, _)| first) { Ok(runs) } else { Err(bytes.nonsense()) }
}

/// Values, each for a run of samples.
#[derive(Default)]
struct Runs(Vec<(u32, u32)>);

impl Runs {
    fn flat_map_runs(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|&(count, value)| std::iter::repeat_n(value, count as usize))
    }
}

fn runs(mut bytes: Bytes<'_>) -> Result<Runs, Mp4Error> {
    bytes.version()?;
    let count = bytes.u32()? as usize;
    let table = bytes.take(count.saturating_mul(8))?.as_chunks::<8>().0;
    let runs = table.iter().map(|&[a, b, c, d, e, f, g, h]| {
        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    });
    Ok(Runs(runs.collect()))
}
