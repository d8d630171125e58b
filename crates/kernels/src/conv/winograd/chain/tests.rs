//! Chains of random convolutions against the same ones by themselves.

use super::super::{conv2d_winograd, winograd_scratch_len};
use super::*;
use crate::conv::{Padding, Winograd, conv2d};
use crate::gemm::{PackedWeights, Precision, Residual, WeightShape};
use crate::math::Activation;
use crate::testing::Random;

#[test]
fn a_chain_is_its_convolutions_one_by_one() {
    for isa in Isa::available() {
        let mut random = Random::new(17);
        for threads in [1, 2, 5] {
            for precision in Precision::ALL {
                for _ in 0..6 {
                    check_chain(isa, &Pool::new(threads), precision, &mut random);
                }
            }
        }
    }
}

/// A chain of random convolutions, some of whose results are added later, gives the same bits as
/// each by itself.
fn check_chain(isa: Isa, pool: &Pool, precision: Precision, random: &mut Random) {
    let enlarged = random.coin();
    let (height, width) = (2 * random.integer(1, 21), 2 * random.integer(1, 40));
    let mut channels = random.integer(1, 70);
    let mut links = Vec::new();
    let mut inputs = Vec::new();
    for at in 0..random.integer(2, 6) {
        let out_channels = if at % 2 == 1 { random.integer(1, 70) } else { channels };
        let mut shape = ConvShape::same3x3(1, height, width, channels, out_channels);
        let mut kinds = vec![Winograd::F2, Winograd::F4];
        if at == 0 && enlarged {
            shape = ConvShape { height: height / 2, width: width / 2, upsample: 2, ..shape };
            kinds = vec![Winograd::F4Enlarged];
        }
        let kind = random.choose(&kinds);
        let filters = random.vector(out_channels * channels * 9);
        let read = |start: usize, out: &mut [f32]| {
            out.copy_from_slice(&filters[start..start + out.len()]);
        };
        let channels_of = [out_channels, channels];
        let weights = WinogradWeights::pack(isa, pool, kind, precision, channels_of, &read);
        let fits = |link: &Link| link.shape.out_channels == out_channels;
        let residual = links.iter().position(fits).filter(|_| random.coin());
        let outside = residual.is_none() && random.coin();
        let outside = outside.then(|| random.vector(height * width * out_channels));
        inputs.push((random.vector(out_channels), outside));
        links.push(Link { shape, weights: weights.into(), residual });
        channels = out_channels;
    }
    let last = ConvShape::same3x3(1, height, width, channels, random.integer(1, 70));
    let end = random.coin().then(|| halving(isa, pool, precision, last, random)).flatten();
    inputs.extend(end.iter().map(|end| (random.vector(end.shape.out_channels), None)));
    let epilogues: Vec<Epilogue<'_>> = inputs
        .iter()
        .map(|(bias, outside)| Epilogue {
            residual: outside.as_deref().map(|values| Residual { values, stride: bias.len() }),
            post: Activation::Relu,
            ..Epilogue::bias(bias)
        })
        .collect();
    let first = &links[0].shape;
    let x = random.vector(first.pixels() * first.in_channels);
    let mut want = one_by_one(pool, isa, &links, &epilogues, &x);
    if let Some(Halving { shape, weights }) = &end {
        let mut scratch = vec![f32::NAN; weights.scratch_len(shape.pixels())];
        let (x, epilogue) = (want, &epilogues[links.len()]);
        let (inputs, outputs) = (shape.in_channels, shape.out_channels);
        want = vec![f32::NAN; shape.out_rows() * outputs];
        conv2d(pool, shape, &x, inputs, weights, epilogue, &mut scratch, &mut want, outputs);
    }
    let chain = Chain::new(isa, pool.threads(), links, end);
    let mut scratch = vec![f32::NAN; chain.scratch_len()];
    let mut got = vec![f32::NAN; want.len()];
    chain.run(pool, &x, &epilogues, &mut scratch, &mut got);
    let shapes: Vec<_> = chain.shapes().collect();
    let context = (isa, precision, pool.threads(), shapes);
    assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{context:?}");
}

/// What may end a chain, if channels are whole words.
fn halving(
    isa: Isa,
    pool: &Pool,
    precision: Precision,
    last: ConvShape,
    random: &mut Random,
) -> Option<Halving> {
    let [top, left, bottom, right] = std::array::from_fn(|_| random.integer(0, 1));
    let padding = Padding { top, left, bottom, right };
    let shape = ConvShape { stride: [2, 2], padding, ..last };
    let (outputs, inputs) = (shape.out_channels, shape.in_channels);
    let weight = WeightShape { outputs, inputs, taps: 9 };
    let values = random.vector(weight.len());
    let weights = PackedWeights::from_slice(isa, pool, precision, weight, false, &values);
    let end = Halving { shape, weights: weights.into() };
    (end.shape.out_rows() > 0 && end.weights.takes_runs()).then_some(end)
}

fn one_by_one(
    pool: &Pool,
    isa: Isa,
    links: &[Link],
    epilogues: &[Epilogue<'_>],
    x: &[f32],
) -> Vec<f32> {
    let mut results = vec![x.to_vec()];
    for (at, (Link { shape, weights, residual }, epilogue)) in
        links.iter().zip(epilogues).enumerate()
    {
        let stride = shape.out_channels;
        let added = residual.map(|from| Residual { values: &results[from + 1], stride });
        let epilogue = Epilogue { residual: added.or(epilogue.residual), ..*epilogue };
        let (kind, precision) = (weights.kind(), weights.precision());
        let len = winograd_scratch_len(isa, pool.threads(), kind, precision, shape);
        let (mut scratch, mut out) = (vec![f32::NAN; len], vec![0.0; shape.out_rows() * stride]);
        let x = &results[at];
        let (scratch, channels) = (&mut scratch[..], shape.in_channels);
        conv2d_winograd(pool, shape, x, channels, weights, &epilogue, scratch, &mut out, stride);
        results.push(out);
    }
    results.pop().expect("there are links")
}
