//! A frame number that a program can read off a picture of the picture: 32 black
//! and white cells along the upper edge. With it latency is measured from glass
//! to glass, through JPEG, resizing and a crop to the centred square.

use laterna_pipeline::{Image, Size};

/// Numbers run from 0 to one less than this, then begin again.
pub const LIMIT: u32 = 1 << 24;

/// Cells in a row, and rows. The upper left cell is the highest bit of the
/// number; the last eight are its checksum.
const COLUMNS: usize = 16;
const ROWS: usize = 2;

/// Smallest difference between black and white cells.
const CONTRAST: u32 = 48;

/// A number and its checksum as the cells show them.
fn code(number: u32) -> u32 {
    let number = number % LIMIT;
    (number << 8) | u32::from(checksum(number))
}

/// CRC-8 with the polynomial x^8 + x^2 + x + 1. It begins with a value for which
/// neither the first nor the last number makes cells of one colour.
fn checksum(number: u32) -> u8 {
    let [_, bytes @ ..] = number.to_be_bytes();
    bytes.iter().fold(0xA5, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| (sum << 1) ^ if sum & 0x80 != 0 { 0x07 } else { 0 })
    })
}

/// Where the cells are: within the largest centred square, a sixteenth of its
/// side each wide and half as high.
struct Grid {
    left: usize,
    top: usize,
    side: usize,
}

impl Grid {
    fn new(size: Size) -> Self {
        let side = size.width.min(size.height);
        Self { left: (size.width - side) / 2, top: (size.height - side) / 2, side }
    }

    /// Left, top, right and bottom of cell `index`, in pixels.
    fn cell(&self, index: usize) -> [usize; 4] {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let x = |column: usize| self.left + column * self.side / COLUMNS;
        let y = |row: usize| self.top + row * self.side / (2 * COLUMNS);
        [x(column), y(row), x(column + 1), y(row + 1)]
    }
}

/// Draws `number`, modulo [`LIMIT`].
pub fn draw(image: &mut Image, number: u32) {
    let (grid, code, width) = (Grid::new(image.size()), code(number), image.size().width);
    for index in 0..COLUMNS * ROWS {
        let [left, top, right, bottom] = grid.cell(index);
        let value = if code >> (31 - index) & 1 == 1 { 255 } else { 0 };
        for y in top..bottom {
            image.rgb_mut()[3 * (y * width + left)..3 * (y * width + right)].fill(value);
        }
    }
}

/// The number that a picture shows, if it shows one.
pub fn read(image: &Image) -> Option<u32> {
    let grid = Grid::new(image.size());
    if grid.side < 2 * COLUMNS {
        return None;
    }
    let cells: [u32; COLUMNS * ROWS] = std::array::from_fn(|i| brightness(image, grid.cell(i)));
    let (dark, light) = (*cells.iter().min()?, *cells.iter().max()?);
    if light - dark < CONTRAST {
        return None;
    }
    let middle = (dark + light) / 2;
    let found = cells.iter().fold(0, |code, &cell| code << 1 | u32::from(cell > middle));
    (code(found >> 8) == found).then_some(found >> 8)
}

/// Mean of the inner half of a cell, where its neighbours do not bleed into it.
fn brightness(image: &Image, [left, top, right, bottom]: [usize; 4]) -> u32 {
    let inner = |from: usize, to: usize| (from + (to - from) / 4, to - (to - from) / 4);
    let ((left, right), (top, bottom)) = (inner(left, right), inner(top, bottom));
    let width = image.size().width;
    let (mut sum, mut count) = (0, 0);
    for y in top..bottom {
        let row = &image.rgb()[3 * (y * width + left)..3 * (y * width + right)];
        sum += row.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        count += row.len() as u32;
    }
    sum / count.max(1)
}

#[cfg(test)]
mod tests {
    use laterna_pipeline::prepare::{Fit, Prepare};
    use laterna_tensor::{Picture, Tensor};

    use super::*;

    const NUMBERS: [u32; 9] = [0, 1, 2, 255, 256, 0x00AA_AAAA, 0x0055_5555, 123_456, LIMIT - 1];

    fn scene(size: Size, number: u32) -> Image {
        let mut image = Image::new(size);
        for (i, byte) in image.rgb_mut().iter_mut().enumerate() {
            *byte = (i * 7 / 3 + i / 640) as u8;
        }
        draw(&mut image, number);
        image
    }

    fn through_jpeg(image: &Image, quality: u8) -> Image {
        let (width, height) = (image.size().width as u32, image.size().height as u32);
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        let color = image::ColorType::Rgb8.into();
        image::ImageEncoder::write_image(encoder, image.rgb(), width, height, color).unwrap();
        let decoded = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let mut image = Image::new(Size::new(width as usize, height as usize));
        image.rgb_mut().copy_from_slice(decoded.as_raw());
        image
    }

    fn resized(image: &Image, size: Size) -> Image {
        let mut tensor = Tensor::zeros(size.shape());
        Prepare::default().run(image, Fit::Crop.into(), size, tensor.as_f32_mut().unwrap());
        Image::from(&Picture::from_tensor(&tensor).unwrap())
    }

    #[test]
    fn a_number_is_read_back_at_any_size() {
        for size in
            [Size::new(640, 480), Size::new(1280, 720), Size::new(480, 640), Size::new(33, 35)]
        {
            for number in NUMBERS {
                assert_eq!(read(&scene(size, number)), Some(number), "{size:?}");
            }
        }
    }

    #[test]
    fn it_survives_jpeg_and_the_models_crop() {
        for number in NUMBERS {
            let sent = through_jpeg(&scene(Size::new(640, 480), number), 40);
            assert_eq!(read(&sent), Some(number));
            for side in [512, 256, 128, 96] {
                let small = resized(&sent, Size::new(side, side));
                assert_eq!(read(&through_jpeg(&small, 60)), Some(number), "{side}");
            }
        }
    }

    #[test]
    fn it_survives_a_change_of_brightness() {
        let mut image = scene(Size::new(640, 480), 4711);
        for byte in image.rgb_mut() {
            *byte = *byte / 3 + 70;
        }
        assert_eq!(read(&image), Some(4711));
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        for cell in 0..32 {
            let mut image = scene(Size::new(640, 480), 0x0012_3456);
            let [left, top, right, bottom] = Grid::new(image.size()).cell(cell);
            for y in top..bottom {
                for byte in &mut image.rgb_mut()[3 * (y * 640 + left)..3 * (y * 640 + right)] {
                    *byte = 255 - *byte;
                }
            }
            assert_eq!(read(&image), None, "cell {cell}");
        }
    }

    #[test]
    fn no_number_has_cells_of_one_colour() {
        assert!((0..LIMIT).all(|number| !matches!(code(number), 0 | u32::MAX)));
    }

    #[test]
    fn a_picture_without_a_number_has_none() {
        assert_eq!(read(&Image::new(Size::new(640, 480))), None);
        assert_eq!(read(&Image::new(Size::new(8, 8))), None);
        assert_eq!(read(&Image::default()), None);
        draw(&mut Image::new(Size::new(3, 2)), 5);
    }
}
