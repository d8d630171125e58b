//! Core ML's intermediate language (MIL) as data: typed values, operations with
//! named operands, functions. Field meanings are those of `MIL.proto`.

use std::collections::BTreeMap;
use std::sync::Arc;

use laterna_tensor::Shape;

use super::options::Target;

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is the type of that name")]
pub enum DataType {
    Fp16,
    Fp32,
    Int32,
    Int8,
    Int4,
    Uint8,
    Uint32,
    Uint6,
    Uint4,
    Uint3,
    Uint2,
    Uint1,
    Bool,
    String,
}

/// What the format calls an element type.
struct Facts {
    dtype: DataType,
    name: &'static str,
    /// `MILSpec.DataType`.
    code: u64,
    /// `BlobDataType` of weight.bin; 0 for types that are never stored there.
    blob_code: u32,
    bits: usize,
}

const fn facts(
    dtype: DataType,
    name: &'static str,
    code: u64,
    blob_code: u32,
    bits: usize,
) -> Facts {
    Facts { dtype, name, code, blob_code, bits }
}

const TYPES: [Facts; 14] = [
    facts(DataType::Fp16, "fp16", 10, 1, 16),
    facts(DataType::Fp32, "fp32", 11, 2, 32),
    facts(DataType::Int32, "int32", 23, 14, 32),
    facts(DataType::Int8, "int8", 21, 4, 8),
    facts(DataType::Int4, "int4", 25, 8, 4),
    facts(DataType::Uint8, "uint8", 31, 3, 8),
    facts(DataType::Uint32, "uint32", 33, 15, 32),
    facts(DataType::Uint6, "uint6", 38, 13, 6),
    facts(DataType::Uint4, "uint4", 35, 11, 4),
    facts(DataType::Uint3, "uint3", 39, 12, 3),
    facts(DataType::Uint2, "uint2", 36, 10, 2),
    facts(DataType::Uint1, "uint1", 37, 9, 1),
    facts(DataType::Bool, "bool", 1, 0, 8),
    facts(DataType::String, "string", 2, 0, 8),
];

impl DataType {
    fn facts(self) -> &'static Facts {
        let row = TYPES.iter().find(|facts| facts.dtype == self);
        row.expect("every type has a row")
    }

    /// Its name in MIL's text form.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    pub(super) fn code(self) -> u64 {
        self.facts().code
    }

    pub(super) fn blob_code(self) -> u32 {
        self.facts().blob_code
    }

    /// Bits of one element.
    pub fn bits(self) -> usize {
        self.facts().bits
    }

    /// The unsigned type of so many bits, for indices of a palette.
    pub(super) fn unsigned(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Uint1,
            2 => Self::Uint2,
            3 => Self::Uint3,
            4 => Self::Uint4,
            6 => Self::Uint6,
            8 => Self::Uint8,
            _ => return None,
        })
    }
}

/// Element type and extents; a scalar has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// Element type.
    pub dtype: DataType,
    /// Extents.
    pub shape: Shape,
}

impl ValueType {
    /// A tensor of this type.
    pub fn new(dtype: DataType, shape: impl Into<Shape>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// A scalar.
    pub fn scalar(dtype: DataType) -> Self {
        Self { dtype, shape: Shape::SCALAR }
    }
}

/// The numbers of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// fp32.
    Floats(Vec<f32>),
    /// int32.
    Ints(Vec<i32>),
    /// bool.
    Bools(Vec<bool>),
    /// One text.
    Text(String),
    /// Little-endian bytes: fp16 and the types that protocol buffers lack.
    Bytes(Vec<u8>),
    /// At this offset of the weight file.
    Blob(u64),
}

/// A value that is written into the program or into the weight file.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Element type and extents.
    pub ty: ValueType,
    /// The numbers.
    pub literal: Literal,
}

/// What an operand is bound to.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// A value defined before.
    Name(Arc<str>),
    /// A value given in place.
    Value(Constant),
}

/// A value's name and type.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedType {
    /// An identifier, unique in its function.
    pub name: Arc<str>,
    /// Its type.
    pub ty: ValueType,
}

/// One operation at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Such as `conv`.
    pub kind: &'static str,
    /// Operands by parameter; several bindings make a tuple.
    pub inputs: BTreeMap<&'static str, Vec<Binding>>,
    /// What it defines.
    pub outputs: Vec<NamedType>,
    /// Values that belong to the operation itself.
    pub attributes: BTreeMap<&'static str, Constant>,
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// `main`, or what the caller chooses among several.
    pub name: String,
    /// What the caller gives.
    pub inputs: Vec<Parameter>,
    /// What the caller receives.
    pub outputs: Vec<Parameter>,
    /// In an order in which they can run.
    pub operations: Vec<Operation>,
}

/// An input or an output of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name and type in the program.
    pub value: NamedType,
    /// Whether the caller sees a picture, `[1, 3, height, width]` in 0..=255.
    pub image: bool,
}

/// A program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Decides the set of operations.
    pub target: Target,
    /// One, or several that share the weight file.
    pub functions: Vec<Function>,
}
