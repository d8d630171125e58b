//! H.264 in MP4 and QuickTime files, decoded by Cisco's openh264. Its C++ code
//! sees foreign bytes: sizes and tables are checked before, the coded pictures
//! are not. Fragmented files and other codecs are left to ffmpeg.

mod boxes;
mod track;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use laterna_pipeline::{Image, Size};
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::error::SourceError;
use super::kinds::{Claim, Info, Kind, Opened, Request};
use super::pixels::{Colour, Yuv, turn};
use super::player::{Frames, Next};
use boxes::{Mp4Error, read_top_level};
use track::{Sample, Track, TrackError};

/// `.mp4`, `.m4v` and `.mov` files.
pub(super) const KIND: Kind = Kind {
    name: "mp4",
    accepts: "H.264 in MP4 or QuickTime",
    stands_alone: false,
    claims: is_film,
    open,
    list: None,
};

/// A coded picture. The largest that H.264 allows has far less.
const MAX_SAMPLE: u32 = 1 << 26;

/// Pictures that may fail one after the other: a second's worth.
const MAX_FAILURES: usize = 30;

/// Samples decoded for one picture at most; a decoder that reorders keeps sixteen.
const MAX_PER_PICTURE: usize = 64;

/// Pixels of a picture.
const MAX_AREA: usize = 1 << 26;

fn is_film(claim: &Claim<'_>) -> bool {
    const FIRST: [&[u8]; 5] = [b"ftyp", b"moov", b"mdat", b"wide", b"free"];
    const STILLS: [&[u8]; 5] = [b"heic", b"heix", b"mif1", b"avif", b"avis"];
    let part = |range: std::ops::Range<usize>| claim.head.get(range).unwrap_or_default();
    FIRST.contains(&part(4..8)) && !STILLS.contains(&part(8..12))
}

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let path = request.path();
    let mut film = Film::open(&path)?;
    let info = film.info();
    // What the decoder cannot do shows at the first picture.
    film.try_first()?;
    Ok(request.play(film, info))
}

struct Film {
    path: PathBuf,
    file: File,
    track: Track,
    decoder: Decoder,
    /// The next sample to decode, and how many in a row could not be.
    sample: usize,
    failures: usize,
    /// When pictures that are in the decoder are shown, in ticks, sorted: they
    /// come out in this order.
    inside: VecDeque<i64>,
    /// A sample as it lies in the file, and as the decoder takes it.
    raw: Vec<u8>,
    packet: Vec<u8>,
    /// Pictures that are decoded and not given out, with their ticks.
    ready: VecDeque<(Image, i64)>,
    is_flushed: bool,
    unturned: Image,
}

impl Film {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let failed = |error| SourceError::io(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let moov = read_top_level(&mut file, *b"moov").map_err(failed)?;
        let moov = moov.map_err(|fault| SourceError::damaged(&name, fault))?;
        let track = Track::parse(&moov).map_err(|error| match error {
            TrackError::Broken(fault) => SourceError::damaged(&name, fault),
            TrackError::Unsupported(why) => SourceError::unsupported(&name, why),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            track,
            decoder: decoder(&name)?,
            sample: 0,
            failures: 0,
            inside: VecDeque::new(),
            raw: Vec::new(),
            packet: Vec::new(),
            ready: VecDeque::new(),
            is_flushed: false,
            unturned: Image::default(),
        })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn damaged(&self, fault: fn(usize) -> Mp4Error) -> SourceError {
        SourceError::damaged(&self.name(), fault(self.sample))
    }

    fn info(&self) -> Info {
        let track = &self.track;
        let shown = track.samples.iter().filter(|sample| sample.shown >= 0).count();
        let seconds = track.duration as f64 / f64::from(track.timescale);
        let fps = track.samples.len() as f64 / seconds;
        let Size { width, height } = track.size;
        let size = if track.quarters % 2 == 1 { Size::new(height, width) } else { track.size };
        Info {
            size: Some(size),
            fps: (seconds > 0.0 && fps > 0.0).then_some(fps),
            frames: Some(shown as u64),
            duration: Duration::try_from_secs_f64(seconds).ok(),
            format: Some("h264".to_owned()),
            ..Info::named(&self.name())
        }
    }

    /// Decodes the first picture; a decoder that cannot is not the one for this
    /// film, though another may be.
    fn try_first(&mut self) -> Result<(), SourceError> {
        let mut image = Image::default();
        loop {
            match self.next_picture(&mut image) {
                Ok(Decoded::Picture(ticks)) => {
                    self.ready.push_front((image, ticks));
                    return Ok(());
                }
                Ok(Decoded::Nothing) => {}
                Ok(Decoded::End) => return Ok(()),
                Err(SourceError::Damaged { name, fault }) => {
                    return Err(SourceError::Unsupported { name, why: fault.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next_picture(&mut self, image: &mut Image) -> Result<Decoded, SourceError> {
        if let Some((mut picture, ticks)) = self.ready.pop_front() {
            std::mem::swap(&mut picture, image);
            return Ok(Decoded::Picture(ticks));
        }
        for _ in 0..MAX_PER_PICTURE {
            let Some(&sample) = self.track.samples.get(self.sample) else {
                return self.flush(image);
            };
            self.read_sample(sample)?;
            let decoded = self.decode(sample, image)?;
            self.sample += 1;
            if let Some(ticks) = decoded.filter(|&ticks| ticks >= 0) {
                return Ok(Decoded::Picture(ticks));
            }
        }
        Ok(Decoded::Nothing)
    }

    /// Reads a sample into `packet`.
    fn read_sample(&mut self, sample: Sample) -> Result<(), SourceError> {
        if sample.bytes > MAX_SAMPLE {
            return Err(self.damaged(Mp4Error::Sample));
        }
        let failed = |error| SourceError::io(&self.path, error);
        self.file.seek(SeekFrom::Start(sample.offset)).map_err(failed)?;
        self.raw.clear();
        let mut part = self.file.by_ref().take(u64::from(sample.bytes));
        part.read_to_end(&mut self.raw).map_err(failed)?;
        if self.raw.len() < sample.bytes as usize {
            return Err(self.damaged(Mp4Error::Sample));
        }
        self.packet.clear();
        if self.sample == 0 {
            self.packet.extend_from_slice(&self.track.parameters);
        }
        let written = write_annex_b(&self.raw, self.track.length_bytes, &mut self.packet);
        written.ok_or_else(|| self.damaged(Mp4Error::Packet))
    }

    /// Decodes `packet`. The picture that comes out is an earlier one if pictures
    /// are not shown in the order of decoding.
    fn decode(&mut self, sample: Sample, image: &mut Image) -> Result<Option<i64>, SourceError> {
        let at = self.inside.partition_point(|&ticks| ticks <= sample.shown);
        self.inside.insert(at, sample.shown);
        match self.decoder.decode(&self.packet) {
            Ok(None) => Ok(None),
            Ok(Some(yuv)) => {
                self.failures = 0;
                let written = write(&yuv, &self.track, &mut self.unturned, image);
                written.ok_or_else(|| self.damaged(Mp4Error::Decoder))?;
                Ok(self.inside.pop_front())
            }
            Err(_) => {
                self.inside.remove(at);
                self.failures += 1;
                if self.failures > MAX_FAILURES || self.sample == 0 {
                    return Err(self.damaged(Mp4Error::Decoder));
                }
                Ok(None)
            }
        }
    }

    /// Takes out what is left in the decoder.
    fn flush(&mut self, image: &mut Image) -> Result<Decoded, SourceError> {
        if !self.is_flushed {
            self.is_flushed = true;
            // What cannot be flushed was damaged, and the film is over.
            let left = self.decoder.flush_remaining().unwrap_or_default();
            for yuv in left {
                let mut picture = Image::default();
                let written = write(&yuv, &self.track, &mut self.unturned, &mut picture);
                if let (Some(()), Some(ticks)) = (written, self.inside.pop_front()) {
                    self.ready.push_back((picture, ticks));
                }
            }
        }
        match self.ready.pop_front() {
            Some((picture, ticks)) => {
                *image = picture;
                Ok(Decoded::Picture(ticks))
            }
            None => Ok(Decoded::End),
        }
    }
}

/// What came of decoding for a while. A picture comes with its tick.
enum Decoded {
    Picture(i64),
    Nothing,
    End,
}

impl Frames for Film {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        Ok(match self.next_picture(image)? {
            Decoded::Picture(ticks) => Next::Picture { at: self.track.time(ticks) },
            Decoded::Nothing => Next::Later,
            Decoded::End => Next::End,
        })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.decoder = decoder(&self.name())?;
        (self.sample, self.failures, self.is_flushed) = (0, 0, false);
        self.inside.clear();
        self.ready.clear();
        Ok(())
    }
}

fn decoder(name: &str) -> Result<Decoder, SourceError> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    let decoder = Decoder::with_api_config(OpenH264API::from_source(), config);
    decoder.map_err(|error| SourceError::unsupported(name, error.to_string()))
}

/// Replaces the lengths before units by start codes; none if a length lies.
fn write_annex_b(mut sample: &[u8], length_bytes: usize, packet: &mut Vec<u8>) -> Option<()> {
    while !sample.is_empty() {
        let (length, rest) = sample.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
        let unit;
        (unit, sample) = rest.split_at_checked(length)?;
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(unit);
    }
    Some(())
}

/// Writes a decoded picture upright into `image`.
fn write(
    yuv: &DecodedYUV<'_>,
    track: &Track,
    unturned: &mut Image,
    image: &mut Image,
) -> Option<()> {
    if track.quarters == 0 {
        return write_rgb(yuv, track.colour, image);
    }
    write_rgb(yuv, track.colour, unturned)?;
    image.reset(unturned.size());
    let size = turn(unturned.rgb(), unturned.size(), track.quarters, image.rgb_mut());
    image.reset(size);
    Some(())
}

fn write_rgb(yuv: &DecodedYUV<'_>, colour: Colour, image: &mut Image) -> Option<()> {
    let (width, height) = yuv.dimensions();
    let (luma, chroma, _) = yuv.strides();
    let size = Size::new(width, height);
    let planes = [yuv.y(), yuv.u(), yuv.v()];
    let yuv = Yuv::planar(size, planes, [luma, chroma], (1, 1));
    if size.area() > MAX_AREA || !yuv.is_complete() {
        return None;
    }
    image.reset(size);
    yuv.write_rgb(colour, image.rgb_mut());
    Some(())
}
