//! Times the kernels that are bound by memory and prints milliseconds, GB/s, the share of a plain
//! copy's GB/s and a hash of the result. `cargo bench -p laterna-kernels --bench streaming
//! [-- FILTER]`; without `--bench`, as `cargo test` runs it, on a few rows and once.
//!
//! Each run of a kernel follows one of the copy, so that both see the same machine.
//! LATERNA_ISA and LATERNA_BENCH_THREADS choose the instruction set and the number of threads.

mod common;

use common::{hash, values};
use laterna_kernels::elementwise::{Binary, Broadcast, Unary, binary, copy, unary};
use laterna_kernels::norm::{GroupNormShape, group_norm, group_norm_scratch_len, layer_norm};
use laterna_kernels::{Activation, Isa, Pool, permute::permute, softmax::softmax};
use std::time::{Duration, Instant};

/// Rows and channels: the UNet's largest level and the small autoencoder's.
const SIZES: &[[usize; 2]] = &[[64 * 64, 320], [512 * 512, 64]];

struct Case {
    name: &'static str,
    /// How often the data pass through memory, reads and writes counted alike.
    passes: usize,
    run: fn(&mut Work, Isa, &Pool),
}

const CASES: &[Case] = &[
    Case { name: "group norm + silu", passes: 3, run: |w, i, p| w.group_norm(i, p) },
    Case { name: "layer norm", passes: 2, run: |w, i, p| w.layer_norm(i, p) },
    Case { name: "softmax", passes: 2, run: |w, i, p| w.softmax(i, p) },
    Case { name: "silu", passes: 2, run: |w, i, p| w.silu(i, p) },
    Case { name: "add", passes: 3, run: |w, i, p| w.add_same(i, p) },
    Case { name: "add a channel's bias", passes: 2, run: |w, i, p| w.add_bias(i, p) },
    Case { name: "transpose", passes: 2, run: |w, _, p| w.transpose(p) },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let full = arguments.iter().any(|a| a == "--bench");
    let filter = arguments.iter().find(|a| !a.starts_with("--")).map_or("", String::as_str);
    let isa = Isa::detect().unwrap_or_else(|error| panic!("{error}"));
    let threads = std::env::var("LATERNA_BENCH_THREADS").ok().and_then(|n| n.parse().ok());
    let pool = threads.map_or_else(Pool::with_physical_cores, Pool::new);
    let budget = if full { Duration::from_secs(1) } else { Duration::ZERO };
    println!("{isa}, {} threads", pool.threads());
    for &[rows, channels] in SIZES {
        let mut work = Work::new(if full { rows } else { 5 }, channels);
        for case in CASES.iter().filter(|case| case.name.contains(filter)) {
            measure(case, &mut work, isa, &pool, budget);
        }
    }
}

fn measure(case: &Case, work: &mut Work, isa: Isa, pool: &Pool, budget: Duration) {
    let start = Instant::now();
    let (mut copied, mut best) = (f64::INFINITY, f64::INFINITY);
    while best.is_infinite() || start.elapsed() < budget {
        copied = copied.min(seconds(|| copy(pool, &work.x, &mut work.out)));
        best = best.min(seconds(|| (case.run)(work, isa, pool)));
    }
    let pass_bytes = size_of_val(&work.x[..]) as f64;
    let (rate, limit) = (case.passes as f64 * pass_bytes / best, 2.0 * pass_bytes / copied);
    let name = format!("{} [{}, {}]", case.name, work.rows, work.bias.len());
    println!(
        "{name:<36} {:>9.3} ms {:>7.2} GB/s {:>6.1} %  {:016x}",
        best * 1e3,
        rate / 1e9,
        rate / limit * 100.0,
        hash(&work.out)
    );
}

fn seconds(run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_secs_f64()
}

/// Operands of every case: x and out are `[rows, channels]`, gamma and bias `[channels]`.
struct Work {
    rows: usize,
    x: Vec<f32>,
    gamma: Vec<f32>,
    bias: Vec<f32>,
    norm: GroupNormShape,
    scratch: Vec<f32>,
    out: Vec<f32>,
}

impl Work {
    fn new(rows: usize, channels: usize) -> Self {
        let norm = GroupNormShape {
            batch: 1,
            positions: rows,
            channels,
            groups: 32,
            eps: 1e-5,
            activation: Activation::Silu,
        };
        Self {
            rows,
            x: values(rows * channels, 1),
            gamma: values(channels, 2),
            bias: values(channels, 3),
            norm,
            scratch: vec![0.0; group_norm_scratch_len(&norm)],
            out: vec![0.0; rows * channels],
        }
    }

    fn group_norm(&mut self, isa: Isa, pool: &Pool) {
        let Self { norm, x, gamma, bias, scratch, out, .. } = self;
        group_norm(isa, pool, norm, x, gamma, bias, scratch, out);
    }

    fn layer_norm(&mut self, isa: Isa, pool: &Pool) {
        layer_norm(isa, pool, 1e-5, &self.x, &self.gamma, &self.bias, &mut self.out);
    }

    fn softmax(&mut self, isa: Isa, pool: &Pool) {
        softmax(isa, pool, self.bias.len(), &self.x, &mut self.out);
    }

    fn silu(&mut self, isa: Isa, pool: &Pool) {
        unary(isa, pool, Unary::Activation(Activation::Silu), &self.x, &mut self.out);
    }

    fn add_same(&mut self, isa: Isa, pool: &Pool) {
        let same = Broadcast::new(&[self.x.len()], &[self.x.len()]).expect("equal shapes");
        binary(isa, pool, Binary::Add, &same, &self.x, &self.x, &mut self.out);
    }

    fn add_bias(&mut self, isa: Isa, pool: &Pool) {
        let channels = self.bias.len();
        let rows = Broadcast::new(&[self.rows, channels], &[channels]).expect("equal channels");
        binary(isa, pool, Binary::Add, &rows, &self.x, &self.bias, &mut self.out);
    }

    fn transpose(&mut self, pool: &Pool) {
        permute(pool, &[self.rows, self.bias.len()], &[1, 0], &self.x, &mut self.out);
    }
}
