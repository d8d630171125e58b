//! Whether a picture is worth inferring: how far its luma, seen on a coarse
//! grid, is from that of the last picture that was. A still scene is skipped up
//! to a limit; a jump is a scene cut.

use std::time::Duration;

use crate::image::Size;

/// Cells along a side: coarse enough that sensor noise averages out.
const CELLS: usize = 32;

/// Samples along a side of a cell.
const SAMPLES: usize = 4;

/// The difference of a cut is also this many times that of the frames before,
/// so that a shaken camera is not one cut after another (the adaptive
/// detector of PySceneDetect uses 3).
const CUT_RATIO: f32 = 3.0;

/// Weight of the newest difference in the mean that a cut stands out from.
const RECENT: f32 = 0.2;

/// When a picture counts as new.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Pictures that differ less from the last inferred one are not inferred,
    /// 0..=1 of the range of luma; 0 infers all.
    pub threshold: f32,
    /// Even a still scene is inferred again after this long.
    pub refresh: Duration,
    /// Pictures that differ more start a new scene, 0..=1; 1 never.
    pub cut: f32,
}

impl Default for Similarity {
    fn default() -> Self {
        Self { threshold: 0.0, refresh: Duration::from_secs(1), cut: 0.25 }
    }
}

/// The mean luma of a grid of cells, 0..=1.
#[derive(Clone, Debug, PartialEq)]
pub struct Thumbnail {
    luma: [f32; CELLS * CELLS],
}

impl Default for Thumbnail {
    fn default() -> Self {
        Self { luma: [0.0; CELLS * CELLS] }
    }
}

impl Thumbnail {
    /// Reads planes, `[3, height, width]` of `size`, -1..=1, at 4x4 points of
    /// each cell.
    ///
    /// # Panics
    /// If the planes have another size or none.
    pub fn read(&mut self, planes: &[f32], size: Size) {
        assert_eq!(planes.len(), 3 * size.area(), "planes of another size");
        let across = points(size.width);
        for (cells, ys) in self.luma.chunks_mut(CELLS).zip(points(size.height)) {
            for (cell, xs) in cells.iter_mut().zip(&across) {
                let rows = ys.map(|y| xs.map(|x| luma(planes, size, y * size.width + x)));
                *cell = rows.iter().flatten().sum::<f32>() / (SAMPLES * SAMPLES) as f32;
            }
        }
    }

    /// The mean absolute difference, 0..=1.
    pub fn difference(&self, other: &Self) -> f32 {
        let sum: f32 = self.luma.iter().zip(&other.luma).map(|(a, b)| (a - b).abs()).sum();
        sum / self.luma.len() as f32
    }
}

/// The sample points of each cell along a side of `length` pixels.
fn points(length: usize) -> [[usize; SAMPLES]; CELLS] {
    let point = |i: usize| (2 * i + 1) * length / (2 * CELLS * SAMPLES);
    std::array::from_fn(|cell| std::array::from_fn(|sample| point(cell * SAMPLES + sample)))
}

/// ITU-R BT.601 luma of one pixel, 0..=1.
fn luma(planes: &[f32], size: Size, pixel: usize) -> f32 {
    let [red, green, blue] = [0, 1, 2].map(|plane| planes[plane * size.area() + pixel]);
    (0.299 * red + 0.587 * green + 0.114 * blue) / 2.0 + 0.5
}

/// What is to be done with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the last painting still fits.
    Skip,
    /// Infer it.
    Infer {
        /// It is the first of a new scene.
        cut: bool,
    },
}

/// What a [`Watch`] remembers, as numbers that can be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The last inferred picture's luma, 0..=1, cell by cell.
    pub luma: Vec<f32>,
    /// When it was inferred.
    pub inferred: Duration,
    /// Mean difference of the pictures before, 0..=1.
    pub recent: f32,
    /// How many of them in a row were similar to the one before.
    pub still: u32,
}

/// The last inferred picture, which the next is compared with.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    last: Option<(Thumbnail, Duration)>,
    recent: f32,
    still: u32,
}

impl Watch {
    /// Judges a picture; `must` infers it however similar it is.
    pub fn judge(
        &self,
        picture: &Thumbnail,
        now: Duration,
        must: bool,
        similarity: &Similarity,
    ) -> Verdict {
        let Some((last, inferred)) = &self.last else { return Verdict::Infer { cut: false } };
        let difference = picture.difference(last);
        let fresh = now < inferred.saturating_add(similarity.refresh);
        if difference < similarity.threshold && fresh && !must {
            return Verdict::Skip;
        }
        let cut = difference > similarity.cut && difference > CUT_RATIO * self.recent;
        Verdict::Infer { cut }
    }

    /// How many inferred pictures in a row were similar to the one before.
    pub fn still(&self) -> u32 {
        self.still
    }

    /// Notes that `picture` is inferred `now`.
    pub fn note(&mut self, picture: &Thumbnail, now: Duration, similarity: &Similarity) {
        let Some((last, inferred)) = &mut self.last else {
            self.last = Some((picture.clone(), now));
            return;
        };
        let difference = picture.difference(last);
        self.recent += RECENT * (difference - self.recent);
        self.still = if difference < similarity.threshold { self.still + 1 } else { 0 };
        last.clone_from(picture);
        *inferred = now;
    }

    /// What it remembers; none before the first picture.
    pub fn memory(&self) -> Option<Memory> {
        let (last, inferred) = self.last.as_ref()?;
        let (recent, still) = (self.recent, self.still);
        Some(Memory { luma: last.luma.to_vec(), inferred: *inferred, recent, still })
    }

    /// Goes on where another one was; none if that looked at another grid.
    pub fn recall(memory: &Memory) -> Option<Self> {
        let luma = memory.luma.as_slice().try_into().ok()?;
        let last = Some((Thumbnail { luma }, memory.inferred));
        Some(Self { last, recent: memory.recent, still: memory.still })
    }

    /// Makes the next picture one to infer, as after a failure.
    pub fn forget(&mut self) {
        self.last = None;
        self.still = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(96, 64);

    fn thumbnail(value: impl Fn(usize, usize) -> f32) -> Thumbnail {
        let plane = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
        let plane: Vec<f32> = plane.map(|(x, y)| value(x, y)).collect();
        let mut thumbnail = Thumbnail::default();
        thumbnail.read(&plane.repeat(3), SIZE);
        thumbnail
    }

    fn grey(value: f32) -> Thumbnail {
        thumbnail(|_, _| 2.0 * value - 1.0)
    }

    #[test]
    fn the_difference_is_in_units_of_the_range() {
        assert!((grey(0.2).difference(&grey(0.5)) - 0.3).abs() < 1e-5);
        assert!((grey(0.0).difference(&grey(1.0)) - 1.0).abs() < 1e-5);
        let half = thumbnail(|x, _| if x < SIZE.width / 2 { -1.0 } else { 1.0 });
        assert!((half.difference(&grey(0.0)) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn noise_is_smaller_than_motion() {
        let noise = |x: usize, y: usize| ((x * 7919 + y * 104_729) % 64) as f32 / 64.0 - 0.5;
        let edge = |at: usize| move |x: usize| if x < at { -0.8 } else { 0.8 };
        let still = thumbnail(|x, _| edge(40)(x));
        let noisy = thumbnail(|x, y| edge(40)(x) + 0.1 * noise(x, y));
        let moved = thumbnail(|x, _| edge(46)(x));
        assert!(3.0 * still.difference(&noisy) < still.difference(&moved));
    }

    #[test]
    fn a_still_scene_is_skipped_until_the_refresh() {
        let similarity = Similarity { threshold: 0.02, ..Similarity::default() };
        let (mut watch, second) = (Watch::default(), Duration::from_secs(1));
        let judge =
            |watch: &Watch, value, now, must| watch.judge(&grey(value), now, must, &similarity);
        assert_eq!(judge(&watch, 0.5, Duration::ZERO, false), Verdict::Infer { cut: false });
        watch.note(&grey(0.5), Duration::ZERO, &similarity);
        assert_eq!(judge(&watch, 0.51, second / 2, false), Verdict::Skip);
        assert_eq!(judge(&watch, 0.51, second / 2, true), Verdict::Infer { cut: false });
        assert_eq!(judge(&watch, 0.53, second / 2, false), Verdict::Infer { cut: false });
        assert_eq!(judge(&watch, 0.51, second, false), Verdict::Infer { cut: false });
        watch.forget();
        assert_eq!(judge(&watch, 0.5, second / 2, false), Verdict::Infer { cut: false });
    }

    #[test]
    fn a_slow_drift_is_not_skipped_for_ever() {
        let similarity = Similarity { threshold: 0.05, refresh: Duration::from_hours(1), cut: 1.0 };
        let mut watch = Watch::default();
        watch.note(&grey(0.0), Duration::ZERO, &similarity);
        let inferred = (1..100).filter(|&i| {
            let picture = grey(i as f32 / 100.0);
            let infer = watch.judge(&picture, Duration::ZERO, false, &similarity) != Verdict::Skip;
            if infer {
                watch.note(&picture, Duration::ZERO, &similarity);
            }
            infer
        });
        assert!((16..=20).contains(&inferred.count()));
    }

    #[test]
    fn a_watch_is_gone_on_with_by_another() {
        let similarity = Similarity { threshold: 0.5, ..Similarity::default() };
        let mut watch = Watch::default();
        assert_eq!(watch.memory(), None);
        for i in 0..3 {
            watch.note(&grey(0.1 * i as f32), Duration::from_secs(i), &similarity);
        }
        let memory = watch.memory().unwrap();
        assert_eq!((memory.inferred, memory.still), (Duration::from_secs(2), 2));
        let other = Watch::recall(&memory).unwrap();
        assert_eq!(other.memory(), Some(memory.clone()));
        assert!(Watch::recall(&Memory { luma: vec![0.0; 9], ..memory }).is_none());
    }

    #[test]
    fn a_cut_stands_out_from_the_motion_before_it() {
        let similarity = Similarity::default();
        let cut = |watch: &Watch, value| {
            watch.judge(&grey(value), Duration::ZERO, false, &similarity)
                == Verdict::Infer { cut: true }
        };
        let (mut calm, mut shaken) = (Watch::default(), Watch::default());
        for i in 0..20 {
            calm.note(&grey(0.2 + 0.01 * (i % 2) as f32), Duration::ZERO, &similarity);
            shaken.note(&grey(0.2 + 0.3 * (i % 2) as f32), Duration::ZERO, &similarity);
        }
        assert!(cut(&calm, 0.7) && !cut(&calm, 0.4));
        assert!(!cut(&shaken, 0.2));
    }
}
