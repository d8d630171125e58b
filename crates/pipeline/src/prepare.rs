//! From a camera's picture to the tensor that a model reads: crop or letterbox,
//! resize, normalise and perhaps mirror in one pass over the source rows. Shrinking averages
//! areas, enlarging is bilinear; a picture of the model's size is not resampled.

use crate::axis::Axis;
use crate::image::{Image, Size};

/// How a picture of another shape is made to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// The largest centred part of the model's shape.
    #[default]
    Crop,
    /// The whole picture, between black bars.
    Letterbox,
}

/// How a model sees a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// How it is made to fit.
    pub fit: Fit,
    /// Left and right are swapped.
    pub mirror: bool,
}

impl From<Fit> for View {
    /// Not mirrored.
    fn from(fit: Fit) -> Self {
        Self { fit, mirror: false }
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    left: usize,
    top: usize,
    size: Size,
}

/// The resampler, with the tables of the sizes that it saw last.
#[derive(Clone, Debug, Default)]
pub struct Prepare {
    plan: Option<Plan>,
    /// One source-wide row, already resampled vertically, [width * 3].
    row: Vec<f32>,
}

#[derive(Clone, Debug)]
struct Plan {
    key: (Size, Size, Fit),
    /// The part of the source that is seen.
    crop: Region,
    /// The part of the tensor that it fills.
    inner: Region,
    columns: Axis,
    rows: Axis,
}

impl Prepare {
    /// Writes `image` into `planes`, `[3, height, width]` of `size`, -1..=1, as
    /// [`laterna_tensor::Picture::to_tensor`] scales it. It allocates only when
    /// a size changes.
    ///
    /// # Panics
    /// If `planes` has another length, or a size is empty.
    pub fn run(&mut self, image: &Image, view: View, size: Size, planes: &mut [f32]) {
        assert_eq!(planes.len(), 3 * size.area(), "planes of another size");
        let key = (image.size(), size, view.fit);
        if self.plan.as_ref().is_none_or(|plan| plan.key != key) {
            self.plan = Some(Plan::new(key));
        }
        let Some(plan) = &self.plan else { return };
        if plan.inner.size != size {
            planes.fill(-1.0);
        }
        self.row.resize(3 * plan.crop.size.width, 0.0);
        for y in 0..plan.inner.size.height {
            plan.rows.blend_rows(y, &plan.source_row(image), &mut self.row);
            let outputs = plan.output_rows(size, y, planes);
            plan.columns.gather(&self.row, outputs);
        }
        if view.mirror {
            planes.chunks_exact_mut(size.width).for_each(<[f32]>::reverse);
        }
    }
}

impl Plan {
    fn new(key: (Size, Size, Fit)) -> Self {
        let (from, to, fit) = key;
        assert!(from.area() > 0 && to.area() > 0, "an empty picture");
        let (crop, inner) = match fit {
            Fit::Crop => (centred(largest(from, to), from), whole(to)),
            Fit::Letterbox => (whole(from), centred(largest(to, from), to)),
        };
        let columns = Axis::new(crop.size.width, inner.size.width);
        let rows = Axis::new(crop.size.height, inner.size.height);
        Self { key, crop, inner, columns, rows }
    }

    /// The seen part of each source row.
    fn source_row<'a>(&self, image: &'a Image) -> impl Fn(usize) -> &'a [u8] {
        let Region { left, top, size } = self.crop;
        let stride = image.size().width;
        move |y| &image.rgb()[3 * ((top + y) * stride + left)..][..3 * size.width]
    }

    /// Row `y` of the filled part, in each plane.
    fn output_rows<'a>(&self, size: Size, y: usize, planes: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let (red, rest) = planes.split_at_mut(size.area());
        let (green, blue) = rest.split_at_mut(size.area());
        let start = (self.inner.top + y) * size.width + self.inner.left;
        [red, green, blue].map(|plane| &mut plane[start..][..self.inner.size.width])
    }
}

fn whole(size: Size) -> Region {
    Region { left: 0, top: 0, size }
}

fn centred(size: Size, within: Size) -> Region {
    let (left, top) = ((within.width - size.width) / 2, (within.height - size.height) / 2);
    Region { left, top, size }
}

/// The largest size within `from` that has the aspect of `to`.
fn largest(from: Size, to: Size) -> Size {
    let scaled = |side: usize, by: usize, over: usize| ((side * by + over / 2) / over).max(1);
    if from.width * to.height > from.height * to.width {
        let width = scaled(from.height, to.width, to.height).min(from.width);
        Size { width, height: from.height }
    } else {
        let height = scaled(from.width, to.height, to.width).min(from.height);
        Size { width: from.width, height }
    }
}

#[cfg(test)]
mod tests {
    use laterna_tensor::Picture;

    use super::*;

    fn noise(size: Size) -> Image {
        let mut image = Image::new(size);
        let mut x = 12345_u32;
        for byte in image.rgb_mut() {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (x >> 24) as u8;
        }
        image
    }

    fn run(image: &Image, fit: Fit, size: Size) -> Vec<f32> {
        let mut planes = vec![9.0; 3 * size.area()];
        Prepare::default().run(image, fit.into(), size, &mut planes);
        planes
    }

    /// The share of source pixel `j` in output `i`, from the definition.
    fn share(i: usize, j: usize, from: usize, to: usize) -> f64 {
        let scale = from as f64 / to as f64;
        let j = j as f64;
        if from >= to {
            let (begin, end) = (i as f64 * scale, (i + 1) as f64 * scale);
            return (end.min(j + 1.0) - begin.max(j)).max(0.0) / scale;
        }
        let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, from as f64 - 1.0);
        (1.0 - (centre - j).abs()).max(0.0)
    }

    /// Every output pixel as a sum over every source pixel.
    fn reference(image: &Image, crop: Region, to: Size) -> Vec<f64> {
        let mut planes = Vec::new();
        for (channel, y, x) in (0..3)
            .flat_map(|c| (0..to.height).flat_map(move |y| (0..to.width).map(move |x| (c, y, x))))
        {
            let mut sum = 0.0;
            for (v, u) in
                (0..crop.size.height).flat_map(|v| (0..crop.size.width).map(move |u| (v, u)))
            {
                let pixel = (crop.top + v) * image.size().width + crop.left + u;
                sum += f64::from(image.rgb()[3 * pixel + channel])
                    * share(y, v, crop.size.height, to.height)
                    * share(x, u, crop.size.width, to.width);
            }
            planes.push(2.0 * (sum / 255.0) - 1.0);
        }
        planes
    }

    fn assert_near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (&found, &expected) in found.iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 2e-6, "{found} {expected}");
        }
    }

    #[test]
    fn a_picture_of_the_models_size_is_what_picture_gives() {
        let image = noise(Size::new(21, 13));
        let picture = Picture::new(21, 13, image.rgb().to_vec()).unwrap();
        for fit in [Fit::Crop, Fit::Letterbox] {
            assert_eq!(run(&image, fit, image.size()), picture.to_tensor().as_f32().unwrap());
        }
    }

    #[test]
    fn every_size_agrees_with_the_definition() {
        let sides = [1, 2, 3, 7, 16, 23];
        for (from, to) in sides.iter().flat_map(|&a| sides.iter().map(move |&b| (a, b))) {
            let (from, to) = (Size::new(from, 9), Size::new(to, 6));
            let image = noise(from);
            let crop = centred(largest(from, to), from);
            assert_near(&run(&image, Fit::Crop, to), &reference(&image, crop, to));
        }
    }

    #[test]
    fn a_camera_picture_agrees_with_the_definition() {
        let (from, to) = (Size::new(64, 36), Size::new(25, 25));
        let image = noise(from);
        let crop = Region { left: 14, top: 0, size: Size::new(36, 36) };
        assert_near(&run(&image, Fit::Crop, to), &reference(&image, crop, to));
    }

    #[test]
    fn a_letterbox_has_black_bars_and_the_whole_picture() {
        let (from, to) = (Size::new(32, 16), Size::new(12, 12));
        let image = noise(from);
        let found = run(&image, Fit::Letterbox, to);
        let inner = reference(&image, whole(from), Size::new(12, 6));
        for (plane, inner) in found.chunks(144).zip(inner.chunks(72)) {
            assert!(plane[..36].iter().chain(&plane[108..]).all(|&value| value == -1.0));
            assert_near(&plane[36..108], inner);
        }
    }

    #[test]
    fn a_mirror_swaps_left_and_right_of_each_row() {
        let (image, size) = (noise(Size::new(30, 17)), Size::new(12, 9));
        for fit in [Fit::Crop, Fit::Letterbox] {
            let mut mirrored = vec![9.0; 3 * size.area()];
            let view = View { fit, mirror: true };
            Prepare::default().run(&image, view, size, &mut mirrored);
            let straight = run(&image, fit, size);
            for (row, straight) in mirrored.chunks(12).zip(straight.chunks(12)) {
                assert!(row.iter().eq(straight.iter().rev()));
            }
            assert_ne!(mirrored, straight);
        }
    }

    #[test]
    fn one_value_stays_itself() {
        let mut image = Image::new(Size::new(123, 77));
        image.rgb_mut().fill(200);
        let exact = 2.0 * (200.0 / 255.0) - 1.0;
        for size in [Size::new(64, 64), Size::new(200, 100), Size::new(8, 8)] {
            let far = |value: &f32| (value - exact).abs() > 1e-6;
            assert!(!run(&image, Fit::Crop, size).iter().any(far), "{size:?}");
        }
    }

    #[test]
    fn sizes_may_change_from_frame_to_frame() {
        let mut prepare = Prepare::default();
        for side in [8, 24, 8, 16] {
            let (image, size) = (noise(Size::new(side + 5, side)), Size::new(side, 8));
            let mut planes = vec![0.0; 3 * size.area()];
            prepare.run(&image, Fit::Crop.into(), size, &mut planes);
            assert_eq!(planes, run(&image, Fit::Crop, size));
        }
    }
}
