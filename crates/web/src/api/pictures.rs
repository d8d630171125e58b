//! The picture on display as a file.

use std::io::Cursor;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use laterna_pipeline::Image;
use laterna_pipeline::frame::Frame;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::reply::{Problem, typed};
use crate::server::Shared;

/// JPEG quality unless another is asked for.
const QUALITY: u8 = 92;

/// Which picture. Other fields, such as the token, are passed over.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    what: What,
    quality: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    #[default]
    Painting,
    Camera,
}

type Asked = Result<Query<Wanted>, axum::extract::rejection::QueryRejection>;

pub(super) async fn jpeg(
    State(shared): State<Arc<Shared>>,
    wanted: Asked,
) -> Result<Response, Problem> {
    let wanted = understood(wanted)?;
    let mut encoder = shared.app.encoder();
    let quality = wanted.quality.unwrap_or(QUALITY).clamp(1, 100);
    answer(&shared, "image/jpeg", wanted.what, move |image| {
        let mut bytes = Vec::new();
        encoder.encode(image, quality, &mut bytes).map(|()| bytes)
    })
    .await
}

pub(super) async fn png(
    State(shared): State<Arc<Shared>>,
    wanted: Asked,
) -> Result<Response, Problem> {
    answer(&shared, "image/png", understood(wanted)?.what, encode_png).await
}

fn understood(wanted: Asked) -> Result<Wanted, Problem> {
    let Query(wanted) = wanted.map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, error.body_text())
            .hint("what is painting or camera, quality goes from 1 to 100")
    })?;
    Ok(wanted)
}

async fn answer(
    shared: &Shared,
    kind: &'static str,
    what: What,
    encode: impl FnOnce(&Image) -> Result<Vec<u8>, String> + Send + 'static,
) -> Result<Response, Problem> {
    let frame = shared.app.frame().ok_or_else(Problem::no_picture)?;
    let encoded = spawn_blocking(move || encode(picture(&frame, what))).await;
    let bytes = encoded.unwrap_or_else(|_| Err("the encoder failed, which is a bug".to_owned()));
    let bytes = bytes.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let mut response = typed(kind, bytes);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn picture(frame: &Frame, what: What) -> &Image {
    match what {
        What::Painting => &frame.painting,
        What::Camera => &frame.camera,
    }
}

fn encode_png(image: &Image) -> Result<Vec<u8>, String> {
    let side = |length: usize| u32::try_from(length).map_err(|_| "too large".to_owned());
    let (width, height) = (side(image.size().width)?, side(image.size().height)?);
    let mut bytes = Cursor::new(Vec::new());
    let encoder = PngEncoder::new(&mut bytes);
    let written = encoder.write_image(image.rgb(), width, height, ExtendedColorType::Rgb8);
    written.map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}
