//! Philox4x32-10, a counter-based generator: a bijection of the counter for each
//! key (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as
//! 1, 2, 3").

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Golden ratio and sqrt(3) - 1 in 32 bits, added to the key each round.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four random words of a counter.
pub(super) fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

fn round([a, b, c, d]: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (high0, low0) = wide_product(a, MULTIPLIERS[0]);
    let (high1, low1) = wide_product(c, MULTIPLIERS[1]);
    [high1 ^ b ^ key[0], low1, high0 ^ d ^ key[1], low0]
}

/// The high and the low half of a product.
fn wide_product(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with Random123.
    #[test]
    fn known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32(counter, key), expected);
        }
    }
}
