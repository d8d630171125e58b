//! What a session knows and tells: the state that a page shows, the notices,
//! and the wish to end. Every thread of the session may change it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use laterna_control::{
    Activity, Controls, Level, MOST_NOTICES, ModelChoice, ModelOffer, Notice, Recording, Size,
    SourceChoice, State, gallery,
};
use laterna_pipeline::frame::Frame;
use laterna_pipeline::port::{Clock, PortError};

/// Told each notice as it comes, on the thread where it happens: it must not
/// wait.
pub type OnNotice = Arc<dyn Fn(&Notice) + Send + Sync>;

/// A model for one size of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub model: ModelChoice,
    pub size: Size,
}

pub struct Hub {
    clock: Arc<dyn Clock>,
    on_notice: OnNotice,
    inner: Mutex<Inner>,
    ended: Condvar,
}

struct Inner {
    state: State,
    /// Number of the next notice.
    next_notice: u64,
    /// When the recording began.
    recording_since: Duration,
    /// What has been built and not yet taken up.
    built: Option<Work>,
    /// What paints now.
    running: Option<Work>,
    newest: Option<Arc<Frame>>,
    wants_end: bool,
}

impl Hub {
    pub fn new(
        clock: Arc<dyn Clock>,
        controls: Controls,
        model: ModelChoice,
        source: SourceChoice,
        on_notice: OnNotice,
    ) -> Self {
        let state = State {
            version: 0,
            controls,
            gallery: &gallery::STYLES,
            source,
            sources: Vec::new(),
            model,
            models: Vec::new(),
            working_size: None,
            loading: None,
            recording: None,
            notices: Vec::new(),
        };
        let inner = Inner {
            state,
            next_notice: 0,
            recording_since: Duration::ZERO,
            built: None,
            running: None,
            newest: None,
            wants_end: false,
        };
        Self { clock, on_notice, inner: Mutex::new(inner), ended: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, which is then a version newer.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        inner.state.version += 1;
        change(&mut inner)
    }

    pub fn state(&self) -> State {
        let inner = self.lock();
        let mut state = inner.state.clone();
        if let Some(recording) = &mut state.recording {
            let since = self.clock.now().saturating_sub(inner.recording_since);
            recording.seconds = since.as_secs_f64();
        }
        state
    }

    pub fn controls(&self) -> Controls {
        self.lock().state.controls.clone()
    }

    pub fn set_controls(&self, controls: Controls) {
        self.change(|inner| inner.state.controls = controls);
    }

    /// What there is to choose from.
    pub fn offer(&self, sources: Vec<SourceChoice>, models: Vec<ModelOffer>) {
        let state = &mut self.lock().state;
        if (&state.sources, &state.models) != (&sources, &models) {
            (state.sources, state.models) = (sources, models);
            state.version += 1;
        }
    }

    pub fn notice(&self, level: Level, text: impl Into<String>) {
        let at_s = self.clock.now().as_secs_f64();
        let notice = self.change(|inner| {
            let notice = Notice { number: inner.next_notice, at_s, level, text: text.into() };
            inner.next_notice += 1;
            let notices = &mut inner.state.notices;
            if notices.len() == MOST_NOTICES {
                notices.remove(0);
            }
            notices.push(notice.clone());
            notice
        });
        (self.on_notice)(&notice);
    }

    pub fn source_opened(&self, choice: SourceChoice) {
        let before =
            self.change(|inner| std::mem::replace(&mut inner.state.source, choice.clone()));
        if before != choice {
            self.notice(Level::Info, format!("pictures come from: {}", choice.label));
        }
    }

    pub fn source_refused(&self, spec: &str, error: &PortError) {
        self.notice(Level::Error, format!("cannot switch to {spec}: {error}"));
    }

    pub fn source_is_live(&self, live: bool) {
        self.change(|inner| inner.state.source.live = live);
    }

    pub fn source_ended(&self) {
        self.source_is_live(false);
        self.notice(Level::Info, "the source has ended");
    }

    pub fn loading(&self, work: &Work) {
        let Work { model, size } = work;
        let what = format!("{} at {}x{}", model.name, size.width, size.height);
        self.progress(Activity { what, part: None });
    }

    /// How far loading is.
    pub fn progress(&self, activity: Activity) {
        self.change(|inner| inner.state.loading = Some(activity));
    }

    /// The work has been built, or not.
    pub fn loaded(&self, work: Option<Work>) {
        self.change(|inner| {
            inner.state.loading = None;
            inner.built = work;
        });
    }

    /// What was built last is at work.
    pub fn stage_ready(&self, size: Size) {
        self.change(|inner| {
            if let Some(work) = inner.built.take() {
                inner.state.model = work.model.clone();
                inner.running = Some(work);
            }
            inner.state.working_size = Some(size);
        });
    }

    /// What paints now.
    pub fn running(&self) -> Option<Work> {
        self.lock().running.clone()
    }

    pub fn recording(&self, file: Option<String>) {
        let now = self.clock.now();
        self.change(|inner| {
            inner.recording_since = now;
            inner.state.recording = file.map(|file| Recording { file, seconds: 0.0 });
        });
    }

    pub fn show(&self, frame: &Arc<Frame>) {
        self.lock().newest = Some(Arc::clone(frame));
    }

    pub fn newest(&self) -> Option<Arc<Frame>> {
        self.lock().newest.clone()
    }

    pub fn end(&self) {
        self.lock().wants_end = true;
        self.ended.notify_all();
    }

    /// Waits until someone asked to end, up to `limit`, and says whether someone
    /// did.
    pub fn wait_for_end(&self, limit: Duration) -> bool {
        let inner = self.lock();
        let waited = self.ended.wait_timeout_while(inner, limit, |inner| !inner.wants_end);
        waited.unwrap_or_else(PoisonError::into_inner).0.wants_end
    }
}
