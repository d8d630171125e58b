//! Constants of the graph: weights read one at a time, encoded, stored.

use std::collections::HashMap;
use std::sync::Arc;

use laterna_graph::{Constant, TensorType, ValueId, WeightError, WeightSource};
use laterna_tensor::{RawTensor, Shape, Tensor, TensorData};

use super::{Lowered, Lowering};
use crate::emit::error::EmitError;
use crate::emit::mil::{self, DataType, Literal, ValueType};
use crate::emit::options::WeightFormat;
use crate::emit::weights::{self, Recipe};

/// What is known of the weights stored so far, by all functions of a package.
pub(crate) struct Stored<'p> {
    recipes: HashMap<(Arc<str>, Shape), Recipe>,
    /// Numbers stored in the chosen format and as fp16 beside it.
    pub tally: Tally,
    /// Is told how many numbers a weight has, when it is stored.
    pub progress: &'p mut dyn FnMut(usize),
}

/// How many tensors and numbers are stored in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tensors and their numbers in the chosen format.
    pub chosen: (usize, u64),
    /// Tensors and their numbers in fp16, where another format was chosen.
    pub kept: (usize, u64),
    /// Weights that several functions read and the file holds once.
    pub shared: usize,
}

impl<'p> Stored<'p> {
    pub fn new(progress: &'p mut dyn FnMut(usize)) -> Self {
        Self { recipes: HashMap::new(), tally: Tally::default(), progress }
    }
}

/// The numbers of a constant.
enum Numbers<'a> {
    Raw(RawTensor<'a>),
    Tensor(Arc<Tensor>),
}

impl<'l> Lowering<'l, '_, '_, '_> {
    /// A constant under another shape of as many elements: half precision, or
    /// whole numbers.
    pub fn constant(&mut self, id: ValueId, shape: Shape) -> Lowered {
        if let Some(var) = self.fixed.get(&(id, shape)) {
            return Ok(var.clone());
        }
        let name = self.graph.value(id).name.clone();
        let var = match self.numbers(id)? {
            Numbers::Raw(raw) => {
                let bytes = weights::from_raw(&name, &raw)?;
                self.halves(&name, shape, &bytes)?
            }
            Numbers::Tensor(tensor) => self.data(&name, &tensor, shape)?,
        };
        self.release(id);
        self.fixed.insert((id, shape), var.clone());
        Ok(var)
    }

    fn halves(&mut self, name: &str, shape: Shape, bytes: &[u8]) -> Lowered {
        (self.stored.progress)(shape.elements());
        Ok(self.block.halves(name, shape, bytes)?)
    }

    fn data(&mut self, name: &str, tensor: &Tensor, shape: Shape) -> Lowered {
        match tensor.data() {
            TensorData::F32(values) => {
                let bytes = weights::halves(name, values)?;
                self.halves(name, shape, &bytes)
            }
            TensorData::I64(values) => {
                (self.stored.progress)(values.len());
                self.whole_numbers(name, values, shape)
            }
            _ => Err(EmitError::unsupported(name, "a constant is f32 or i64")),
        }
    }

    fn whole_numbers(&mut self, name: &str, values: &[i64], shape: Shape) -> Lowered {
        let narrow: Result<Vec<i32>, _> = values.iter().map(|&v| i32::try_from(v)).collect();
        let narrow = narrow.map_err(|_| EmitError::unsupported(name, "a number needs 64 bits"))?;
        let ty = ValueType::new(DataType::Int32, shape);
        let literal = Literal::Ints(narrow);
        Ok(self.block.constant(name, mil::Constant { ty, literal }))
    }

    /// The weight of a convolution or linear layer in the chosen format, under a
    /// shape `[out, in]` or `[out, in, height, width]`.
    ///
    /// # Errors
    /// If it is computed: Core ML miscompiles such layers without a word.
    pub fn layer_weight(&mut self, id: ValueId, shape: Shape) -> Lowered {
        let name = self.graph.value(id).name.clone();
        if let Some(recipe) = self.stored.recipes.get(&(name.clone(), shape)) {
            self.stored.tally.shared += 1;
            return Ok(self.block.recipe(&name, recipe, shape));
        }
        let format = weights::format_for(self.options, &shape);
        let Some(recipe) = self.encoded(&name, id, format, shape)? else {
            self.tally(format, shape);
            return self.constant(id, shape);
        };
        self.release(id);
        self.tally(format, shape);
        (self.stored.progress)(shape.elements());
        let var = self.block.recipe(&name, &recipe, shape);
        if let Some(Constant::Weight(_)) = self.graph.constant(id) {
            self.stored.recipes.insert((name, shape), recipe);
        }
        Ok(var)
    }

    /// A weight is read once: a mapped file's pages need not stay.
    fn release(&self, id: ValueId) {
        if let Some(Constant::Weight(name)) = self.graph.constant(id) {
            self.weights.release(name);
        }
    }

    fn tally(&mut self, format: WeightFormat, shape: Shape) {
        let tally = &mut self.stored.tally;
        let chosen = format == self.options.weights;
        let (tensors, numbers) = if chosen { &mut tally.chosen } else { &mut tally.kept };
        *tensors += 1;
        *numbers += shape.elements() as u64;
    }

    /// A weight stored in a format; none if that is half precision, which every
    /// constant is stored in.
    fn encoded(
        &mut self,
        name: &str,
        id: ValueId,
        format: WeightFormat,
        shape: Shape,
    ) -> Lowered<Option<Recipe>> {
        if format == WeightFormat::Fp16 {
            return Ok(None);
        }
        let numbers = self.numbers(id)?;
        let decoded;
        let values = match &numbers {
            Numbers::Raw(raw) => {
                decoded = raw.to_f32();
                &decoded
            }
            Numbers::Tensor(tensor) => match tensor.data() {
                TensorData::F32(values) => values,
                _ => return Err(EmitError::unsupported(name, "a weight is no fraction")),
            },
        };
        weights::check_finite(name, values)?;
        let encoding = weights::encode(format, values, shape);
        let target = self.options.target;
        Ok(encoding.map(|encoding| encoding.store(target, self.block.blobs)).transpose()?)
    }

    /// Whether a value is known now.
    pub fn is_fixed(&self, id: ValueId) -> bool {
        self.graph.constant(id).is_some()
    }

    /// A value of one dimension under another shape, to be broadcast.
    pub fn spread(&mut self, id: ValueId, shape: &[usize]) -> Lowered {
        let shape = Shape::new(shape);
        if self.is_fixed(id) {
            return self.constant(id, shape);
        }
        let var = self.plain(id)?;
        Ok(self.block.reshape(&var, shape))
    }

    fn numbers(&self, id: ValueId) -> Lowered<Numbers<'l>> {
        match self.graph.constant(id) {
            Some(Constant::Data(tensor)) => Ok(Numbers::Tensor(tensor.clone())),
            Some(Constant::Weight(name)) => self.raw(name, self.graph.ty(id)).map(Numbers::Raw),
            None => {
                let reason = "Core ML wants a weight that does not change";
                Err(EmitError::unsupported(&self.block.scope, reason))
            }
        }
    }

    /// A checkpoint is foreign: its tensors need not have the graph's shapes.
    fn raw(&self, name: &str, expected: TensorType) -> Lowered<RawTensor<'l>> {
        let weights: &'l dyn WeightSource = self.weights;
        let raw = weights.read(name)?;
        if raw.shape == expected.shape && raw.dtype.is_float() {
            return Ok(raw);
        }
        let found = format!("is {}{}, the graph needs {expected}", raw.dtype, raw.shape);
        Err(WeightError { name: name.to_owned(), source: found.into() }.into())
    }
}
