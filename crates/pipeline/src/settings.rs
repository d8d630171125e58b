//! What the user may change while the pipeline runs. Each thread reads the
//! settings once at the start of a frame, so a change is whole, is effective on
//! the next frame and costs none.

use std::sync::{Arc, Mutex};

use crate::prepare::View;
use crate::similar::Similarity;
use crate::sync::lock;

/// Everything that can be set; `S` is the stage's own part.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings<S> {
    /// How the model sees the camera's picture.
    pub view: View,
    /// When a picture counts as new.
    pub similarity: Similarity,
    /// Share of the picture before in each shown one (EMA), 0 for none, below 1.
    pub smoothing: f32,
    /// Share of the camera's picture in each shown one, 0..=1.
    pub camera: f32,
    /// What the stage reads: strength, prompt, seed, feedback.
    pub stage: S,
}

impl<S> Settings<S> {
    /// Centre crop, every frame inferred, nothing smoothed or blended.
    pub fn new(stage: S) -> Self {
        let (view, similarity) = (View::default(), Similarity::default());
        Self { view, similarity, smoothing: 0.0, camera: 0.0, stage }
    }
}

/// A value that one thread replaces and others read.
#[derive(Debug)]
pub struct Live<T> {
    current: Mutex<Current<T>>,
}

/// A value as it was at one time, with the number of changes before it.
#[derive(Debug)]
pub struct Current<T> {
    /// The value.
    pub value: Arc<T>,
    /// 0 for the first, then one more with each change.
    pub version: u64,
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: self.version }
    }
}

impl<T> Live<T> {
    /// The first value.
    pub fn new(value: T) -> Self {
        Self { current: Mutex::new(Current { value: Arc::new(value), version: 0 }) }
    }

    /// The value now. It allocates nothing.
    pub fn get(&self) -> Current<T> {
        lock(&self.current).clone()
    }

    /// Replaces the value and returns the new version.
    pub fn set(&self, value: T) -> u64 {
        self.replace(|_| value)
    }

    /// Changes a copy of the value, which then replaces it, and returns the new
    /// version. Of two threads that change at once neither's change is lost.
    pub fn update(&self, change: impl FnOnce(&mut T)) -> u64
    where
        T: Clone,
    {
        self.replace(|value| {
            let mut value = value.clone();
            change(&mut value);
            value
        })
    }

    fn replace(&self, next: impl FnOnce(&T) -> T) -> u64 {
        let mut current = lock(&self.current);
        current.value = Arc::new(next(&current.value));
        current.version += 1;
        current.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_keep_what_they_read_and_versions_count_changes() {
        let live = Live::new(1);
        let before = live.get();
        assert_eq!(live.set(5), 1);
        assert_eq!(live.update(|value| *value += 2), 2);
        assert_eq!((*before.value, before.version), (1, 0));
        assert_eq!((*live.get().value, live.get().version), (7, 2));
    }
}
