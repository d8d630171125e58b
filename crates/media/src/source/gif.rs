//! Animated GIFs with the delays and the disposal of their frames. What is
//! transparent is white.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::gif::{
    ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, Frame, MemoryLimit,
};
use laterna_pipeline::{Image, Size};

use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request};
use super::pixels::on_white;
use super::player::{Frames, Next};

/// `.gif` files.
pub(super) const KIND: Kind = Kind {
    name: "gif",
    accepts: "an animated GIF",
    stands_alone: false,
    claims: |given| given.starts_with(b"GIF87a") || given.starts_with(b"GIF89a"),
    open,
    list: None,
};

/// Pixels of a canvas: a GIF of a few bytes can ask for four thousand million.
const MAX_AREA: usize = 1 << 26;
const MAX_BYTES: std::num::NonZeroU64 = std::num::NonZeroU64::new(1 << 29).expect("not zero");

/// Browsers show frames with a shorter delay than 20 ms for this long.
const DEFAULT_DELAY: Duration = Duration::from_millis(100);
const SHORTEST_DELAY: Duration = Duration::from_millis(20);

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let gif = Gif::open(request.path())?;
    let info = Info { size: Some(gif.canvas.size), ..Info::named(&gif.path.display().to_string()) };
    Ok(request.play(gif, info))
}

struct Gif {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    canvas: Canvas,
    /// When the next frame is due.
    at: Duration,
}

impl Gif {
    fn open(path: PathBuf) -> Result<Self, SourceError> {
        let decoder = decoder(&path)?;
        let size = Size::new(usize::from(decoder.width()), usize::from(decoder.height()));
        if !(1..=MAX_AREA).contains(&size.area()) {
            let fault = format!("its canvas of {}x{} is out of bounds", size.width, size.height);
            return Err(SourceError::damaged(&path.display().to_string(), fault));
        }
        Ok(Self { path, decoder, canvas: Canvas::new(size), at: Duration::ZERO })
    }
}

fn decoder(path: &Path) -> Result<Decoder<BufReader<File>>, SourceError> {
    let file = File::open(path).map_err(|error| SourceError::io(path, error))?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.set_memory_limit(MemoryLimit::Bytes(MAX_BYTES));
    options.read_info(BufReader::new(file)).map_err(|error| damaged(path, error))
}

fn damaged(path: &Path, error: DecodingError) -> SourceError {
    SourceError::damaged(&path.display().to_string(), error)
}

impl Frames for Gif {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        let frame = self.decoder.read_next_frame().map_err(|error| damaged(&self.path, error))?;
        let Some(frame) = frame else { return Ok(Next::End) };
        self.canvas.draw(frame);
        image.reset(self.canvas.size);
        on_white(&self.canvas.rgba, image.rgb_mut());
        let delay = Duration::from_millis(10 * u64::from(frame.delay));
        let at = self.at;
        self.at += if delay < SHORTEST_DELAY { DEFAULT_DELAY } else { delay };
        Ok(Next::Picture { at })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.decoder = decoder(&self.path)?;
        self.canvas = Canvas::new(self.canvas.size);
        self.at = Duration::ZERO;
        Ok(())
    }
}

/// What frames are drawn on, RGBA.
struct Canvas {
    size: Size,
    rgba: Vec<u8>,
    /// What to do before the next frame is drawn, and where.
    disposal: DisposalMethod,
    area: Area,
    /// The canvas before a frame that is to be taken back.
    saved: Vec<u8>,
}

/// The part of a frame that lies on the canvas.
#[derive(Clone, Copy, Default)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    fn new(size: Size) -> Self {
        let rgba = vec![0; 4 * size.area()];
        let (disposal, area) = (DisposalMethod::Keep, Area::default());
        Self { size, rgba, disposal, area, saved: Vec::new() }
    }

    fn draw(&mut self, frame: &Frame<'_>) {
        self.dispose();
        (self.disposal, self.area) = (frame.dispose, self.clip(frame));
        if self.disposal == DisposalMethod::Previous {
            self.saved.clone_from(&self.rgba);
        }
        let stride = 4 * usize::from(frame.width);
        for y in 0..self.area.height {
            let from = &frame.buffer[y * stride..][..4 * self.area.width];
            let (from, to) = (from.as_chunks::<4>().0, self.row(y).as_chunks_mut::<4>().0);
            for (pixel, canvas) in from.iter().zip(to).filter(|(pixel, _)| pixel[3] > 0) {
                *canvas = *pixel;
            }
        }
    }

    fn dispose(&mut self) {
        match self.disposal {
            DisposalMethod::Background => (0..self.area.height).for_each(|y| self.row(y).fill(0)),
            DisposalMethod::Previous => std::mem::swap(&mut self.rgba, &mut self.saved),
            DisposalMethod::Any | DisposalMethod::Keep => {}
        }
    }

    fn clip(&self, frame: &Frame<'_>) -> Area {
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let width = usize::from(frame.width).min(self.size.width.saturating_sub(left));
        let height = usize::from(frame.height).min(self.size.height.saturating_sub(top));
        if width == 0 { Area::default() } else { Area { left, top, width, height } }
    }

    /// Row `y` of the area.
    fn row(&mut self, y: usize) -> &mut [u8] {
        let start = (self.area.top + y) * self.size.width + self.area.left;
        &mut self.rgba[4 * start..][..4 * self.area.width]
    }
}
