//! Random legal graphs: operations of the networks on values that fit them,
//! often in the order that fusions look for.

use laterna_graph::op::{Activation, Binary, Conv2d, Epilogue, Padding};
use laterna_graph::{BuildError, Builder, Op, Rate, TensorType, ValueId};
use laterna_tensor::{Shape, Tensor};

use crate::Random;
use crate::cases::{Case, Outputs};

/// Of a chain of some dozen operations.
const TOLERANCE: f32 = 1e-4;

/// Pictures are not enlarged beyond this many elements.
const LARGEST: usize = 6000;

type Built = Result<ValueId, BuildError>;

/// The random graph of a seed, with numbers for its inputs and weights.
pub fn random_case(seed: u64) -> Case {
    Case::new(format!("random graph {seed}"), TOLERANCE, |b| {
        Growth::new(b, Random::new(seed)).grow()
    })
}

struct Growth<'b> {
    b: &'b mut Builder,
    random: Random,
    /// `[batch, channels, height, width]`
    pictures: Vec<ValueId>,
    /// `[batch, tokens, channels]`
    tokens: Vec<ValueId>,
    /// `[batch, features]`
    embedding: ValueId,
    batch: usize,
    steps: usize,
}

impl<'b> Growth<'b> {
    fn new(b: &'b mut Builder, mut random: Random) -> Self {
        let batch = 1 + random.below(2);
        let mut extent = |choices: &[usize]| random.choose(choices);
        let picture = [batch, extent(&[2, 4, 6, 16]), extent(&[1, 3, 6]), extent(&[2, 5, 8])];
        let tokens = [batch, extent(&[1, 4, 9]), extent(&[4, 8, 12])];
        let picture = b.input("picture", Rate::Frame, TensorType::f32(picture));
        let tokens = b.input("tokens", Rate::Prompt, TensorType::f32(tokens));
        let embedding = b.input("embedding", Rate::Frame, TensorType::f32([batch, 6]));
        let (pictures, tokens) = (vec![picture], vec![tokens]);
        Self { b, random, pictures, tokens, embedding, batch, steps: 0 }
    }

    fn grow(mut self) -> Outputs {
        for _ in 0..8 + self.random.below(16) {
            self.step()?;
        }
        let (picture, tokens) = (self.last(&self.pictures), self.last(&self.tokens));
        let any = self.any_picture();
        Ok(vec![("picture", picture), ("tokens", tokens), ("any", any)])
    }

    fn step(&mut self) -> Result<(), BuildError> {
        self.steps += 1;
        let on_picture = [
            Self::conv,
            Self::conv,
            Self::residual_block,
            Self::group_norm,
            Self::activation,
            Self::affine,
            Self::add_pictures,
            Self::add_embedding,
            Self::add_constant,
            Self::concat,
            Self::slice,
            Self::upsample,
            Self::tokens_as_picture,
            Self::transformer_end,
        ];
        let on_tokens = [
            Self::linear,
            Self::residual_linear,
            Self::layer_norm,
            Self::geglu,
            Self::attention,
            Self::softmax,
            Self::picture_as_tokens,
        ];
        if self.random.below(3) < 2 {
            let step = self.random.choose(&on_picture);
            let new = step(self)?;
            self.pictures.push(new);
        } else {
            let step = self.random.choose(&on_tokens);
            let new = step(self)?;
            self.tokens.push(new);
        }
        Ok(())
    }

    fn name(&self, what: &str) -> String {
        format!("{what}{}", self.steps)
    }

    fn last(&self, values: &[ValueId]) -> ValueId {
        *values.last().expect("growth starts with one of each")
    }

    /// Mostly the newest, so that chains form.
    fn pick(&mut self, values: &[ValueId]) -> ValueId {
        if self.random.below(4) > 0 { self.last(values) } else { self.random.choose(values) }
    }

    fn picture(&mut self) -> ValueId {
        let pictures = self.pictures.clone();
        self.pick(&pictures)
    }

    fn any_picture(&mut self) -> ValueId {
        self.random.choose(&self.pictures)
    }

    fn token_sequence(&mut self) -> ValueId {
        let tokens = self.tokens.clone();
        self.pick(&tokens)
    }

    fn extents(&self, x: ValueId) -> [usize; 4] {
        (*self.b.shape(x)).try_into().expect("a picture has four dimensions")
    }

    fn conv_to(&mut self, x: ValueId, out: usize, conv: Conv2d, kernel: usize) -> Built {
        let name = self.name("conv");
        let bias = self.random.below(3) > 0;
        self.b.conv2d(&name, x, out, kernel, Conv2d { epilogue: Epilogue::with_bias(bias), ..conv })
    }

    fn conv(&mut self) -> Built {
        let x = self.picture();
        let [_, _, height, width] = self.extents(x);
        let out = self.random.choose(&[2, 4, 6, 16]);
        let kernel = self.random.choose(&[1, 3]);
        let stride = if height.min(width) >= 4 { self.random.choose(&[1, 1, 2]) } else { 1 };
        let unpadded = kernel == 3 && height.min(width) >= 3 && self.random.below(3) == 0;
        let padding = Padding::all(if unpadded || kernel == 1 { 0 } else { 1 });
        let conv = Conv2d { stride: [stride; 2], padding, ..Conv2d::same(0) };
        self.conv_to(x, out, conv, kernel)
    }

    fn residual_block(&mut self) -> Built {
        let x = self.picture();
        let [_, channels, ..] = self.extents(x);
        let h = self.conv_to(x, channels, Conv2d::same(1), 3)?;
        let name = self.name("block");
        let h = if self.random.below(2) == 0 { h } else { self.activate(&name, h)? };
        let y = if self.random.below(2) == 0 {
            self.b.add(&name, h, x)?
        } else {
            self.b.add(&name, x, h)?
        };
        if self.random.below(2) == 0 { Ok(y) } else { self.activate(&name, y) }
    }

    fn activate(&mut self, name: &str, x: ValueId) -> Built {
        let activation = self.random.choose(&Activation::ALL);
        self.b.activation(name, x, activation)
    }

    fn activation(&mut self) -> Built {
        let x = self.picture();
        self.activate(&self.name("activation"), x)
    }

    /// With an eps that keeps groups of nearly equal numbers from amplifying
    /// rounding errors into results.
    fn group_norm(&mut self) -> Built {
        let x = self.picture();
        let [_, channels, ..] = self.extents(x);
        let groups = if channels.is_multiple_of(2) { self.random.choose(&[1, 2]) } else { 1 };
        let name = self.name("norm");
        let y = self.b.group_norm(&name, x, groups, 0.1)?;
        if self.random.below(2) == 0 { Ok(y) } else { self.activate(&name, y) }
    }

    fn affine(&mut self) -> Built {
        let x = self.picture();
        let scale = self.random.choose(&[0.5, -1.5, 1.0, 2.0]);
        let offset = self.random.choose(&[0.0, 0.0, 0.25]);
        self.b.affine(&self.name("affine"), x, scale, offset)
    }

    fn add_pictures(&mut self) -> Built {
        let x = self.picture();
        let shape = self.b.shape(x);
        let equal: Vec<_> =
            self.pictures.iter().copied().filter(|&id| self.b.shape(id) == shape).collect();
        let other = self.random.choose(&equal);
        let op = self.random.choose(&[Binary::Add, Binary::Sub]);
        self.b.node(&self.name("add"), Op::Binary(op), &[x, other])
    }

    /// What a residual block does with its timestep.
    fn add_embedding(&mut self) -> Built {
        let x = self.picture();
        let [_, channels, ..] = self.extents(x);
        let h = self.conv_to(x, channels, Conv2d::same(0), 1)?;
        let name = self.name("time");
        let t = if self.random.below(2) == 0 { self.embedding } else { self.fixed_embedding() };
        let t = self.b.linear(&name, t, channels, true)?;
        let t = self.b.reshape(&name, t, [self.batch, channels, 1, 1])?;
        self.b.add(&name, h, t)
    }

    /// `[batch, features]`
    fn fixed_embedding(&mut self) -> ValueId {
        let shape = self.b.shape(self.embedding);
        let data = (0..shape.elements()).map(|_| self.random.uniform()).collect();
        let tensor = Tensor::from_f32(shape, data).expect("as many elements as the shape");
        let name = self.name("fixed");
        self.b.constant(&name, tensor)
    }

    fn add_constant(&mut self) -> Built {
        let x = self.picture();
        let [batch, channels, ..] = self.extents(x);
        let rows = self.random.choose(&[1, batch]);
        let data = (0..rows * channels).map(|_| self.random.uniform()).collect();
        let tensor = Tensor::from_f32([rows, channels, 1, 1], data);
        let name = self.name("constant");
        let c = self.b.constant(&name, tensor.expect("as many elements as the shape"));
        self.b.add(&name, x, c)
    }

    /// Of channels, with a picture of the same extents or with itself.
    fn concat(&mut self) -> Built {
        let x = self.picture();
        let shape = self.b.shape(x);
        let fits = |id: ValueId| {
            let other = self.b.shape(id);
            other.with(1, 0) == shape.with(1, 0) && other[1] + shape[1] <= 24
        };
        let fitting: Vec<_> = self.pictures.iter().copied().filter(|&id| fits(id)).collect();
        if fitting.is_empty() {
            return Ok(x);
        }
        let other = self.random.choose(&fitting);
        self.b.concat(&self.name("concat"), &[x, other], 1)
    }

    fn slice(&mut self) -> Built {
        let x = self.picture();
        let axis = 1 + self.random.below(3);
        let extent = self.b.shape(x)[axis];
        let start = self.random.below(extent);
        let end = start + 1 + self.random.below(extent - start);
        self.b.slice(&self.name("slice"), x, axis, start, end)
    }

    fn upsample(&mut self) -> Built {
        let x = self.picture();
        if self.b.shape(x).elements() * 4 > LARGEST {
            return Ok(x);
        }
        let up = self.b.upsample_nearest(&self.name("up"), x, 2)?;
        let [_, channels, ..] = self.extents(x);
        if self.random.below(2) == 0 {
            Ok(up)
        } else {
            self.conv_to(up, channels, Conv2d::same(1), 3)
        }
    }

    fn tokens_as_picture(&mut self) -> Built {
        let x = self.token_sequence();
        let tokens = self.b.shape(x)[1];
        let height = if tokens.is_multiple_of(3) { 3 } else { 1 };
        self.b.from_tokens(&self.name("picture"), x, height, tokens / height)
    }

    /// What a transformer block with linear projections does last.
    fn transformer_end(&mut self) -> Built {
        let r = self.picture();
        let [_, channels, height, width] = self.extents(r);
        let name = self.name("end");
        let tokens = self.b.to_tokens(&name, r)?;
        let tokens = self.b.linear(&name, tokens, channels, true)?;
        let picture = self.b.from_tokens(&name, tokens, height, width)?;
        self.b.add(&name, picture, r)
    }

    fn picture_as_tokens(&mut self) -> Built {
        let x = self.picture();
        let tokens = self.b.to_tokens(&self.name("tokens"), x)?;
        let channels = self.random.choose(&[4, 8, 12]);
        self.b.linear(&self.name("tokens"), tokens, channels, true)
    }

    fn linear(&mut self) -> Built {
        let x = self.token_sequence();
        let out = self.random.choose(&[4, 8, 12]);
        let name = self.name("linear");
        let bias = self.random.below(2) == 0;
        let y = self.b.linear(&name, x, out, bias)?;
        if self.random.below(2) == 0 { Ok(y) } else { self.activate(&name, y) }
    }

    fn residual_linear(&mut self) -> Built {
        let x = self.token_sequence();
        let name = self.name("residual");
        let y = self.b.linear(&name, x, self.features(x), true)?;
        self.b.add(&name, y, x)
    }

    fn features(&self, x: ValueId) -> usize {
        let shape: Shape = self.b.shape(x);
        shape[shape.rank() - 1]
    }

    fn layer_norm(&mut self) -> Built {
        let x = self.token_sequence();
        self.b.layer_norm(&self.name("norm"), x, 0.1)
    }

    fn geglu(&mut self) -> Built {
        let x = self.token_sequence();
        let name = self.name("geglu");
        let wide = self.b.linear(&name, x, 2 * self.features(x), true)?;
        self.b.geglu(&name, wide)
    }

    /// To itself or to other tokens.
    fn attention(&mut self) -> Built {
        let x = self.token_sequence();
        let context = self.random.choose(&[x, self.tokens[0]]);
        let channels = self.features(x);
        let name = self.name("attention");
        let q = self.b.linear(&format!("{name}.q"), x, channels, false)?;
        let k = self.b.linear(&format!("{name}.k"), context, channels, false)?;
        let v = self.b.linear(&format!("{name}.v"), context, channels, false)?;
        let heads = self.random.choose(&[1, 2, 4]);
        let causal = self.random.below(3) == 0;
        self.b.attention(&name, [q, k, v], heads, causal)
    }

    fn softmax(&mut self) -> Built {
        let x = self.token_sequence();
        self.b.node(&self.name("softmax"), Op::Softmax, &[x])
    }
}
