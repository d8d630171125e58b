//! YUV4MPEG2: uncompressed video with a text header, from a file or through a
//! pipe. 8 bits; 4:2:0 in all its sitings, 4:2:2, 4:4:4, 4:1:1 and luma alone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::time::Duration;

use laterna_pipeline::{Image, Size};
use thiserror::Error;

use super::error::SourceError;
use super::kinds::{Info, Kind, Opened, Request};
use super::pixels::{Colour, Range, Yuv};
use super::player::{Frames, Next, time_of};

/// `.y4m` files.
pub(super) const KIND: Kind = Kind {
    name: "y4m",
    accepts: "uncompressed YUV4MPEG2 video, 8 bit",
    stands_alone: false,
    claims: |given| given.starts_with(MAGIC),
    open,
    list: None,
};

pub(super) const MAGIC: &[u8] = b"YUV4MPEG2";

/// A header line may be this long; no writer comes near it.
const MAX_LINE: u64 = 1024;
const MAX_SIDE: usize = 16384;
/// Chroma of a row without colour.
static GREY: [u8; MAX_SIDE] = [128; MAX_SIDE];

/// What is wrong with a YUV4MPEG2 stream.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Y4mError {
    #[error("the header is no YUV4MPEG2 header")]
    Magic,
    #[error("a header line has no end")]
    Line,
    #[error("the header's {0} is missing or makes no sense")]
    Field(&'static str),
    #[error("frame {0} does not begin with FRAME")]
    Frame(u64),
    #[error("it ends in the middle of frame {0}")]
    Truncated(u64),
}

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let path = request.path();
    let mut clip = Y4m::open(&path)?;
    let info = clip.info(&path)?;
    clip.rewind()?;
    Ok(request.play(clip, info))
}

/// A YUV4MPEG2 stream being read.
pub(super) struct Y4m<R> {
    input: R,
    name: String,
    header: Header,
    /// Where the first frame begins.
    body: u64,
    raw: Vec<u8>,
    index: u64,
    restart: fn(&mut R, u64) -> std::io::Result<()>,
}

impl Y4m<BufReader<File>> {
    fn open(path: &Path) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(|error| SourceError::io(path, error))?;
        let mut clip =
            Y4m::new(BufReader::with_capacity(1 << 16, file), &path.display().to_string())?;
        clip.restart = |input, body| input.seek(std::io::SeekFrom::Start(body)).map(drop);
        Ok(clip)
    }

    fn info(&self, path: &Path) -> Result<Info, SourceError> {
        let length = path.metadata().map_err(|error| SourceError::io(path, error))?.len();
        let frame = b"FRAME\n".len() as u64 + self.header.frame_bytes() as u64;
        let frames = length.saturating_sub(self.body) / frame;
        let duration = Duration::try_from_secs_f64(frames as f64 / self.header.fps()).ok();
        let (size, fps) = (Some(self.header.size), Some(self.header.fps()));
        Ok(Info { size, fps, frames: Some(frames), duration, ..Info::named(&self.name) })
    }
}

impl<R: BufRead> Y4m<R> {
    /// Reads the stream's header. It cannot go back to the beginning.
    pub(super) fn new(mut input: R, name: &str) -> Result<Self, SourceError> {
        let mut line = Vec::new();
        let broken = |fault| SourceError::damaged(name, fault);
        let body = read_line(&mut input, &mut line).map_err(|error| failed(name, error))?;
        let header = Header::parse(body.and(Some(&line)).ok_or(Y4mError::Line).map_err(broken)?)
            .map_err(|fault| fault.into_source(name))?;
        let restart = |_: &mut R, _| Err(std::io::ErrorKind::NotSeekable.into());
        let (name, body) = (name.to_owned(), body.unwrap_or(0));
        Ok(Self { input, name, header, body, raw: Vec::new(), index: 0, restart })
    }

    /// Whether there is another frame, whose samples are then in `raw`.
    fn read_frame(&mut self) -> Result<bool, SourceError> {
        let broken = |fault| SourceError::damaged(&self.name, fault);
        self.raw.clear();
        let line = read_line(&mut self.input, &mut self.raw);
        match line.map_err(|error| failed(&self.name, error))? {
            None if self.raw.is_empty() => return Ok(false),
            None => return Err(broken(Y4mError::Truncated(self.index))),
            Some(_) if !self.raw.starts_with(b"FRAME") => {
                return Err(broken(Y4mError::Frame(self.index)));
            }
            Some(_) => self.raw.clear(),
        }
        let bytes = self.header.frame_bytes();
        let read = self.input.by_ref().take(bytes as u64).read_to_end(&mut self.raw);
        match read.map_err(|error| failed(&self.name, error))? {
            read if read == bytes => Ok(true),
            _ => Err(broken(Y4mError::Truncated(self.index))),
        }
    }
}

impl<R: BufRead + Send> Frames for Y4m<R> {
    fn next(&mut self, image: &mut Image) -> Result<Next, SourceError> {
        if !self.read_frame()? {
            return Ok(Next::End);
        }
        image.reset(self.header.size);
        self.header.convert(&self.raw, image.rgb_mut());
        let at = self.header.time(self.index);
        self.index += 1;
        Ok(Next::Picture { at })
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.index = 0;
        (self.restart)(&mut self.input, self.body).map_err(|error| failed(&self.name, error))
    }
}

fn failed(name: &str, source: std::io::Error) -> SourceError {
    SourceError::Io { name: name.to_owned(), source }
}

/// Reads one line without its end into `line`; its length with the end, if it
/// has one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<u64>> {
    let read = input.take(MAX_LINE).read_until(b'\n', line)?;
    Ok((line.pop_if(|last| *last == b'\n')).map(|_| read as u64))
}

/// A stream's header.
#[derive(Clone, Debug, PartialEq)]
struct Header {
    size: Size,
    /// Frames in so many seconds.
    rate: (u32, u32),
    layout: Layout,
    colour: Colour,
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Luma,
    /// log2 of the pixels that a chroma sample stands for, across and down.
    Planar(usize, usize),
    /// Luma, chroma at full size, and transparency, which is left out.
    WithAlpha,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq)]
enum HeaderError {
    Broken(Y4mError),
    Layout(String),
}

impl HeaderError {
    fn into_source(self, name: &str) -> SourceError {
        match self {
            Self::Broken(fault) => SourceError::damaged(name, fault),
            Self::Layout(tag) => {
                SourceError::unsupported(name, format!("its pixel layout is {tag}"))
            }
        }
    }
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        let line = std::str::from_utf8(line).map_err(|_| HeaderError::Broken(Y4mError::Magic))?;
        let mut fields = line.split_ascii_whitespace();
        if fields.next().map(str::as_bytes) != Some(MAGIC) {
            return Err(HeaderError::Broken(Y4mError::Magic));
        }
        let fields: Vec<&str> = fields.collect();
        let field = |tag: &str| fields.iter().find_map(|field| field.strip_prefix(tag));
        let side = |tag, name| {
            let side = field(tag).and_then(|text| text.parse().ok());
            side.filter(|side| (1..=MAX_SIDE).contains(side))
                .ok_or(HeaderError::Broken(Y4mError::Field(name)))
        };
        let size = Size::new(side("W", "width")?, side("H", "height")?);
        let rate = field("F").map_or(Some((30, 1)), ratio);
        let rate = rate.ok_or(HeaderError::Broken(Y4mError::Field("frame rate")))?;
        let layout = layout(field("C").unwrap_or("420jpeg"))?;
        let full = field("XCOLORRANGE=") == Some("FULL");
        let range = if full { Range::Full } else { Range::Limited };
        Ok(Self { size, rate, layout, colour: Colour { range, ..Colour::of(size) } })
    }

    fn fps(&self) -> f64 {
        f64::from(self.rate.0) / f64::from(self.rate.1)
    }

    fn time(&self, index: u64) -> Duration {
        time_of(u128::from(index) * u128::from(self.rate.1), self.rate.0.into())
    }

    fn luma_bytes(&self) -> usize {
        self.size.area()
    }

    /// Bytes of a row and of a plane of chroma.
    fn chroma_bytes(&self) -> (usize, usize) {
        let Layout::Planar(across, down) = self.layout else { return (0, 0) };
        let row = self.size.width.div_ceil(1 << across);
        (row, row * self.size.height.div_ceil(1 << down))
    }

    /// At most four planes of [`MAX_SIDE`] squared.
    fn frame_bytes(&self) -> usize {
        match self.layout {
            Layout::WithAlpha => 4 * self.luma_bytes(),
            _ => self.luma_bytes() + 2 * self.chroma_bytes().1,
        }
    }

    fn convert(&self, raw: &[u8], rgb: &mut [u8]) {
        let (luma, rest) = raw.split_at(self.luma_bytes());
        let (row, bytes, shifts) = match self.layout {
            Layout::Luma => return self.convert_luma(luma, rgb),
            Layout::WithAlpha => (self.size.width, self.luma_bytes(), (0, 0)),
            Layout::Planar(across, down) => {
                (self.chroma_bytes().0, self.chroma_bytes().1, (across, down))
            }
        };
        let planes = [luma, &rest[..bytes], &rest[bytes..2 * bytes]];
        let yuv = Yuv::planar(self.size, planes, [self.size.width, row], shifts);
        yuv.write_rgb(self.colour, rgb);
    }

    fn convert_luma(&self, luma: &[u8], rgb: &mut [u8]) {
        let grey = &GREY[..self.size.width];
        for (luma, rgb) in
            luma.chunks_exact(self.size.width).zip(rgb.chunks_exact_mut(3 * self.size.width))
        {
            let size = Size::new(self.size.width, 1);
            let yuv = Yuv::planar(size, [luma, grey, grey], [size.width; 2], (0, 0));
            yuv.write_rgb(self.colour, rgb);
        }
    }
}

fn ratio(text: &str) -> Option<(u32, u32)> {
    let (over, under) = text.split_once(':')?;
    let (over, under): (u32, u32) = (over.parse().ok()?, under.parse().ok()?);
    // 0:0 is how the format says that it does not know.
    if (over, under) == (0, 0) {
        return Some((30, 1));
    }
    (over > 0 && under > 0 && over / under <= 1000 && under / over <= 1000).then_some((over, under))
}

fn layout(tag: &str) -> Result<Layout, HeaderError> {
    match tag {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Layout::Planar(1, 1)),
        "422" => Ok(Layout::Planar(1, 0)),
        "444" => Ok(Layout::Planar(0, 0)),
        "411" => Ok(Layout::Planar(2, 0)),
        "mono" => Ok(Layout::Luma),
        "444alpha" => Ok(Layout::WithAlpha),
        other => Err(HeaderError::Layout(other.chars().take(32).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pixels::Matrix;
    use super::*;

    fn header(line: &str) -> Result<Header, HeaderError> {
        Header::parse(line.as_bytes())
    }

    #[test]
    fn headers_are_read_or_refused() {
        let parsed =
            header("YUV4MPEG2 W6 H4 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL").unwrap();
        assert_eq!((parsed.size, parsed.rate), (Size::new(6, 4), (30000, 1001)));
        assert_eq!((parsed.layout, parsed.frame_bytes()), (Layout::Planar(1, 1), 36));
        assert_eq!(parsed.colour, Colour { matrix: Matrix::Bt601, range: Range::Full });
        assert_eq!(header("YUV4MPEG2 W5 H3 F0:0").unwrap().frame_bytes(), 15 + 2 * 6);
        assert_eq!(header("YUV4MPEG2 W5 H3 C444alpha").unwrap().frame_bytes(), 60);
        let broken = |line: &str| match header(line).unwrap_err() {
            HeaderError::Broken(fault) => fault,
            HeaderError::Layout(tag) => panic!("layout {tag}"),
        };
        assert_eq!(broken("YUV4MPEG W6 H4"), Y4mError::Magic);
        for line in ["YUV4MPEG2 W0 H4", "YUV4MPEG2 W-1 H4", "YUV4MPEG2 W99999999999 H4"] {
            assert_eq!(broken(line), Y4mError::Field("width"));
        }
        for rate in ["F0:1", "F1:0", "F30", "F4294967295:1"] {
            let line = format!("YUV4MPEG2 W6 H4 {rate}");
            assert_eq!(broken(&line), Y4mError::Field("frame rate"));
        }
        let deep = header("YUV4MPEG2 W6 H4 C420p10").unwrap_err();
        assert_eq!(deep, HeaderError::Layout("420p10".into()));
    }

    #[test]
    fn times_do_not_drift() {
        let header = header("YUV4MPEG2 W6 H4 F30000:1001").unwrap();
        assert_eq!(header.time(30_000 * 3600), Duration::from_secs(1001 * 3600));
        assert!(header.time(u64::MAX) > header.time(u64::MAX / 2));
    }
}
