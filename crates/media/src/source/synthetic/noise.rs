//! Deterministic randomness for the scene: hashed numbers and smooth noise.

/// A number of 0..1 that depends on `index` alone.
pub(super) fn hash(index: u32) -> f32 {
    // The finaliser of MurmurHash3.
    let mut x = index.wrapping_add(0x9E37_79B9);
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    (x ^ (x >> 16)) as f32 / 4_294_967_296.0
}

/// Smooth noise of 0..1 whose features are about 1 apart.
pub(super) fn value(x: f32, y: f32, seed: u32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (ease(x - left), ease(y - top));
    let corner = |dx: i32, dy: i32| {
        let (column, row) = ((left as i32 + dx) as u32, (top as i32 + dy) as u32);
        let key = column.wrapping_mul(73_856_093) ^ row.wrapping_mul(19_349_663);
        hash(key ^ seed.wrapping_mul(83_492_791))
    };
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * across;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * across;
    upper + (lower - upper) * down
}

/// Noise of several sizes, each half as large and half as strong, 0..1.
pub(super) fn fractal(x: f32, y: f32, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += weight * value(x * scale, y * scale, seed + octave);
        total += weight;
        (weight, scale) = (weight / 2.0, scale * 2.0);
    }
    sum / total
}

/// 0 below `low`, 1 above `high`, smooth between them.
pub(super) fn step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
