//! Linear layers against the reference, for every instruction set, odd extents and all epilogues.

use super::*;
use crate::isa::Isa;
use crate::math::Activation;
use crate::testing::{Random, assert_close, sum_tolerance};

#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    gated: bool,
    pre: Activation,
    post: Activation,
    bias: bool,
    batch_rows: Option<usize>,
    residual: bool,
    /// Extra floats between rows.
    gap: usize,
}

impl Case {
    fn plain(rows: usize, inputs: usize, outputs: usize) -> Self {
        let (pre, post) = (Activation::Identity, Activation::Identity);
        let (gated, bias, batch_rows, residual, gap) = (false, false, None, false, 0);
        Self { rows, inputs, outputs, gated, pre, post, bias, batch_rows, residual, gap }
    }

    fn random(random: &mut Random) -> Self {
        let gated = random.integer(0, 4) == 0;
        let outputs = random.integer(1, 90);
        let rows = random.integer(1, 70);
        Self {
            rows,
            inputs: random.integer(1, 70),
            outputs: if gated { outputs * 2 } else { outputs },
            gated,
            pre: if gated { Activation::Identity } else { random.choose(&Activation::ALL) },
            post: random.choose(&Activation::ALL),
            bias: random.coin(),
            batch_rows: random.coin().then(|| random.integer(1, rows)),
            residual: random.coin(),
            gap: random.integer(0, 3),
        }
    }
}

/// Runs a case on one instruction set and compares with the reference, gaps included.
fn check(case: Case, isa: Isa, pool: &Pool) {
    let Case { rows, inputs, outputs, gated, gap, .. } = case;
    let mut random = Random::new((rows * 7919 + inputs * 104_729 + outputs) as u64);
    let columns = if gated { outputs / 2 } else { outputs };
    let (x_stride, out_stride) = (inputs + gap, columns + gap);
    let x = random.vector(rows * x_stride);
    let weights = random.vector(outputs * inputs);
    let bias = random.vector(outputs);
    let batch = case.batch_rows.map_or(0, |n| rows.div_ceil(n));
    let batch_bias = random.vector(batch * outputs);
    let residual = random.vector(rows * out_stride);
    let epilogue = Epilogue {
        bias: case.bias.then_some(&bias),
        batch_bias: case.batch_rows.map(|rows| BatchBias { values: &batch_bias, rows }),
        pre: case.pre,
        residual: case.residual.then_some(Residual { values: &residual, stride: out_stride }),
        post: case.post,
    };
    let shape = WeightShape::linear(outputs, inputs);
    for precision in Precision::ALL {
        let x_seen = seen(precision, &x, x_stride, inputs);
        let weights_seen = seen(precision, &weights, inputs, inputs);
        let mut want = vec![7.0; rows * out_stride];
        let mut got = want.clone();
        reference::linear(
            rows,
            &x_seen,
            x_stride,
            &weights_seen,
            outputs,
            gated,
            &epilogue,
            &mut want,
            out_stride,
        );
        let packed = PackedWeights::from_slice(isa, pool, precision, shape, gated, &weights);
        let mut scratch = vec![f32::NAN; packed.scratch_len(rows)];
        linear(pool, rows, &x, x_stride, &packed, &epilogue, &mut scratch, &mut got, out_stride);
        assert_close(&got, &want, sum_tolerance(inputs), &(isa, precision, case));
    }
}

/// Rows as products of a precision see the first `len` numbers of each.
fn seen(precision: Precision, x: &[f32], stride: usize, len: usize) -> Vec<f32> {
    let row = |row: &[f32]| match precision {
        Precision::F32 => row.to_vec(),
        Precision::Bf16 => bf16::rounded(row),
        Precision::Int8 => int8::rounded(row, len),
    };
    x.chunks(stride).flat_map(row).collect()
}

#[test]
fn random_cases_match_the_reference() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let mut random = Random::new(1);
        for _ in 0..300 {
            check(Case::random(&mut random), isa, &pool);
        }
    }
}

#[test]
fn every_height_and_width_of_a_tile() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        for rows in 1..=2 * isa.tile_rows() + 1 {
            for outputs in 1..=isa.tile_vectors() * isa.lanes() + 1 {
                check(Case::plain(rows, 5, outputs), isa, &pool);
            }
        }
    }
}

#[test]
fn sums_that_only_have_something_added() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let panel = isa.tile_vectors() * isa.lanes();
        for outputs in [2 * panel, 2 * panel + isa.lanes(), 2 * panel + 6] {
            for (rows, inputs) in [(1, 3), (20 * isa.tile_rows() + 1, 16), (40, 131)] {
                for parts in 0..8 {
                    let [bias, residual, gated] = [1, 2, 4].map(|part| parts & part != 0);
                    let plain = Case::plain(rows, inputs, outputs);
                    let gap = 3 * usize::from(residual);
                    check(Case { bias, residual, gated, gap, ..plain }, isa, &pool);
                }
            }
        }
    }
}

#[test]
fn sums_in_several_passes() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let inputs = (5 << 17) / isa.tile_vectors() / isa.lanes();
        let case = Case { bias: true, residual: true, gap: 1, ..Case::plain(14, inputs, 37) };
        check(Case { post: Activation::Relu, ..case }, isa, &pool);
    }
}

#[test]
fn one_thread_and_several_give_the_same_bits() {
    let mut random = Random::new(3);
    let (rows, inputs, outputs) = (77, 129, 200);
    let x = random.vector(rows * inputs);
    let weights = random.vector(outputs * inputs);
    let results: Vec<Vec<f32>> = [1, 2, 5]
        .map(|threads| {
            let pool = Pool::new(threads);
            let shape = WeightShape::linear(outputs, inputs);
            let packed = PackedWeights::from_slice(
                Isa::best(),
                &pool,
                Precision::F32,
                shape,
                false,
                &weights,
            );
            let mut out = vec![0.0; rows * outputs];
            let epilogue = Epilogue::default();
            linear(&pool, rows, &x, inputs, &packed, &epilogue, &mut [], &mut out, outputs);
            out
        })
        .into();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
#[should_panic(expected = "out: 11 floats")]
fn a_short_output_is_refused() {
    let pool = Pool::new(1);
    let shape = WeightShape::linear(4, 2);
    let packed =
        PackedWeights::from_slice(Isa::best(), &pool, Precision::F32, shape, false, &[0.0; 8]);
    linear(&pool, 3, &[0.0; 6], 2, &packed, &Epilogue::default(), &mut [], &mut [0.0; 11], 4);
}

#[test]
fn products_of_two_run_time_operands() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        let mut random = Random::new(8);
        for _ in 0..60 {
            let shape = MatmulShape {
                batch: random.integer(1, 3),
                rows: random.integer(1, 20),
                depth: random.integer(1, 90),
                columns: random.integer(1, 150),
                transposed_b: random.coin(),
                shared_b: random.coin(),
            };
            let MatmulShape { batch, rows, depth, columns, .. } = shape;
            let a = random.vector(batch * rows * depth);
            let b = random.vector(if shape.shared_b { 1 } else { batch } * depth * columns);
            let mut scratch = vec![f32::NAN; matmul_scratch_len(isa, &shape)];
            let mut got = vec![7.0; batch * rows * columns];
            let mut want = got.clone();
            matmul(isa, &pool, &shape, &a, &b, &mut scratch, &mut got);
            reference::matmul(&shape, &a, &b, &mut want);
            assert_close(&got, &want, sum_tolerance(depth), &(isa, shape));
        }
    }
}
