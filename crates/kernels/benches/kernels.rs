//! Times the kernels on the layers of SDXS-512 and prints milliseconds, GFLOP/s, the share of the
//! measured ceiling and a hash of the result. `cargo bench -p laterna-kernels [-- FILTER]`; without
//! `--bench`, as `cargo test` runs it, every layer shrinks to a few pixels and runs once.
//!
//! LATERNA_ISA and LATERNA_BENCH_THREADS choose the instruction set and the number of threads.

mod common;

use common::{hash, values};
use laterna_kernels::{
    Activation, AttentionShape, ConvShape, Epilogue, Isa, PackedWeights, Padding, Pool, Precision,
    Residual, Tokens, WeightShape, Winograd, WinogradWeights, attention, attention_scratch_len,
    ceiling, conv2d, conv2d_winograd, linear, winograd_scratch_len,
};
use std::time::{Duration, Instant};

/// One layer: input pixels (or tokens = height x width), channels, and what kind it is.
struct Layer {
    name: &'static str,
    size: [usize; 2],
    inputs: usize,
    outputs: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Conv3x3,
    Down3x3,
    Up3x3,
    Linear,
    Geglu,
}

const fn layer(
    name: &'static str,
    size: usize,
    inputs: usize,
    outputs: usize,
    kind: Kind,
) -> Layer {
    Layer { name, size: [size, size], inputs, outputs, kind }
}

/// The distinct heavy layers of one frame.
const LAYERS: &[Layer] = &[
    layer("taesd in 3>64 @512", 512, 3, 64, Kind::Conv3x3),
    layer("taesd 64>64 @512", 512, 64, 64, Kind::Conv3x3),
    layer("taesd 64>64 @256", 256, 64, 64, Kind::Conv3x3),
    layer("taesd 64>64 @128", 128, 64, 64, Kind::Conv3x3),
    layer("taesd 64>64 @64", 64, 64, 64, Kind::Conv3x3),
    layer("taesd down 64>64 @512", 512, 64, 64, Kind::Down3x3),
    layer("taesd up 64>64 @256", 256, 64, 64, Kind::Up3x3),
    layer("taesd out 64>3 @512", 512, 64, 3, Kind::Conv3x3),
    layer("starter in 3>16 @512", 512, 3, 16, Kind::Conv3x3),
    layer("starter 16>16 @256", 256, 16, 16, Kind::Conv3x3),
    layer("starter up 16>16 @256", 256, 16, 16, Kind::Up3x3),
    layer("starter out 16>3 @512", 512, 16, 3, Kind::Conv3x3),
    layer("starter 32>32 @128", 128, 32, 32, Kind::Conv3x3),
    layer("starter 64>64 @64", 64, 64, 64, Kind::Conv3x3),
    layer("starter 128>128 @32", 32, 128, 128, Kind::Conv3x3),
    layer("starter 256>128 @32", 32, 256, 128, Kind::Conv3x3),
    layer("starter up 64>64 @64", 64, 64, 64, Kind::Up3x3),
    layer("unet in 4>320 @64", 64, 4, 320, Kind::Conv3x3),
    layer("unet 320>320 @64", 64, 320, 320, Kind::Conv3x3),
    layer("unet 640>320 @64", 64, 640, 320, Kind::Conv3x3),
    layer("unet 960>320 @64", 64, 960, 320, Kind::Conv3x3),
    layer("unet down 320>320 @64", 64, 320, 320, Kind::Down3x3),
    layer("unet 320>640 @32", 32, 320, 640, Kind::Conv3x3),
    layer("unet 640>640 @32", 32, 640, 640, Kind::Conv3x3),
    layer("unet 1280>640 @32", 32, 1280, 640, Kind::Conv3x3),
    layer("unet 1920>640 @32", 32, 1920, 640, Kind::Conv3x3),
    layer("unet 1280>1280 @16", 16, 1280, 1280, Kind::Conv3x3),
    layer("unet 2560>1280 @16", 16, 2560, 1280, Kind::Conv3x3),
    layer("unet up 1280>1280 @16", 16, 1280, 1280, Kind::Up3x3),
    layer("unet up 640>640 @32", 32, 640, 640, Kind::Up3x3),
    layer("linear 320>320 @64", 64, 320, 320, Kind::Linear),
    layer("linear 960>320 @64", 64, 960, 320, Kind::Linear),
    layer("linear 640>640 @32", 32, 640, 640, Kind::Linear),
    layer("linear 1280>1280 @16", 16, 1280, 1280, Kind::Linear),
    layer("geglu 320>2560 @64", 64, 320, 2560, Kind::Geglu),
    layer("ff 1280>320 @64", 64, 1280, 320, Kind::Linear),
    layer("geglu 640>5120 @32", 32, 640, 5120, Kind::Geglu),
    layer("ff 2560>640 @32", 32, 2560, 640, Kind::Linear),
    layer("geglu 1280>10240 @16", 16, 1280, 10240, Kind::Geglu),
    layer("ff 5120>1280 @16", 16, 5120, 1280, Kind::Linear),
];

/// Name, heads of 64 channels, queries and keys of the attentions of one frame.
const ATTENTIONS: &[(&str, usize, usize, usize)] = &[
    ("attention text @64", 5, 4096, 77),
    ("attention self @32", 10, 1024, 1024),
    ("attention text @32", 10, 1024, 77),
    ("attention self @16", 20, 256, 256),
    ("attention text @16", 20, 256, 77),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let full = arguments.iter().any(|a| a == "--bench");
    let filter = arguments.iter().find(|a| !a.starts_with("--")).map_or("", String::as_str);
    let isa = Isa::detect().unwrap_or_else(|error| panic!("{error}"));
    let threads = std::env::var("LATERNA_BENCH_THREADS").ok().and_then(|n| n.parse().ok());
    let pool = threads.map_or_else(Pool::with_physical_cores, Pool::new);
    let budget = if full { Duration::from_millis(300) } else { Duration::ZERO };
    let bench = Bench {
        peak: ceiling::measure_gflops(&pool, isa, Precision::F32, budget),
        pool,
        isa,
        budget,
    };
    println!("{isa}, {} threads, ceiling {:.0} GFLOP/s", bench.pool.threads(), bench.peak);
    for layer in LAYERS.iter().filter(|layer| layer.name.contains(filter)) {
        let size = if full { layer.size } else { [3, 5] };
        bench.layer(&Layer { size, ..*layer });
    }
    for &(name, heads, queries, keys) in ATTENTIONS.iter().filter(|row| row.0.contains(filter)) {
        let (queries, keys) = if full { (queries, keys) } else { (7, 5) };
        bench.attention(name, heads, queries, keys);
    }
}

/// What every measurement needs.
struct Bench {
    pool: Pool,
    isa: Isa,
    budget: Duration,
    /// GFLOP/s
    peak: f64,
}

impl Bench {
    fn layer(&self, layer: &Layer) {
        let mut work = Work::new(layer, &self.pool, self.isa);
        let seconds = self.best_seconds(|| work.run(&self.pool));
        self.report(layer.name, work.flops(), seconds, &work.out);
        let shape = work.shape;
        for kind in Winograd::ALL.into_iter().filter(|kind| kind.computes(&shape)) {
            self.winograd(layer, &mut work, kind);
        }
    }

    /// The same layer by minimal filtering; the rate counts the direct kernel's operations.
    fn winograd(&self, layer: &Layer, work: &mut Work, kind: Winograd) {
        let (inputs, outputs) = (layer.inputs, layer.outputs);
        let weights = values(inputs * outputs * 9, 1);
        let read = |start: usize, out: &mut [f32]| {
            out.copy_from_slice(&weights[start..start + out.len()]);
        };
        let packed = WinogradWeights::pack(
            self.isa,
            &self.pool,
            kind,
            Precision::F32,
            [outputs, inputs],
            &read,
        );
        let len =
            winograd_scratch_len(self.isa, self.pool.threads(), kind, Precision::F32, &work.shape);
        let mut scratch = vec![0.0; len];
        let seconds = self.best_seconds(|| work.run_winograd(&self.pool, &packed, &mut scratch));
        self.report(kind.name(), work.flops(), seconds, &work.out);
    }

    fn attention(&self, name: &str, heads: usize, queries: usize, keys: usize) {
        let (batch, head_dim, causal) = (1, 64, false);
        let (scale, precision) = (0.125, Precision::F32);
        let shape =
            AttentionShape { batch, heads, queries, keys, head_dim, scale, causal, precision };
        let stride = heads * head_dim;
        let [q, k, v] =
            [queries, keys, keys].map(|tokens| values(tokens * stride, 5 + tokens as u32));
        let tokens = |values| Tokens { values, stride };
        let mut scratch = vec![0.0; attention_scratch_len(self.isa, &shape)];
        let mut out = vec![0.0; queries * stride];
        let seconds = self.best_seconds(|| {
            let (q, k, v) = (tokens(&q), tokens(&k), tokens(&v));
            attention(self.isa, &self.pool, &shape, q, k, v, &mut scratch, &mut out, stride);
        });
        self.report(name, 4.0 * (stride * queries * keys) as f64, seconds, &out);
    }

    fn best_seconds(&self, mut run: impl FnMut()) -> f64 {
        let start = Instant::now();
        let mut best = f64::INFINITY;
        while best.is_infinite() || start.elapsed() < self.budget {
            let begin = Instant::now();
            run();
            best = best.min(begin.elapsed().as_secs_f64());
        }
        best
    }

    fn report(&self, name: &str, flops: f64, seconds: f64, out: &[f32]) {
        let gflops = flops / seconds / 1e9;
        println!(
            "{name:<24} {:>9.3} ms {gflops:>8.1} GFLOP/s {:>6.1} %  {:016x}",
            seconds * 1e3,
            gflops / self.peak * 100.0,
            hash(out)
        );
    }
}

/// A layer with its operands.
struct Work {
    shape: ConvShape,
    kind: Kind,
    x: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    weights: PackedWeights,
    out: Vec<f32>,
}

impl Work {
    fn new(layer: &Layer, pool: &Pool, isa: Isa) -> Self {
        let [height, width] = layer.size;
        let same = ConvShape::same3x3(1, height, width, layer.inputs, layer.outputs);
        let shape = match layer.kind {
            Kind::Conv3x3 => same,
            Kind::Down3x3 => ConvShape { stride: [2, 2], ..same },
            Kind::Up3x3 => ConvShape { upsample: 2, ..same },
            Kind::Linear | Kind::Geglu => {
                ConvShape { kernel: [1, 1], padding: Padding::default(), ..same }
            }
        };
        let (inputs, outputs, taps) = (layer.inputs, layer.outputs, shape.taps());
        let weights = values(inputs * outputs * taps, 1);
        let packed = WeightShape { inputs, outputs, taps };
        let gated = layer.kind == Kind::Geglu;
        let weights = PackedWeights::from_slice(isa, pool, Precision::F32, packed, gated, &weights);
        let len = shape.out_rows() * weights.columns();
        Self {
            shape,
            kind: layer.kind,
            x: values(height * width * inputs, 2),
            bias: values(outputs, 3),
            residual: values(len, 4),
            weights,
            out: vec![0.0; len],
        }
    }

    fn flops(&self) -> f64 {
        let shape = self.weights.shape();
        2.0 * self.shape.out_rows() as f64 * shape.len() as f64
    }

    fn run_winograd(&mut self, pool: &Pool, weights: &WinogradWeights, scratch: &mut [f32]) {
        let (shape, columns) = (&self.shape, self.shape.out_channels);
        let residual = Some(Residual { values: &self.residual, stride: columns });
        let epilogue = Epilogue { bias: Some(&self.bias), residual, ..Epilogue::default() };
        let (x, stride, out) = (&self.x, shape.in_channels, &mut self.out);
        conv2d_winograd(pool, shape, x, stride, weights, &epilogue, scratch, out, columns);
    }

    fn run(&mut self, pool: &Pool) {
        let columns = self.weights.columns();
        let gated = self.kind == Kind::Geglu;
        let residual = Residual { values: &self.residual, stride: columns };
        let epilogue = Epilogue {
            bias: Some(&self.bias),
            residual: (!gated).then_some(residual),
            post: Activation::Identity,
            ..Epilogue::default()
        };
        let (shape, rows) = (&self.shape, self.shape.out_rows());
        let (x, x_stride, out) = (&self.x, shape.in_channels, &mut self.out);
        match self.kind {
            Kind::Linear | Kind::Geglu => {
                linear(pool, rows, x, x_stride, &self.weights, &epilogue, &mut [], out, columns);
            }
            _ => {
                conv2d(pool, shape, x, x_stride, &self.weights, &epilogue, &mut [], out, columns);
            }
        }
    }
}
