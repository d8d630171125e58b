//! A window that shows the newest picture as large as it fits.
//!
//! Window systems want the main thread, and sinks have threads of their own. So
//! [`pair`] makes two ends: the [`WindowSink`] goes to the pipeline, and [`run`]
//! shows on the main thread what comes to the [`Feed`]. A picture counts as shown
//! when the window system has it.
//!
//! Tried on X11 (in a virtual framebuffer, without a window manager); Wayland,
//! macOS and Windows, full screen, and displays with enlarged pixels could not be
//! tried where this was written.

mod app;
mod draw;
mod feed;
mod key;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use laterna_pipeline::Size;
use thiserror::Error;
use winit::event_loop::EventLoop;

use self::app::App;
pub use self::feed::{Feed, WindowSink, pair};
pub use self::key::Key;
use super::Filter;

/// How often [`run`] asks whether to end, if nothing happens.
const POLL: Duration = Duration::from_millis(100);

/// What the window is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What it is called.
    pub title: String,
    /// Its inner size at first, in the system's own units: pixels, or larger
    /// where the display says so.
    pub size: Size,
    /// How pictures are enlarged.
    pub filter: Filter,
    /// Whether it covers the screen at first.
    pub full_screen: bool,
}

/// What happens after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The window stays.
    Stay,
    /// It closes.
    Close,
}

/// Why there is no window, or none any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// There is no display, or it cannot be used.
    #[error("no window can be opened: {0}")]
    Display(String),
    /// The window system refuses the window or its pixels.
    #[error("the window failed: {0}")]
    Window(String),
    /// The user or the program has closed it: no fault, but the end of its sink.
    #[error("the window is closed")]
    Closed,
}

impl WindowError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        let on_linux = cfg!(target_os = "linux") && matches!(self, Self::Display(_));
        on_linux.then_some(
            "it needs DISPLAY or WAYLAND_DISPLAY of a desktop that runs, and libxkbcommon with \
             libX11, libXcursor, libXi and libX11-xcb or libwayland-client",
        )
    }
}

/// Opens a window and shows what comes to `feed` until it is closed, `on_key`
/// says so, or `should_exit` is true, which is asked several times a second. Its
/// sink ends with the window.
///
/// `f` and F11 switch to full screen and back, Escape leaves it; every other key
/// that [`Key`] names goes to `on_key`.
///
/// Call it on the main thread, and once in a program: window systems allow no
/// more.
///
/// # Errors
/// If there is no display, or the window fails.
pub fn run(
    options: Options,
    feed: Feed,
    on_key: impl FnMut(Key) -> Then,
    should_exit: impl FnMut() -> bool,
) -> Result<(), WindowError> {
    let display = |reason: String| WindowError::Display(reason);
    // Where a library is missing, winit panics; that is the user's system and no
    // bug of ours.
    let built = catch_unwind(AssertUnwindSafe(|| EventLoop::<()>::with_user_event().build()));
    let event_loop = match built {
        Ok(built) => built.map_err(|error| display(reason(&error.to_string())))?,
        Err(panic) => return Err(display(message(&*panic))),
    };
    let proxy = event_loop.create_proxy();
    feed.wake_with(Box::new(move || {
        // A loop that has ended needs no waking.
        let _ = proxy.send_event(());
    }));
    let mut app = App::new(&event_loop, options, feed, on_key, should_exit)?;
    event_loop.run_app(&mut app).map_err(|error| WindowError::Window(error.to_string()))?;
    app.outcome()
}

/// The reason without the place in winit's sources that it begins with.
fn reason(error: &str) -> String {
    let place = error.strip_prefix("os error at ").and_then(|rest| rest.split_once(".rs:"));
    let reason = place.and_then(|(_, line)| line.split_once(": "));
    reason.map_or(error, |(_, reason)| reason).to_owned()
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the window system failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_begin_with_what_matters() {
        let error = "os error at /x/winit: 1/linux/mod.rs:764: neither A nor B is set.";
        assert_eq!(reason(error), "neither A nor B is set.");
        assert_eq!(reason("anything else"), "anything else");
        assert_eq!(message(&"no library"), "no library");
        assert_eq!(message(&String::from("no library")), "no library");
        assert_eq!(message(&7), "the window system failed");
    }
}
