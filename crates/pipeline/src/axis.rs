//! Resampling along one axis as a table: for each output, where its source
//! pixels start and what each weighs. Taps are the same number everywhere, so
//! that the loops over them are unrolled.

/// A row is resampled vertically this many values at a time: the sums stay in
/// registers.
const LANES: usize = 32;

/// Weights from `from` source pixels to `to` outputs.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    taps: usize,
    /// First source pixel of each output; `taps` pixels from there exist.
    starts: Vec<usize>,
    /// `[outputs, taps]`, each row adding up to 1.
    weights: Vec<f32>,
}

impl Axis {
    /// Averages areas if `from >= to`, else interpolates linearly between pixel
    /// centres, repeating the border.
    pub(crate) fn new(from: usize, to: usize) -> Self {
        let shares: Vec<_> = (0..to).map(|i| shares(i, from, to)).collect();
        let taps = shares.iter().map(|(_, shares)| shares.len()).max().unwrap_or(1);
        let mut axis = Self { taps, starts: Vec::new(), weights: vec![0.0; to * taps] };
        for ((first, shares), row) in shares.iter().zip(axis.weights.chunks_mut(taps)) {
            let start = (*first).min(from - taps);
            row[first - start..][..shares.len()].copy_from_slice(shares);
            axis.starts.push(start);
        }
        axis
    }

    /// The weighted sum of the source rows of output row `y`, 0..=255.
    pub(crate) fn blend_rows<'a>(
        &self,
        y: usize,
        source: &impl Fn(usize) -> &'a [u8],
        sums: &mut [f32],
    ) {
        let start = self.starts[y];
        let weights = &self.weights[y * self.taps..][..self.taps];
        match *weights {
            [one] => blend([source(start)], [one], sums),
            [a, b] => blend([0, 1].map(|k| source(start + k)), [a, b], sums),
            [a, b, c] => blend([0, 1, 2].map(|k| source(start + k)), [a, b, c], sums),
            _ => {
                sums.fill(0.0);
                for (k, &weight) in weights.iter().enumerate() {
                    add(source(start + k), weight, sums);
                }
            }
        }
    }

    /// Resamples one interleaved row, 0..=255, into a row of each plane, -1..=1.
    pub(crate) fn gather(&self, row: &[f32], outputs: [&mut [f32]; 3]) {
        match self.taps {
            1 => self.gather_taps::<1>(row, outputs),
            2 => self.gather_taps::<2>(row, outputs),
            3 => self.gather_taps::<3>(row, outputs),
            4 => self.gather_taps::<4>(row, outputs),
            _ => self.gather_any(row, outputs),
        }
    }

    fn gather_taps<const TAPS: usize>(&self, row: &[f32], [red, green, blue]: [&mut [f32]; 3]) {
        let pixels = row.as_chunks::<3>().0;
        let weights = self.weights.as_chunks::<TAPS>().0;
        let outputs = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
        for (((red, green), blue), (&start, weights)) in
            outputs.zip(self.starts.iter().zip(weights))
        {
            let taps: &[[f32; 3]; TAPS] = pixels[start..].first_chunk().expect("taps exist");
            [*red, *green, *blue] = weighted_sum(taps, weights);
        }
        [red, green, blue].into_iter().for_each(normalise);
    }

    fn gather_any(&self, row: &[f32], [red, green, blue]: [&mut [f32]; 3]) {
        let pixels = row.as_chunks::<3>().0;
        let weights = self.weights.chunks(self.taps);
        for (x, (&start, weights)) in self.starts.iter().zip(weights).enumerate() {
            [red[x], green[x], blue[x]] = weighted_sum(&pixels[start..][..self.taps], weights);
        }
        [red, green, blue].into_iter().for_each(normalise);
    }
}

#[inline(always)]
fn weighted_sum(pixels: &[[f32; 3]], weights: &[f32]) -> [f32; 3] {
    pixels.iter().zip(weights).fold([0.0; 3], |sum, (pixel, weight)| {
        [sum[0] + weight * pixel[0], sum[1] + weight * pixel[1], sum[2] + weight * pixel[2]]
    })
}

/// As `Picture::to_tensor` writes it, so that bytes come out the same.
fn normalise(values: &mut [f32]) {
    for value in values {
        *value = 2.0 * (*value / 255.0) - 1.0;
    }
}

#[inline(always)]
fn blend<const TAPS: usize>(rows: [&[u8]; TAPS], weights: [f32; TAPS], sums: &mut [f32]) {
    let rows = rows.map(|row| &row[..sums.len()]);
    let (chunks, rest) = sums.as_chunks_mut::<LANES>();
    for (i, chunk) in chunks.iter_mut().enumerate() {
        let parts = rows.map(|row| row.as_chunks::<LANES>().0[i]);
        for (lane, sum) in chunk.iter_mut().enumerate() {
            *sum = (0..TAPS).map(|k| weights[k] * f32::from(parts[k][lane])).sum();
        }
    }
    let done = LANES * chunks.len();
    for (i, sum) in rest.iter_mut().enumerate() {
        *sum = (0..TAPS).map(|k| weights[k] * f32::from(rows[k][done + i])).sum();
    }
}

fn add(row: &[u8], weight: f32, sums: &mut [f32]) {
    for (sum, &byte) in sums.iter_mut().zip(row) {
        *sum += weight * f32::from(byte);
    }
}

/// The first source pixel of output `i`, and the shares of those from there on.
fn shares(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    if from >= to { area(i, from, to) } else { linear(i, from, to) }
}

/// Lengths are in units of 1/to of a source pixel, which makes them integers.
fn area(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    let (begin, end) = (i * from, (i + 1) * from);
    let (first, last) = (begin / to, (end - 1) / to);
    let overlap = |j: usize| end.min((j + 1) * to) - begin.max(j * to);
    (first, (first..=last).map(|j| (overlap(j) as f64 / from as f64) as f32).collect())
}

fn linear(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let centre = centre.clamp(0.0, (from - 1) as f64);
    let first = (centre as usize).min(from.saturating_sub(2));
    let fraction = (centre - first as f64) as f32;
    let shares = if from == 1 { vec![1.0] } else { vec![1.0 - fraction, fraction] };
    (first, shares)
}
