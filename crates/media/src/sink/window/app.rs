//! What happens to the window: pictures, keys, sizes, the end.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Instant;

use laterna_pipeline::{Image, Size};
use softbuffer::{Context, SoftBufferError, Surface};
use winit::application::ApplicationHandler;
use winit::dpi::LogicalSize;
use winit::event::{ElementState, KeyEvent, StartCause, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, OwnedDisplayHandle};
use winit::keyboard::{Key as Logical, NamedKey};
use winit::window::{Fullscreen, Window, WindowId};

use super::draw::Painter;
use super::feed::Feed;
use super::key::Key;
use super::{Options, POLL, Then, WindowError};

/// The window and what is asked while it is open.
pub(super) struct App<K, E> {
    options: Options,
    feed: Feed,
    on_key: K,
    should_exit: E,
    context: Context<OwnedDisplayHandle>,
    pane: Option<Pane>,
    error: Option<WindowError>,
}

/// An open window.
struct Pane {
    window: Rc<Window>,
    surface: Surface<OwnedDisplayHandle, Rc<Window>>,
    painter: Painter,
    /// What is shown, empty before the first picture.
    image: Image,
}

impl<K: FnMut(Key) -> Then, E: FnMut() -> bool> App<K, E> {
    pub(super) fn new(
        event_loop: &EventLoop<()>,
        options: Options,
        feed: Feed,
        on_key: K,
        should_exit: E,
    ) -> Result<Self, WindowError> {
        let context = Context::new(event_loop.owned_display_handle()).map_err(pixels)?;
        Ok(Self { options, feed, on_key, should_exit, context, pane: None, error: None })
    }

    /// How it ended.
    pub(super) fn outcome(self) -> Result<(), WindowError> {
        self.error.map_or(Ok(()), Err)
    }

    /// Ends the loop if something failed.
    fn check(&mut self, event_loop: &ActiveEventLoop, done: Result<(), WindowError>) {
        if let Err(error) = done {
            self.error = Some(error);
            event_loop.exit();
        }
    }

    fn press(&mut self, event_loop: &ActiveEventLoop, event: &KeyEvent) {
        let Some(pane) = &self.pane else { return };
        let key = Key::of(&event.logical_key);
        if event.state != ElementState::Pressed || (event.repeat && !key.is_some_and(Key::repeats))
        {
            return;
        }
        let full_screen = pane.window.fullscreen().is_some();
        match (key, &event.logical_key) {
            (Some(Key::Char('f')), _) | (_, Logical::Named(NamedKey::F11)) => {
                pane.set_full_screen(!full_screen);
            }
            (Some(Key::Escape), _) if full_screen => pane.set_full_screen(false),
            (Some(key), _) if (self.on_key)(key) == Then::Close => event_loop.exit(),
            _ => {}
        }
    }
}

impl<K: FnMut(Key) -> Then, E: FnMut() -> bool> ApplicationHandler for App<K, E> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.pane.is_none() {
            let opened = Pane::open(event_loop, &self.context, &self.options);
            let opened = opened.map(|pane| self.pane = Some(pane));
            self.check(event_loop, opened);
        }
    }

    fn new_events(&mut self, event_loop: &ActiveEventLoop, _: StartCause) {
        if (self.should_exit)() {
            event_loop.exit();
        }
        event_loop.set_control_flow(ControlFlow::WaitUntil(Instant::now() + POLL));
    }

    fn user_event(&mut self, _: &ActiveEventLoop, (): ()) {
        if let Some(pane) = &self.pane {
            pane.window.request_redraw();
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => event_loop.exit(),
            WindowEvent::KeyboardInput { event, .. } => self.press(event_loop, &event),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => {
                self.user_event(event_loop, ());
            }
            WindowEvent::RedrawRequested => {
                let drawn =
                    self.pane.as_mut().map_or(Ok(()), |pane| pane.draw(&self.feed, &self.options));
                self.check(event_loop, drawn);
            }
            _ => {}
        }
    }
}

impl Pane {
    fn open(
        event_loop: &ActiveEventLoop,
        context: &Context<OwnedDisplayHandle>,
        options: &Options,
    ) -> Result<Self, WindowError> {
        let Size { width, height } = options.size;
        let attributes = Window::default_attributes()
            .with_title(&options.title)
            .with_inner_size(LogicalSize::new(width.max(1) as f64, height.max(1) as f64))
            .with_fullscreen(options.full_screen.then_some(Fullscreen::Borderless(None)));
        let window = event_loop.create_window(attributes);
        let window = Rc::new(window.map_err(|error| WindowError::Window(error.to_string()))?);
        let surface = Surface::new(context, Rc::clone(&window)).map_err(pixels)?;
        window.request_redraw();
        Ok(Self { window, surface, painter: Painter::default(), image: Image::default() })
    }

    fn draw(&mut self, feed: &Feed, options: &Options) -> Result<(), WindowError> {
        feed.take(&mut self.image);
        let size = self.window.inner_size();
        let sides = NonZeroU32::new(size.width).zip(NonZeroU32::new(size.height));
        // A window without extents is minimised: nothing of it is seen.
        let Some((width, height)) = sides else { return Ok(()) };
        self.surface.resize(width, height).map_err(pixels)?;
        let mut buffer = self.surface.buffer_mut().map_err(pixels)?;
        let size = Size::new(size.width as usize, size.height as usize);
        self.painter.draw(&self.image, options.filter, size, &mut buffer);
        self.window.pre_present_notify();
        buffer.present().map_err(pixels)?;
        feed.presented();
        Ok(())
    }

    fn set_full_screen(&self, on: bool) {
        self.window.set_fullscreen(on.then_some(Fullscreen::Borderless(None)));
    }
}

fn pixels(error: SoftBufferError) -> WindowError {
    WindowError::Window(error.to_string())
}
