//! A program as the bytes of `model.mlmodel`. Field numbers are those of
//! coremltools' `Model.proto`, `FeatureTypes.proto` and `MIL.proto`.

use laterna_tensor::Shape;

use super::mil::{
    Binding, Constant, DataType, Function, Literal, Operation, Parameter, Program, ValueType,
};
use super::wire::Message;

/// Where operations find the weight file, as seen from the model file.
const WEIGHT_FILE: &str = "@model_path/weights/weight.bin";

/// The name that a package's only function must have.
pub(super) const MAIN: &str = "main";

/// The whole file; `version` is ours.
pub(super) fn serialize(program: &Program, description: &str, version: &str) -> Vec<u8> {
    let model = Message::of(|model| {
        model.uint(1, program.target.specification());
        model.message(2, |m| describe(m, program, description, version));
        model.message(502, |m| write_program(m, program));
    });
    model.into_bytes()
}

/// A program of one function is described as a whole; Core ML refuses `functions`
/// there, and wants them for several.
fn describe(m: &mut Message, program: &Program, description: &str, version: &str) {
    if let [only] = program.functions.as_slice() {
        only.inputs.iter().for_each(|input| m.message(1, |m| feature(m, input)));
        only.outputs.iter().for_each(|output| m.message(10, |m| feature(m, output)));
    } else {
        for function in &program.functions {
            m.message(20, |m| describe_function(m, function));
        }
        if let Some(first) = program.functions.first() {
            m.text(21, &first.name);
        }
    }
    m.message(100, |metadata| {
        metadata.text(1, description);
        metadata.entry_text(100, "laterna.version", version);
    });
}

fn describe_function(m: &mut Message, function: &Function) {
    m.text(1, &function.name);
    function.inputs.iter().for_each(|input| m.message(2, |m| feature(m, input)));
    function.outputs.iter().for_each(|output| m.message(3, |m| feature(m, output)));
}

fn feature(m: &mut Message, parameter: &Parameter) {
    m.text(1, &parameter.value.name);
    let ty = parameter.value.ty;
    m.message(3, |feature_type| {
        if parameter.image {
            feature_type.message(4, |image| image_type(image, &ty.shape));
        } else {
            feature_type.message(5, |array| array_type(array, ty));
        }
    });
}

/// `ImageFeatureType.ColorSpace.RGB`: a BGRA pixel buffer outside, planes in the
/// order red, green, blue inside.
const RGB: u64 = 20;

fn image_type(m: &mut Message, shape: &Shape) {
    m.uint(1, shape[3] as u64);
    m.uint(2, shape[2] as u64);
    m.uint(3, RGB);
}

fn array_type(m: &mut Message, ty: ValueType) {
    m.packed_ints(1, ty.shape.iter().map(|&extent| extent as i64));
    m.uint(2, array_code(ty.dtype));
}

/// `ArrayFeatureType.ArrayDataType`; a parameter has one of these three types.
fn array_code(dtype: DataType) -> u64 {
    match dtype {
        DataType::Fp16 => 65_552,
        DataType::Int32 => 131_104,
        _ => 65_568,
    }
}

fn write_program(m: &mut Message, program: &Program) {
    m.uint(1, 1);
    let mut functions: Vec<_> = program.functions.iter().collect();
    functions.sort_by_key(|function| &function.name);
    for function in functions {
        m.entry(2, &function.name, |m| write_function(m, program, function));
    }
}

fn write_function(m: &mut Message, program: &Program, function: &Function) {
    let opset = program.target.opset();
    for input in &function.inputs {
        m.message(1, |m| named_type(m, &input.value.name, input.value.ty));
    }
    m.text(2, opset);
    m.entry(3, opset, |block| {
        function.outputs.iter().for_each(|output| block.text(2, &output.value.name));
        function.operations.iter().for_each(|op| block.message(3, |m| operation(m, op)));
    });
}

fn operation(m: &mut Message, op: &Operation) {
    m.text(1, op.kind);
    for (parameter, bindings) in &op.inputs {
        m.entry(2, parameter, |argument| {
            bindings.iter().for_each(|b| argument.message(1, |m| binding(m, b)));
        });
    }
    op.outputs.iter().for_each(|output| m.message(3, |m| named_type(m, &output.name, output.ty)));
    let name = op.outputs.first().map_or("", |output| &output.name);
    let name = Constant {
        ty: ValueType::scalar(DataType::String),
        literal: Literal::Text(name.to_owned()),
    };
    let mut attributes: Vec<_> = op.attributes.iter().map(|(&key, value)| (key, value)).collect();
    attributes.push(("name", &name));
    attributes.sort_by_key(|&(key, _)| key);
    for (key, value) in attributes {
        m.entry(5, key, |m| constant(m, value));
    }
}

fn binding(m: &mut Message, binding: &Binding) {
    match binding {
        Binding::Name(name) => m.text(1, name),
        Binding::Value(value) => m.message(2, |m| constant(m, value)),
    }
}

fn named_type(m: &mut Message, name: &str, ty: ValueType) {
    m.text(1, name);
    m.message(2, |m| value_type(m, ty));
}

fn value_type(m: &mut Message, ty: ValueType) {
    m.message(1, |tensor| {
        tensor.uint(1, ty.dtype.code());
        if ty.shape.rank() > 0 {
            tensor.uint(2, ty.shape.rank() as u64);
        }
        for &extent in ty.shape.iter() {
            tensor.message(3, |dimension| dimension.message(1, |m| m.uint(1, extent as u64)));
        }
    });
}

/// The encoding of a constant, which also tells equal ones.
pub(super) fn encode_constant(value: &Constant) -> Vec<u8> {
    Message::of(|m| constant(m, value)).into_bytes()
}

fn constant(m: &mut Message, value: &Constant) {
    m.message(2, |m| value_type(m, value.ty));
    if let &Literal::Blob(offset) = &value.literal {
        m.message(5, |blob| {
            blob.text(1, WEIGHT_FILE);
            blob.uint(2, offset);
        });
    } else {
        m.message(3, |immediate| immediate.message(1, |tensor| literal(tensor, &value.literal)));
    }
}

/// A `TensorValue`: one list of values, by kind.
fn literal(tensor: &mut Message, literal: &Literal) {
    match literal {
        Literal::Floats(values) => tensor.message(1, |m| m.packed_floats(1, values)),
        Literal::Ints(values) => {
            tensor.message(2, |m| m.packed_ints(1, values.iter().map(|&v| i64::from(v))));
        }
        Literal::Bools(values) => {
            tensor.message(3, |m| m.packed_ints(1, values.iter().map(|&v| i64::from(v))));
        }
        Literal::Text(text) => tensor.message(4, |m| m.text(1, text)),
        Literal::Bytes(bytes) => tensor.message(7, |m| m.bytes(1, bytes)),
        Literal::Blob(_) => {}
    }
}
