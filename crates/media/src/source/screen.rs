//! The screen, through ffmpeg: X11 on Linux, AVFoundation on macOS, GDI on
//! Windows. Of these X11 alone has been tried, on a virtual display.

use super::error::SourceError;
use super::ffmpeg::{Input, InputKind, open_input};
use super::kinds::{Device, Kind, Opened, Request};

/// `screen`.
pub(super) const KIND: Kind = Kind {
    name: "screen",
    accepts: "the screen, through ffmpeg; an argument names another display",
    stands_alone: true,
    claims: |_| false,
    open,
    list: Some(list),
};

/// How often the screen is looked at.
const FPS: f64 = 30.0;

fn open(request: &Request<'_>) -> Result<Opened, SourceError> {
    let display = match request.argument() {
        "" => default_display()?,
        named => named.to_owned(),
    };
    let fps = request.want.fps_or(FPS).to_string();
    let options = ["-f", FORMAT, "-framerate", &fps].map(str::to_owned).to_vec();
    let name = format!("screen {display}");
    open_input(request, &Input { name, options, input: display, kind: InputKind::Live }, "")
}

fn list() -> Vec<Device> {
    let display = default_display();
    let details = match &display {
        Ok(display) => format!("ffmpeg -f {FORMAT} -i {display}"),
        Err(error) => error.to_string(),
    };
    vec![Device { spec: "screen".to_owned(), name: "Screen".to_owned(), details: vec![details] }]
}

#[cfg(target_os = "macos")]
const FORMAT: &str = "avfoundation";
#[cfg(windows)]
const FORMAT: &str = "gdigrab";
#[cfg(not(any(target_os = "macos", windows)))]
const FORMAT: &str = "x11grab";

#[cfg(target_os = "macos")]
fn default_display() -> Result<String, SourceError> {
    Ok("Capture screen 0:none".to_owned())
}

#[cfg(windows)]
fn default_display() -> Result<String, SourceError> {
    Ok("desktop".to_owned())
}

#[cfg(not(any(target_os = "macos", windows)))]
fn default_display() -> Result<String, SourceError> {
    let display = std::env::var("DISPLAY").ok().filter(|display| !display.is_empty());
    display.ok_or_else(|| SourceError::Unavailable {
        name: "screen".to_owned(),
        why: "DISPLAY is not set, and only X11 screens can be read; under Wayland, share the \
              screen through a virtual camera"
            .to_owned(),
    })
}
