//! Which picture sizes a network takes.

use crate::error::ModelError;

/// Longest side, in pixels: beyond it a picture does not fit any memory.
const MAX_SIDE: usize = 1 << 14;

/// Checks that both sides are multiples of `factor` and of a sensible length.
pub(crate) fn check_side(
    network: &str,
    height: usize,
    width: usize,
    factor: usize,
) -> Result<(), ModelError> {
    let fits = |side: usize| (1..=MAX_SIDE).contains(&side);
    let reason = if !fits(height) || !fits(width) {
        format!("sides must be from 1 to {MAX_SIDE} pixels")
    } else if !height.is_multiple_of(factor) || !width.is_multiple_of(factor) {
        let nearest = |side: usize| side.next_multiple_of(factor).min(MAX_SIDE / factor * factor);
        format!(
            "both sides must be multiples of {factor}; {}x{} would work",
            nearest(height),
            nearest(width)
        )
    } else {
        return Ok(());
    };
    Err(ModelError::Size { network: network.to_owned(), height, width, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_size_says_which_would_work() {
        assert_eq!(check_side("vae", 512, 384, 8), Ok(()));
        let error = check_side("vae", 500, 512, 8).unwrap_err().to_string();
        assert!(error.ends_with("multiples of 8; 504x512 would work"), "{error}");
        assert!(check_side("vae", 0, 8, 8).is_err());
        assert!(check_side("vae", 8, 1 << 40, 8).is_err());
    }
}
