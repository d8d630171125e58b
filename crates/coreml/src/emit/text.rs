//! A program as text, for people and snapshots. Every definition is a line;
//! numbers of the weight file are named by their offset.

use std::fmt::{self, Display, Formatter};

use half::f16;

use super::mil::{
    Binding, Constant, DataType, Function, Literal, NamedType, Operation, Parameter, Program,
    ValueType,
};

/// Elements of a list that are shown.
const SHOWN: usize = 16;

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {}", self.target.opset())?;
        self.functions.iter().try_for_each(|function| write!(f, "{function}"))
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "func {}({}) {{", self.name, joined(&self.inputs))?;
        self.operations.iter().try_for_each(|op| writeln!(f, "  {op}"))?;
        writeln!(f, "}} -> ({})", joined(&self.outputs))
    }
}

impl Display for Parameter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let image = if self.image { "image " } else { "" };
        write!(f, "{image}{}", self.value)
    }
}

impl Display for NamedType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ty, self.name)
    }
}

impl Display for ValueType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.shape.rank() == 0 {
            return f.write_str(self.dtype.name());
        }
        write!(f, "{}{}", self.dtype.name(), self.shape)
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}(", joined(&self.outputs), self.kind)?;
        let inputs = self.inputs.iter().map(|(key, bindings)| match bindings.as_slice() {
            [one] => format!("{key}={one}"),
            several => format!("{key}=({})", joined(several)),
        });
        let attributes = self.attributes.iter().map(|(key, value)| format!("{key}={value}"));
        let operands: Vec<_> = inputs.chain(attributes).collect();
        write!(f, "{})", operands.join(", "))
    }
}

impl Display for Binding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Value(value) => write!(f, "{} {value}", value.ty),
        }
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.literal {
            Literal::Floats(values) => list(f, values),
            Literal::Ints(values) => list(f, values),
            Literal::Bools(values) => list(f, values),
            Literal::Text(text) => write!(f, "{text:?}"),
            Literal::Bytes(bytes) if self.ty.dtype == DataType::Fp16 => list(f, &halves(bytes)),
            Literal::Bytes(bytes) => list(f, bytes),
            Literal::Blob(offset) => write!(f, "@{offset}"),
        }
    }
}

fn halves(bytes: &[u8]) -> Vec<f16> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|&pair| f16::from_le_bytes(pair)).collect()
}

fn list<T: Display>(f: &mut Formatter<'_>, values: &[T]) -> fmt::Result {
    if let [only] = values {
        return write!(f, "{only}");
    }
    let more = if values.len() > SHOWN { ", .." } else { "" };
    write!(f, "[{}{more}]", joined(&values[..values.len().min(SHOWN)]))
}

fn joined<T: Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
