//! One JPEG picture into a buffer that is used again, as cameras and MJPEG
//! recordings send them.

use laterna_pipeline::{Image, Size};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// Longest side in pixels: larger than any sensor.
const MAX_SIDE: usize = 16384;
/// Bytes of RGB that a picture may take.
const MAX_BYTES: usize = 1 << 29;

/// A JPEG decoder with its buffers.
#[derive(Debug, Default)]
pub(super) struct Jpeg {
    completed: Vec<u8>,
}

impl Jpeg {
    /// Decodes `bytes` into `image`. Huffman tables that are missing, as in the
    /// pictures of many cameras, are the standard's.
    ///
    /// # Errors
    /// If the bytes are no JPEG, or a damaged one. A picture whose end is
    /// missing is not an error: the rest of it is grey.
    pub(super) fn decode(&mut self, bytes: &[u8], image: &mut Image) -> Result<(), DecodeErrors> {
        let bytes = self.complete(bytes);
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::RGB)
            .set_max_width(MAX_SIDE)
            .set_max_height(MAX_SIDE);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers()?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        let needed = decoder.output_buffer_size().unwrap_or_default();
        if needed != 3 * width * height || needed > MAX_BYTES {
            return Err(DecodeErrors::FormatStatic("the picture has no usable size"));
        }
        image.reset(Size::new(width, height));
        decoder.decode_into(image.rgb_mut())
    }

    /// `bytes` with the standard's tables before its scan if it has none.
    fn complete<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(scan) = scan_without_tables(bytes) else { return bytes };
        self.completed.clear();
        self.completed.extend_from_slice(&bytes[..scan]);
        write_standard_tables(&mut self.completed);
        self.completed.extend_from_slice(&bytes[scan..]);
        &self.completed
    }
}

const SCAN: u8 = 0xDA;
const TABLES: u8 = 0xC4;

/// Where the first scan's marker is, if no Huffman table comes before it.
fn scan_without_tables(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        match *bytes.get(at..at + 4)? {
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, TABLES, ..] => return None,
            [0xFF, SCAN, ..] => return Some(at),
            [0xFF, _, high, low] => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => return None,
        }
    }
}

/// Table K.3 to K.6 of ITU-T T.81, as one segment.
fn write_standard_tables(out: &mut Vec<u8>) {
    let tables: [(u8, &[u8; 16], &[u8]); 4] = [
        (0x00, &DC_LUMA_LENGTHS, &DC_VALUES),
        (0x10, &AC_LUMA_LENGTHS, &AC_LUMA_VALUES),
        (0x01, &DC_CHROMA_LENGTHS, &DC_VALUES),
        (0x11, &AC_CHROMA_LENGTHS, &AC_CHROMA_VALUES),
    ];
    let length = 2 + tables.iter().map(|(_, _, values)| 17 + values.len()).sum::<usize>();
    out.extend_from_slice(&[0xFF, TABLES, (length >> 8) as u8, length as u8]);
    for (class, lengths, values) in tables {
        out.push(class);
        out.extend_from_slice(lengths);
        out.extend_from_slice(values);
    }
}

/// Codes of 1 to 16 bits.
const DC_LUMA_LENGTHS: [u8; 16] = [
    0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];
const DC_CHROMA_LENGTHS: [u8; 16] = [
    0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
];
const DC_VALUES: [u8; 12] =
    [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b];
const AC_LUMA_LENGTHS: [u8; 16] = [
    0x00, 0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03, 0x05, 0x05, 0x04, 0x04, 0x00, 0x00, 0x01, 0x7d,
];
const AC_LUMA_VALUES: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];
const AC_CHROMA_LENGTHS: [u8; 16] = [
    0x00, 0x02, 0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00, 0x01, 0x02, 0x77,
];
const AC_CHROMA_VALUES: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(size: Size) -> Vec<u8> {
        let mut bytes = Vec::new();
        let rgb: Vec<u8> = (0..3 * size.area()).map(|i| (i * i / 7 % 251) as u8).collect();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
        let (width, height) = (size.width as u32, size.height as u32);
        image::ImageEncoder::write_image(
            encoder,
            &rgb,
            width,
            height,
            image::ColorType::Rgb8.into(),
        )
        .unwrap();
        bytes
    }

    /// The picture without its Huffman tables.
    fn without_tables(bytes: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (bytes[..2].to_vec(), 2);
        while bytes[at + 1] != SCAN {
            let length = 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            if bytes[at + 1] != TABLES {
                out.extend_from_slice(&bytes[at..at + length]);
            }
            at += length;
        }
        out.extend_from_slice(&bytes[at..]);
        out
    }

    #[test]
    fn a_cameras_picture_without_tables_is_the_same_picture() {
        let whole = encoded(Size::new(40, 24));
        let short = without_tables(&whole);
        assert!(short.len() < whole.len() - 400);
        let (mut jpeg, mut expected, mut found) = Default::default();
        Jpeg::decode(&mut jpeg, &whole, &mut expected).unwrap();
        jpeg.decode(&short, &mut found).unwrap();
        assert_eq!(expected.size(), Size::new(40, 24));
        assert_eq!(expected, found);
    }

    #[test]
    fn damaged_pictures_are_errors_and_never_panics() {
        let whole = encoded(Size::new(40, 24));
        let (mut jpeg, mut image) = (Jpeg::default(), Image::default());
        for end in 0..whole.len() / 2 {
            drop(jpeg.decode(&whole[..end], &mut image));
        }
        assert!(jpeg.decode(&whole[..100], &mut image).is_err());
        let mut state = 1_u32;
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % bytes.len();
                bytes[at] = state as u8;
            }
            drop(jpeg.decode(&bytes, &mut image));
        }
        assert!(jpeg.decode(b"", &mut image).is_err());
        assert!(jpeg.decode(&[0xFF; 64], &mut image).is_err());
    }
}
