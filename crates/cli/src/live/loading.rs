//! How far loading a model is, for a page beside the terminal: bytes that were
//! downloaded, then weights that were read.

use std::sync::atomic::{AtomicU64, Ordering};

use laterna_control::Activity;
use laterna_graph::{TensorType, WeightError, WeightSource};
use laterna_live::Tell;
use laterna_models::Weights;
use laterna_tensor::RawTensor;
use laterna_weights::Progress;

use crate::console;

/// The least progress that is told: each is a message to every page.
const STEP: f64 = 0.01;

/// A part of something that grows from 0 to 1.
struct Part {
    total: u64,
    done: AtomicU64,
    /// How many steps were told.
    told: AtomicU64,
}

impl Part {
    fn of(total: u64) -> Self {
        Self { total, done: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    /// The part that is done with so much more, if that is news.
    fn advance(&self, by: u64) -> Option<f32> {
        let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
        let part = (done as f64 / self.total.max(1) as f64).min(1.0);
        let steps = (part / STEP) as u64;
        (self.told.fetch_max(steps, Ordering::Relaxed) < steps).then_some(part as f32)
    }
}

/// A download's progress on the terminal and elsewhere.
pub struct Downloading<'a> {
    bar: console::Download,
    tell: &'a Tell<'a>,
    what: String,
    part: Option<Part>,
}

impl<'a> Downloading<'a> {
    /// The download of the model `name`.
    pub fn new(name: &str, bar: console::Download, tell: &'a Tell<'a>) -> Self {
        Self { bar, tell, what: format!("downloading {name}"), part: None }
    }
}

impl Progress for Downloading<'_> {
    fn total(&mut self, bytes: Option<u64>) {
        self.bar.total(bytes);
        self.part = bytes.map(Part::of);
        (self.tell)(Activity { what: self.what.clone(), part: None });
    }

    fn file(&mut self, name: &str) {
        self.bar.file(name);
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.advance(bytes);
        if let Some(part) = self.part.as_ref().and_then(|part| part.advance(bytes)) {
            (self.tell)(Activity { what: self.what.clone(), part: Some(part) });
        }
    }
}

/// Weights that tell how many of their bytes have been read. A compiler reads each
/// weight once, and little else takes its time.
pub struct Reading<'a> {
    weights: &'a Weights,
    tell: &'a Tell<'a>,
    what: String,
    part: Part,
}

impl<'a> Reading<'a> {
    /// The weights of the model `name`.
    pub fn new(name: &str, weights: &'a Weights, tell: &'a Tell<'a>) -> Self {
        let total = weights.parts().flat_map(|(_, checkpoint)| {
            let forms = checkpoint.names().filter_map(|name| checkpoint.info(name));
            forms.map(|(dtype, shape)| TensorType { dtype, shape }.size_bytes() as u64)
        });
        Self { weights, tell, what: format!("preparing {name}"), part: Part::of(total.sum()) }
    }
}

impl WeightSource for Reading<'_> {
    fn info(&self, name: &str) -> Option<TensorType> {
        self.weights.info(name)
    }

    fn read(&self, name: &str) -> Result<RawTensor<'_>, WeightError> {
        let read = self.weights.read(name)?;
        if let Some(part) = self.part.advance(read.bytes.len() as u64) {
            (self.tell)(Activity { what: self.what.clone(), part: Some(part) });
        }
        Ok(read)
    }

    fn release(&self, name: &str) {
        self.weights.release(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::console::Console;

    #[test]
    fn a_download_tells_each_hundredth_once() {
        let told = Mutex::new(Vec::new());
        let tell = |activity: Activity| told.lock().unwrap().push(activity.part);
        let mut loading = Downloading::new("m", Console::new(true, false).download(), &tell);
        loading.total(Some(1000));
        for bytes in [4, 4, 4, 500, 488] {
            loading.advance(bytes);
        }
        let told = told.into_inner().unwrap();
        assert_eq!(told, [None, Some(0.012), Some(0.512), Some(1.0)]);
    }

    #[test]
    fn a_download_of_unknown_length_tells_only_that_it_is_one() {
        let told = Mutex::new(Vec::new());
        let tell = |activity: Activity| told.lock().unwrap().push(activity);
        let mut loading = Downloading::new("m", Console::new(true, false).download(), &tell);
        loading.total(None);
        loading.advance(1 << 30);
        let what = "downloading m".to_owned();
        assert_eq!(told.into_inner().unwrap(), [Activity { what, part: None }]);
    }
}
