//! Rows chosen by index, and the sinusoidal embedding of timesteps. Small, so single-threaded.

use thiserror::Error;

/// An index, which comes from a user's tokens, outside its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("index {index} is not among {rows} rows")]
pub struct IndexError {
    /// The index.
    pub index: i64,
    /// Rows of the table.
    pub rows: usize,
}

/// Copies the row of `table` that each index names.
///
/// table: `[rows, channels]`; out: `[indices, channels]`.
///
/// # Errors
/// An index below 0 or not below the number of rows; `out` is then partly written.
///
/// # Panics
/// When a length disagrees with the channels.
pub fn gather_rows(
    channels: usize,
    table: &[f32],
    indices: &[i64],
    out: &mut [f32],
) -> Result<(), IndexError> {
    assert!(channels > 0 && table.len().is_multiple_of(channels), "table: [rows, channels]");
    assert_eq!(out.len(), indices.len() * channels, "out: [indices, channels]");
    let rows = table.len() / channels;
    for (&index, out) in indices.iter().zip(out.chunks_exact_mut(channels)) {
        let row = usize::try_from(index).ok().filter(|&row| row < rows);
        let row = row.ok_or(IndexError { index, rows })?;
        out.copy_from_slice(&table[row * channels..][..channels]);
    }
    Ok(())
}

/// Copies one token of each batch entry.
///
/// x: `[batch, tokens, channels]`; indices: `[batch]`; out: `[batch, channels]`.
///
/// # Errors
/// As [`gather_rows`].
///
/// # Panics
/// When a length disagrees with the extents.
pub fn select_token(
    tokens: usize,
    channels: usize,
    x: &[f32],
    indices: &[i64],
    out: &mut [f32],
) -> Result<(), IndexError> {
    assert!(tokens > 0 && channels > 0, "x: [batch, tokens, channels]");
    assert_eq!(x.len(), indices.len() * tokens * channels, "x: [batch, tokens, channels]");
    assert_eq!(out.len(), indices.len() * channels, "out: [batch, channels]");
    let entries = x.chunks_exact(tokens * channels).zip(indices);
    for ((x, &index), out) in entries.zip(out.chunks_exact_mut(channels)) {
        gather_rows(channels, x, &[index], out)?;
    }
    Ok(())
}

/// Constants of a sinusoidal embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimestepEmbedding {
    /// Channels of the result.
    pub channels: usize,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    /// Subtracted from `channels / 2` in the exponent's denominator.
    pub freq_shift: f32,
    /// Longest period, usually 10,000.
    pub max_period: f32,
}

/// The sine and cosine of t * freq\[i\], where freq\[i\] = exp(-ln(max_period) * i / (channels / 2 -
/// freq_shift)), zero-padded if the channels are odd: diffusers' `get_timestep_embedding`.
///
/// Angles are rounded to f32 at every step as there, since sines of large angles show it.
///
/// t: `[n]`, in training steps; out: `[n, channels]`.
///
/// # Panics
/// When a length disagrees with the channels.
pub fn timestep_embedding(embedding: &TimestepEmbedding, t: &[f32], out: &mut [f32]) {
    let TimestepEmbedding { channels, flip_sin_to_cos, .. } = *embedding;
    assert_eq!(out.len(), t.len() * channels, "out: [n, channels]");
    let half = channels / 2;
    for (&t, out) in t.iter().zip(out.chunks_exact_mut(channels.max(1))) {
        out.fill(0.0);
        let (first, second) = out[..2 * half].split_at_mut(half);
        let (sines, cosines) = if flip_sin_to_cos { (second, first) } else { (first, second) };
        for (i, (sine, cosine)) in sines.iter_mut().zip(cosines).enumerate() {
            let angle = f64::from(t * frequency(embedding, i));
            (*sine, *cosine) = (angle.sin() as f32, angle.cos() as f32);
        }
    }
}

fn frequency(embedding: &TimestepEmbedding, i: usize) -> f32 {
    let half = (embedding.channels / 2) as f32;
    (-embedding.max_period.ln() * i as f32 / (half - embedding.freq_shift)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

    #[test]
    fn rows_follow_their_indices() {
        let mut out = [9.0; 6];
        gather_rows(2, &TABLE, &[2, 0, 2], &mut out).unwrap();
        assert_eq!(out, [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
    }

    #[test]
    fn bad_indices_are_named() {
        for index in [-1, 3, i64::MIN, i64::MAX] {
            let result = gather_rows(2, &TABLE, &[0, index], &mut [0.0; 4]);
            assert_eq!(result, Err(IndexError { index, rows: 3 }));
        }
    }

    #[test]
    fn each_entry_selects_among_its_own_tokens() {
        let mut out = [9.0; 2];
        select_token(3, 1, &TABLE, &[1, 2], &mut out).unwrap();
        assert_eq!(out, [1.0, 5.0]);
        let beyond = select_token(3, 1, &TABLE, &[1, 3], &mut out);
        assert_eq!(beyond, Err(IndexError { index: 3, rows: 3 }));
    }

    #[test]
    fn sines_and_cosines_stand_where_the_flags_say() {
        let plain = TimestepEmbedding {
            channels: 5,
            flip_sin_to_cos: false,
            freq_shift: 1.0,
            max_period: 100.0,
        };
        let mut out = [9.0; 10];
        timestep_embedding(&plain, &[0.0, 2.0], &mut out);
        let sine = |angle: f32| f64::from(angle).sin() as f32;
        let cosine = |angle: f32| f64::from(angle).cos() as f32;
        assert_eq!(out[..5], [0.0, 0.0, 1.0, 1.0, 0.0]);
        for (got, want) in out[5..].iter().zip([sine(2.0), sine(0.02), cosine(2.0), cosine(0.02)]) {
            assert!((got - want).abs() < 1e-6, "{out:?}");
        }
        let flipped = TimestepEmbedding { flip_sin_to_cos: true, ..plain };
        let mut swapped = [9.0; 10];
        timestep_embedding(&flipped, &[0.0, 2.0], &mut swapped);
        assert_eq!(swapped[5..], [out[7], out[8], out[5], out[6], 0.0]);
    }
}
