//! The operations of one function while it is written: names, constants, and
//! what every operation has in common. `ops.rs` has the operations themselves.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use half::f16;
use laterna_tensor::Shape;

use super::blob::Blobs;
use super::error::EmitError;
use super::mil::{Binding, Constant, DataType, Literal, NamedType, Operation, ValueType};
use super::model::encode_constant;
use super::names::Names;
use super::package::Source;
use super::weights::Recipe;

/// Constants of fewer elements stand in the program, as coremltools has it.
const IMMEDIATE_ELEMENTS: usize = 10;

/// Core ML takes no tensor of more dimensions.
const MAX_RANK: usize = 5;

/// A value of the function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Var {
    pub name: Arc<str>,
    pub ty: ValueType,
    /// Known when the package is written: some operands must be.
    pub fixed: bool,
}

impl Var {
    pub fn shape(&self) -> Shape {
        self.ty.shape
    }

    pub fn rank(&self) -> usize {
        self.ty.shape.rank()
    }
}

/// Operands by parameter.
pub(super) type Inputs<'v> = Vec<(&'static str, &'v Var)>;

/// The operations of one function.
pub(super) struct Block<'b, 's> {
    pub blobs: &'b mut Blobs<'s>,
    names: Names,
    /// What the names of new values begin with: the node being written.
    pub scope: String,
    operations: Vec<Operation>,
    /// Positions of the operations that compute something, and what they are written for.
    sources: Vec<(usize, Arc<str>)>,
    constants: HashMap<(String, Vec<u8>), Var>,
}

impl<'b, 's> Block<'b, 's> {
    pub fn new(blobs: &'b mut Blobs<'s>) -> Self {
        Self {
            blobs,
            names: Names::default(),
            scope: String::new(),
            operations: Vec::new(),
            sources: Vec::new(),
            constants: HashMap::new(),
        }
    }

    /// Takes a name for an input or an output.
    pub fn reserve(&mut self, name: &str) -> Arc<str> {
        self.names.unique(name)
    }

    /// An operation with one result.
    pub fn op(&mut self, kind: &'static str, inputs: Inputs<'_>, ty: ValueType) -> Var {
        self.push(kind, bound(inputs), ty)
    }

    /// An operation that reads a tuple `values`.
    pub fn op_on_tuple(
        &mut self,
        kind: &'static str,
        values: &[Var],
        inputs: Inputs<'_>,
        ty: ValueType,
    ) -> Var {
        let values = values.iter().map(|var| Binding::Name(var.name.clone())).collect();
        let mut inputs = bound(inputs);
        inputs.insert("values", values);
        self.push(kind, inputs, ty)
    }

    /// An operation with several results.
    pub fn op_to_many(
        &mut self,
        kind: &'static str,
        inputs: Inputs<'_>,
        types: &[ValueType],
    ) -> Vec<Var> {
        let results: Vec<_> = types.iter().map(|&ty| self.named(kind, ty, false)).collect();
        self.computing(operation(kind, bound(inputs), &results));
        results
    }

    fn push(
        &mut self,
        kind: &'static str,
        inputs: BTreeMap<&'static str, Vec<Binding>>,
        ty: ValueType,
    ) -> Var {
        let result = self.named(kind, ty, false);
        self.computing(operation(kind, inputs, std::slice::from_ref(&result)));
        result
    }

    fn computing(&mut self, op: Operation) {
        self.sources.push((self.operations.len(), self.scope.as_str().into()));
        self.operations.push(op);
    }

    fn named(&mut self, kind: &str, ty: ValueType, fixed: bool) -> Var {
        let name = self.names.unique(&format!("{}_{kind}", self.scope));
        Var { name, ty, fixed }
    }

    /// A constant expression: a `const`, or a weight that is unpacked when the
    /// model is loaded.
    pub fn recipe(&mut self, hint: &str, recipe: &Recipe, shape: Shape) -> Var {
        let ty = ValueType::new(DataType::Fp16, shape);
        let var = Var { name: self.names.unique(hint), ty, fixed: true };
        let mut op = operation(recipe.kind, BTreeMap::new(), std::slice::from_ref(&var));
        op.attributes = recipe.attributes.iter().cloned().collect();
        let inline = |(key, value): &(_, Constant)| (*key, vec![Binding::Value(value.clone())]);
        op.inputs = recipe.inputs.iter().map(inline).collect();
        self.operations.push(op);
        var
    }

    /// A constant in place; equal ones that are called alike are written once.
    pub fn constant(&mut self, hint: &str, value: Constant) -> Var {
        let key = (hint.to_owned(), encode_constant(&value));
        if let Some(known) = self.constants.get(&key) {
            return known.clone();
        }
        let var = Var { name: self.names.unique(hint), ty: value.ty, fixed: true };
        let mut op = operation("const", BTreeMap::new(), std::slice::from_ref(&var));
        op.attributes.insert("val", value);
        self.operations.push(op);
        self.constants.insert(key, var.clone());
        var
    }

    pub fn ints(&mut self, hint: &str, values: &[usize]) -> Var {
        let values = values.iter().map(|&v| v as i32).collect::<Vec<_>>();
        let ty = ValueType::new(DataType::Int32, [values.len()]);
        self.constant(hint, Constant { ty, literal: Literal::Ints(values) })
    }

    pub fn int(&mut self, hint: &str, value: i32) -> Var {
        let ty = ValueType::scalar(DataType::Int32);
        self.constant(hint, Constant { ty, literal: Literal::Ints(vec![value]) })
    }

    pub fn bool(&mut self, hint: &str, value: bool) -> Var {
        let ty = ValueType::scalar(DataType::Bool);
        self.constant(hint, Constant { ty, literal: Literal::Bools(vec![value]) })
    }

    pub fn text(&mut self, hint: &str, value: &str) -> Var {
        let ty = ValueType::scalar(DataType::String);
        self.constant(hint, Constant { ty, literal: Literal::Text(value.to_owned()) })
    }

    pub fn float(&mut self, hint: &str, value: f32) -> Var {
        let ty = ValueType::scalar(DataType::Fp32);
        self.constant(hint, Constant { ty, literal: Literal::Floats(vec![value]) })
    }

    /// A half-precision scalar.
    ///
    /// # Errors
    /// If it does not fit: beyond the largest number, or lost to zero.
    pub fn half(&mut self, hint: &str, value: f32) -> Result<Var, EmitError> {
        let half = f16::from_f32(value);
        if (value.is_finite() && half.is_infinite()) || (value != 0.0 && half == f16::ZERO) {
            return Err(EmitError::Range { value: self.scope.clone(), number: value });
        }
        let ty = ValueType::scalar(DataType::Fp16);
        let literal = Literal::Bytes(half.to_le_bytes().to_vec());
        Ok(self.constant(hint, Constant { ty, literal }))
    }

    /// A half-precision tensor, in place or in the weight file.
    pub fn halves(&mut self, hint: &str, shape: Shape, bytes: &[u8]) -> io::Result<Var> {
        let elements = shape.elements();
        let literal = if elements < IMMEDIATE_ELEMENTS {
            Literal::Bytes(bytes.to_vec())
        } else {
            Literal::Blob(self.blobs.store(DataType::Fp16, elements, bytes)?)
        };
        let ty = ValueType::new(DataType::Fp16, shape);
        Ok(self.constant(hint, Constant { ty, literal }))
    }

    /// The first value that has more dimensions than Core ML takes, or none.
    pub fn check_ranks(&self) -> Result<(), EmitError> {
        let outputs = self.operations.iter().flat_map(|op| &op.outputs);
        match outputs.into_iter().find(|output| output.ty.shape.rank() > MAX_RANK) {
            None => Ok(()),
            Some(output) => {
                let reason = format!("{} has more than {MAX_RANK} dimensions", output.ty.shape);
                Err(EmitError::unsupported(&output.name, reason))
            }
        }
    }

    /// The operations, with the results renamed as the outputs want it, and where
    /// those that compute something come from.
    pub fn finish(
        mut self,
        renamed: &HashMap<Arc<str>, Arc<str>>,
    ) -> (Vec<Operation>, Vec<Source>) {
        let rename = |name: &mut Arc<str>| {
            if let Some(new) = renamed.get(name) {
                *name = new.clone();
            }
        };
        for op in &mut self.operations {
            op.outputs.iter_mut().for_each(|output| rename(&mut output.name));
            for binding in op.inputs.values_mut().flatten() {
                if let Binding::Name(name) = binding {
                    rename(name);
                }
            }
        }
        let result = |position: usize| self.operations[position].outputs[0].name.clone();
        let source = |(position, node)| Source { result: result(position), node };
        let sources = self.sources.iter().cloned().map(source).collect();
        (self.operations, sources)
    }
}

fn bound(inputs: Inputs<'_>) -> BTreeMap<&'static str, Vec<Binding>> {
    inputs.into_iter().map(|(key, var)| (key, vec![Binding::Name(var.name.clone())])).collect()
}

fn operation(
    kind: &'static str,
    inputs: BTreeMap<&'static str, Vec<Binding>>,
    outputs: &[Var],
) -> Operation {
    let named = |var: &Var| NamedType { name: var.name.clone(), ty: var.ty };
    let outputs = outputs.iter().map(named).collect();
    Operation { kind, inputs, outputs, attributes: BTreeMap::new() }
}
