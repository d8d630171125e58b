//! Picture sizes as users write them, and which ones a model takes.

use laterna_diffusion::session::Size;

use crate::error::Failure;

/// Reads `640x512` (width x height), or `512` for a square.
///
/// # Errors
/// What a size looks like.
pub fn parse(text: &str) -> Result<Size, String> {
    let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
    match (width.parse(), height.parse()) {
        (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok(Size { width, height }),
        _ => Err("a size is WIDTHxHEIGHT in pixels, such as 512x512".to_owned()),
    }
}

/// Checks that both sides are multiples of `factor`, and otherwise names the
/// nearest sizes that are.
///
/// # Errors
/// If one is not.
pub fn check(size: Size, factor: usize) -> Result<(), Failure> {
    let Size { width, height } = size;
    if width % factor == 0 && height % factor == 0 {
        return Ok(());
    }
    let what = format!("a picture of {width}x{height}");
    let why = format!("both sides must be multiples of {factor}");
    let sizes: Vec<_> = nearest(size, factor).iter().map(shown).collect();
    let plural = if sizes.len() == 1 { "size that works is" } else { "sizes that work are" };
    Err(Failure::input(what, why)
        .hint(format_args!("the nearest {plural} {}", sizes.join(" and "))))
}

/// `640x512`
pub fn shown(size: &Size) -> String {
    format!("{}x{}", size.width, size.height)
}

/// The size below and the one above; one if rounding down leaves nothing.
fn nearest(Size { width, height }: Size, factor: usize) -> Vec<Size> {
    let below = Size { width: width / factor * factor, height: height / factor * factor };
    let up = |side: usize| side.div_ceil(factor).saturating_mul(factor);
    let above = Size { width: up(width), height: up(height) };
    if below.width == 0 || below.height == 0 { vec![above] } else { vec![below, above] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_width_by_height() {
        assert_eq!(parse("640x512"), Ok(Size { width: 640, height: 512 }));
        assert_eq!(parse("512"), Ok(Size { width: 512, height: 512 }));
        for text in ["", "0x8", "8x", "8x8x8", "-8x8", "8 x 8", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_that_does_not_fit_names_those_that_do() {
        let near =
            |text: &str| nearest(parse(text).unwrap(), 8).iter().map(shown).collect::<Vec<_>>();
        assert_eq!(near("500x512"), ["496x512", "504x512"]);
        assert_eq!(near("7x512"), ["8x512"]);
        assert!(check(parse("512x64").unwrap(), 8).is_ok());
        let error = check(parse("12x8").unwrap(), 8).unwrap_err().to_string();
        assert_eq!(error, "a picture of 12x8: both sides must be multiples of 8");
    }
}
