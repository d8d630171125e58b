//! Writers of small media files, and readers that collect what a source gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use laterna_media::source::{Opened, Pace, SourceError, Spec, open};
use laterna_pipeline::port::{Clock, Read};
use laterna_pipeline::{Image, Size, SystemClock};
use openh264::OpenH264API;
use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod, RateControlMode};
use openh264::formats::{RgbSliceU8, YUVBuffer};
use tempfile::TempDir;

pub const MS: Duration = Duration::from_millis(1);

/// A folder with one file, and the file.
pub fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub fn spec(path: &Path) -> Spec {
    path.to_str().unwrap().parse().unwrap()
}

pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

pub fn open_offline(path: &Path) -> Result<Opened, SourceError> {
    open(&spec(path), &clock(), Pace::Offline)
}

/// Pictures with their times, up to the end or `limit`.
pub fn read_all(opened: &mut Opened, limit: usize) -> Result<Vec<(Duration, Image)>, String> {
    let (mut image, mut found) = (Image::default(), Vec::new());
    while found.len() < limit {
        match opened.source.read(&mut image).map_err(|error| error.to_string())? {
            Read::Picture { captured } => found.push((captured, image.clone())),
            Read::Nothing => {}
            Read::End => break,
        }
    }
    Ok(found)
}

/// Every picture of a file, read offline.
pub fn read_file(path: &Path) -> Vec<(Duration, Image)> {
    read_all(&mut open_offline(path).unwrap(), 10_000).unwrap()
}

/// Times in milliseconds, rounded.
pub fn times_ms(pictures: &[(Duration, Image)]) -> Vec<u128> {
    pictures.iter().map(|(at, _)| (at.as_micros() + 500) / 1000).collect()
}

/// A picture with soft stripes that move with `index`.
pub fn stripes(size: Size, index: usize) -> Image {
    let mut image = Image::new(size);
    for (i, pixel) in image.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % size.width) as f32, (i / size.width) as f32);
        let wave = |angle: f32| (128.0 + 100.0 * angle.sin()) as u8;
        let step = index as f32 * 0.7;
        pixel.copy_from_slice(&[wave(x / 9.0 + step), wave(y / 7.0 - step), wave((x + y) / 11.0)]);
    }
    image
}

/// Peak signal-to-noise ratio in dB.
pub fn psnr(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.size(), b.size());
    let error: f64 =
        a.rgb().iter().zip(b.rgb()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.rgb().len() as f64 / error.max(1e-9)).log10()
}

pub fn jpeg(image: &Image, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    let (width, height) = (image.size().width as u32, image.size().height as u32);
    let color = image::ColorType::Rgb8.into();
    image::ImageEncoder::write_image(encoder, image.rgb(), width, height, color).unwrap();
    bytes
}

/// A YUV4MPEG2 stream of frames of one colour each, given as Y, U and V.
pub fn y4m(header: &str, planes: [usize; 3], frames: &[[u8; 3]]) -> Vec<u8> {
    let mut bytes = format!("{header}\n").into_bytes();
    for colour in frames {
        bytes.extend_from_slice(b"FRAME\n");
        for (length, value) in planes.iter().zip(colour) {
            bytes.extend(std::iter::repeat_n(*value, *length));
        }
    }
    bytes
}

/// What a film of [`film`] says beside its pictures.
#[derive(Clone, Copy)]
pub struct FilmOptions {
    pub timescale: u32,
    /// Ticks of each picture.
    pub step: u32,
    /// Of the track's header: a, b, c, d as whole numbers.
    pub matrix: [i32; 4],
    /// Ticks at which the presentation begins.
    pub edit: Option<u32>,
    /// The codec that the description names.
    pub codec: [u8; 4],
}

impl Default for FilmOptions {
    fn default() -> Self {
        Self { timescale: 600, step: 20, matrix: [1, 0, 0, 1], edit: None, codec: *b"avc1" }
    }
}

/// A box of an MP4 file.
pub fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let size = (body.len() as u32 + 8).to_be_bytes();
    [&size[..], kind, &body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An MP4 file of `images`, coded by openh264: two pictures in each chunk.
pub fn film(images: &[Image], options: FilmOptions) -> Vec<u8> {
    let size = images[0].size();
    let (parameters, samples) = encode(images);
    let file_type = boxed(b"ftyp", &[b"isom\0\0\0\0isomavc1"]);
    let data = boxed(b"mdat", &samples.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut at = file_type.len() as u32 + 8;
    let mut chunks = Vec::new();
    for pair in samples.chunks(2) {
        chunks.push(at);
        at += pair.iter().map(|sample| sample.len() as u32).sum::<u32>();
    }
    let count = samples.len() as u32;
    let sizes: Vec<u32> = samples.iter().map(|sample| sample.len() as u32).collect();
    let last = (chunks.len() as u32, if count % 2 == 1 { 1 } else { 2 });
    let description = description(size, &parameters, options.codec);
    let table = boxed(
        b"stbl",
        &[
            &boxed(b"stsd", &[&words(&[0, 1]), &description]),
            &boxed(b"stts", &[&words(&[0, 1, count, options.step])]),
            &boxed(b"stsc", &[&words(&[0, 2, 1, 2, 1, last.0, last.1, 1])]),
            &boxed(b"stsz", &[&words(&[0, 0, count]), &words(&sizes)]),
            &boxed(b"stco", &[&words(&[0, chunks.len() as u32]), &words(&chunks)]),
        ],
    );
    let duration = count * options.step;
    let media = boxed(
        b"mdia",
        &[
            &boxed(b"mdhd", &[&words(&[0, 0, 0, options.timescale, duration, 0])]),
            &boxed(b"hdlr", &[&words(&[0, 0]), b"vide", &[0; 13]]),
            &boxed(b"minf", &[&table]),
        ],
    );
    let [a, b, c, d] = options.matrix.map(|value| (value << 16).cast_unsigned());
    let matrix = words(&[a, b, 0, c, d, 0, 0, 0, 0x4000_0000]);
    let header = boxed(b"tkhd", &[&[0; 40], &matrix, &words(&[0, 0])]);
    let edit = options.edit.map_or_else(Vec::new, |start| {
        boxed(b"edts", &[&boxed(b"elst", &[&words(&[0, 1, duration, start, 0x0001_0000])])])
    });
    let track = boxed(b"trak", &[&header, &edit, &media]);
    let sound = boxed(b"trak", &[&boxed(b"mdia", &[&boxed(b"hdlr", &[&words(&[0, 0]), b"soun"])])]);
    [file_type, data, boxed(b"moov", &[&sound, &track])].concat()
}

fn description(size: Size, [sps, pps]: &[Vec<u8>; 2], codec: [u8; 4]) -> Vec<u8> {
    let length = |unit: &[u8]| (unit.len() as u16).to_be_bytes();
    let configuration = boxed(
        b"avcC",
        &[&[1, sps[1], sps[2], sps[3], 0xFF, 0xE1], &length(sps), sps, &[1], &length(pps), pps],
    );
    let (width, height) = (size.width as u16, size.height as u16);
    let extents = [width.to_be_bytes(), height.to_be_bytes()].concat();
    boxed(&codec, &[&[0; 24], &extents, &[0; 50], &configuration])
}

/// The parameter sets, and each picture with a length before each unit.
fn encode(images: &[Image]) -> ([Vec<u8>; 2], Vec<Vec<u8>>) {
    let config = EncoderConfig::new()
        .rate_control_mode(RateControlMode::Off)
        .intra_frame_period(IntraFramePeriod::from_num_frames(4));
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
    let (mut sets, mut samples) = (Default::default(), Vec::new());
    for image in images {
        let size = (image.size().width, image.size().height);
        let yuv = YUVBuffer::from_rgb8_source(RgbSliceU8::new(image.rgb(), size));
        let coded = encoder.encode(&yuv).unwrap().to_vec();
        let mut sample = Vec::new();
        for unit in units(&coded) {
            let [sps, pps]: &mut [Vec<u8>; 2] = &mut sets;
            match unit[0] & 31 {
                7 => *sps = unit.to_vec(),
                8 => *pps = unit.to_vec(),
                _ => {
                    sample.extend_from_slice(&(unit.len() as u32).to_be_bytes());
                    sample.extend_from_slice(unit);
                }
            }
        }
        samples.push(sample);
    }
    (sets, samples)
}

/// The units between start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(2))
        .filter(|&i| stream[i..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let trimmed =
        |unit: &[u8]| unit.len() - unit.iter().rev().take_while(|&&byte| byte == 0).count();
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &stream[start + 3..end])
        .map(|unit| &unit[..trimmed(unit)])
        .collect()
}

/// Deterministic noise.
pub struct Random(pub u32);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % limit.max(1)
    }
}

/// A folder beside the repository with clips to try real input on; none, with a
/// line that says so, if it is not there.
pub fn clips() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/clips");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

/// Whether `program` can be run; if not, a line says so.
pub fn has(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("-version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}
