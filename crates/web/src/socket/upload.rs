//! Pictures from a page: a place for the newest, a decoder that looks at the
//! size first, and which page gives them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use laterna_pipeline::{Image, Size};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::message::{self, Content, Reply, Upload, UploadError};
use super::{Client, Gone};
use crate::app::{App, Demand};
use crate::options::Limits;
use crate::rgba;
use crate::server::Count;

/// The page that gives the pictures, if one does.
pub(crate) type Feeder = Option<u64>;

/// A page's time is not believed to be further from the server's.
const OLDEST: Duration = Duration::from_secs(1);

/// Longest wait for the session to want a picture; then it is asked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// While the session takes its pictures from elsewhere, the page is asked for
/// one so often.
const UNWANTED: Duration = Duration::from_millis(100);

/// A place for the newest picture that came.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    place: Mutex<Place>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Place {
    newest: Option<Bytes>,
    /// Pictures that came so far.
    received: u64,
    /// The session takes its pictures from elsewhere.
    is_idle: bool,
}

/// What became of a picture that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// It took the place of one that was not used.
    pub(super) replaced: bool,
    /// The page is to send the next one at once, so that the newest is here when
    /// one is wanted: how many it sent so far.
    pub(super) next: Option<u64>,
}

impl Uploads {
    pub(super) fn put(&self, message: Bytes) -> Received {
        let mut place = self.lock();
        place.received += 1;
        let replaced = place.newest.replace(message).is_some();
        let next = (!place.is_idle).then_some(place.received);
        drop(place);
        self.ready.notify_one();
        Received { replaced, next }
    }

    /// Waits until there is a picture.
    async fn filled(&self) {
        while self.lock().newest.is_none() {
            self.ready.notified().await;
        }
    }

    fn take(&self) -> Option<Bytes> {
        self.lock().newest.take()
    }

    /// Whether pictures are used; says so only if it is news.
    fn set_idle(&self, is_idle: bool) -> Option<u64> {
        let mut place = self.lock();
        let is_news = std::mem::replace(&mut place.is_idle, is_idle) != is_idle;
        is_news.then_some(place.received)
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes the newest picture whenever the session wants one. Those between are
/// left as they came: decoding takes time from the model.
pub(super) async fn run(client: &Client) -> Gone {
    let Err(gone) = take_all(client).await;
    gone
}

async fn take_all(client: &Client) -> Result<Infallible, Gone> {
    let mut image = Image::default();
    loop {
        client.uploads.filled().await;
        let app = Arc::clone(&client.shared.app);
        let asked = spawn_blocking(move || app.wait_for_demand(PATIENCE)).await;
        match asked.map_err(|_| Gone)? {
            Demand::Now => image = take(client, image).await?,
            Demand::Later => {}
            Demand::None => rest(client).await?,
        }
    }
}

/// Takes the newest picture; `image` is a buffer, and comes back as one.
async fn take(client: &Client, mut image: Image) -> Result<Image, Gone> {
    let Some(message) = client.uploads.take() else { return Ok(image) };
    let (app, limits) = (Arc::clone(&client.shared.app), client.shared.limits);
    let work = move || {
        let pushed = push(&*app, &limits, &message, &mut image);
        (image, pushed)
    };
    let (image, pushed) = spawn_blocking(work).await.map_err(|_| Gone)?;
    client.shared.count(if pushed.is_ok() { Count::Pictures } else { Count::Malformed });
    if let Err(error) = &pushed {
        client.reply(&Reply::Error(&error.to_string())).await?;
    }
    Ok(image)
}

/// Nobody wants the picture: forgets it and asks for another after a while.
async fn rest(client: &Client) -> Result<(), Gone> {
    client.uploads.set_idle(true);
    client.uploads.take();
    sleep(UNWANTED).await;
    match client.uploads.set_idle(false) {
        Some(received) => client.reply(&Reply::Next(received)).await,
        None => Ok(()),
    }
}

fn push(
    app: &dyn App,
    limits: &Limits,
    message: &[u8],
    image: &mut Image,
) -> Result<(), UploadError> {
    let Upload { captured, content } = message::decode(message)?;
    match content {
        Content::Jpeg(jpeg) => decode(jpeg, limits.picture_side, image)?,
        Content::Rgba(size, pixels) => copy(pixels, size, limits.picture_side, image)?,
    }
    let now = app.now();
    let captured = captured.clamp(now.saturating_sub(OLDEST), now);
    app.push(image, captured);
    Ok(())
}

/// Decodes `jpeg` into `image`. Nothing is allocated for a picture that is too
/// large.
fn decode(jpeg: &[u8], most: usize, image: &mut Image) -> Result<(), UploadError> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    let wrong = |error: zune_jpeg::errors::DecodeErrors| UploadError::Jpeg(format!("{error:?}"));
    decoder.decode_headers().map_err(wrong)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check(Size::new(width, height), most)?;
    if decoder.output_buffer_size() != Some(3 * width * height) {
        return Err(UploadError::Jpeg("it is not in colour or grey".to_owned()));
    }
    image.reset(Size::new(width, height));
    decoder.decode_into(image.rgb_mut()).map_err(wrong)
}

fn copy(pixels: &[u8], size: Size, most: usize, image: &mut Image) -> Result<(), UploadError> {
    check(size, most)?;
    let (Size { width, height }, expected, found) = (size, 4 * size.area(), pixels.len());
    if found != expected {
        return Err(UploadError::Rgba { width, height, expected, found });
    }
    rgba::read(pixels, size, image);
    Ok(())
}

fn check(Size { width, height }: Size, most: usize) -> Result<(), UploadError> {
    if width.max(height) > most || width.min(height) == 0 {
        return Err(UploadError::Size { width, height, most });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbImage::from_pixel(width, height, image::Rgb([200, 100, 50]));
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        encoder.encode_image(&picture).unwrap();
        bytes
    }

    #[test]
    fn a_picture_is_decoded() {
        let mut image = Image::default();
        decode(&jpeg(24, 10), 64, &mut image).unwrap();
        assert_eq!(image.size(), Size::new(24, 10));
        let [red, green, blue] = image.rgb().as_chunks::<3>().0[100];
        assert!(red.abs_diff(200) < 6 && green.abs_diff(100) < 6 && blue.abs_diff(50) < 6);
    }

    #[test]
    fn a_size_is_refused_before_anything_is_decoded() {
        let mut bytes = jpeg(24, 10);
        let at = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap() + 5;
        bytes[at..at + 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
        let mut image = Image::default();
        let error = decode(&bytes, 4096, &mut image).unwrap_err();
        assert_eq!(error, UploadError::Size { width: 65535, height: 65535, most: 4096 });
        assert!(image.rgb().is_empty());
    }

    #[test]
    fn pixels_are_taken_if_there_are_as_many_as_said() {
        let mut image = Image::default();
        let (pixels, size) = ([1, 2, 3, 255, 4, 5, 6, 255], Size::new(2, 1));
        copy(&pixels, size, 64, &mut image).unwrap();
        assert_eq!((image.size(), image.rgb()), (size, &[1, 2, 3, 4, 5, 6][..]));
        let error = copy(&pixels[..7], size, 64, &mut image).unwrap_err();
        assert_eq!(error, UploadError::Rgba { width: 2, height: 1, expected: 8, found: 7 });
        for (width, height) in [(0, 1), (65, 1), (1, 65)] {
            let error = copy(&pixels, Size::new(width, height), 64, &mut image).unwrap_err();
            assert_eq!(error, UploadError::Size { width, height, most: 64 });
        }
    }

    #[test]
    fn what_is_no_jpeg_is_an_error() {
        let mut image = Image::default();
        for bytes in [&b""[..], b"\xFF\xD8", b"GIF89a", &jpeg(8, 8)[..30]] {
            assert!(matches!(decode(bytes, 4096, &mut image), Err(UploadError::Jpeg(_))));
        }
    }

    #[test]
    fn the_newest_picture_is_taken() {
        let uploads = Uploads::default();
        let received = |replaced, next| Received { replaced, next };
        assert_eq!(uploads.put(Bytes::from_static(b"1")), received(false, Some(1)));
        assert_eq!(uploads.put(Bytes::from_static(b"2")), received(true, Some(2)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(uploads.filled());
        assert_eq!(uploads.take(), Some(Bytes::from_static(b"2")));
        assert_eq!(uploads.take(), None);
    }

    #[test]
    fn pictures_that_nobody_wants_are_not_asked_for() {
        let uploads = Uploads::default();
        assert_eq!(uploads.set_idle(true), Some(0));
        assert_eq!(uploads.put(Bytes::from_static(b"1")).next, None);
        assert_eq!(uploads.set_idle(false), Some(1));
        assert_eq!(uploads.put(Bytes::from_static(b"2")).next, Some(2));
    }
}
