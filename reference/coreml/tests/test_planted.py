"""Errors planted in good packages: each must be found, and named.

Most are of the kinds that coremltools' Python accepts when it merely parses a
package (`MLModel(path, skip_model_load=True)`).
"""

import json
import struct
import unittest

from coremltools.proto import FeatureTypes_pb2, MIL_pb2

from milcheck.errors import PackageError
from milcheck.lint import lint
from milcheck.package import Package
from milcheck.typed import check_types

from . import build


def findings(path) -> list[str]:
    try:
        package = Package(path)
        return [*check_types(package), *lint(package)]
    except PackageError as error:
        return [str(error)]


def block(model, function="main"):
    function = model.mlProgram.functions[function]
    return function.block_specializations[function.opset]


def operation(model, kind, index=0):
    return [o for o in block(model).operations if o.type == kind][index]


def constant(model, name):
    return next(o for o in block(model).operations if o.outputs[0].name == name)


def extents(value_type):
    return value_type.tensorType.dimensions


def rename(argument, name):
    argument.arguments[0].name = name


def swap_operations(model, first, second):
    """Exchanges two operations' places."""
    operations = block(model).operations
    moved = [MIL_pb2.Operation.FromString(o.SerializeToString()) for o in operations]
    a, b = (next(i for i, o in enumerate(moved) if o.outputs[0].name == name) for name in (first, second))
    moved[a], moved[b] = moved[b], moved[a]
    del operations[:]
    operations.extend(moved)


def swap_blobs(model, first, second):
    a, b = (constant(model, name).attributes["val"].blobFileValue for name in (first, second))
    a.offset, b.offset = b.offset, a.offset


def retype(value_type, code):
    value_type.tensorType.dataType = code


def reopset(model, opset):
    """Renames the opset in both places that name it."""
    function = model.mlProgram.functions["main"]
    function.block_specializations[opset].CopyFrom(function.block_specializations[function.opset])
    del function.block_specializations[function.opset]
    function.opset = opset


def wrong_opset_for_operation(model):
    """SDPA came with macOS 15."""
    reopset(model, "CoreML7")
    model.specificationVersion = 8


def floats_for_halves(model):
    """The mistake of those who treat fp16 like fp32."""
    value = constant(model, "layer_norm_0_epsilon_0").attributes["val"].immediateValue
    value.tensor.floats.values.append(1e-3)


def inline_weight(model):
    value = constant(model, "conv_0_weight_0").attributes["val"]
    value.immediateValue.tensor.bytes.values = bytes(16 * 8 * 9 * 2)


def output_is_input(model):
    block(model).outputs[0] = "x"
    output = model.description.output[0]
    output.CopyFrom(model.description.input[0])


def add_input(model, name):
    """An input that the description knows and no operation reads."""
    function = model.mlProgram.functions["main"]
    added = function.inputs.add()
    added.CopyFrom(function.inputs[0])
    added.name = name
    feature = model.description.input.add()
    feature.CopyFrom(model.description.input[0])
    feature.name = name


def computed_bias(model):
    rename(operation(model, "conv").inputs["bias"], "linear_0")


def attributes_for_inputs(model):
    """What macOS 14 wants as an attribute, given as an input, as macOS 15 wants it."""
    lut = operation(model, "constexpr_lut_to_dense")
    lut.inputs["lut"].arguments.add().value.CopyFrom(lut.attributes["lut"])
    del lut.attributes["lut"]


def one_function_described(model):
    """What a multi-function model does, done for one function."""
    description = model.description
    function = description.functions.add(name="main")
    function.input.extend(description.input)
    function.output.extend(description.output)
    description.defaultFunctionName = "main"
    del description.input[:]
    del description.output[:]


def picture_of_wrong_size(model):
    image = model.description.input[0].type.imageType
    image.width, image.height = 6, 6
    image.colorSpace = FeatureTypes_pb2.ImageFeatureType.RGB


def flexible_shape(model):
    shapes = model.description.input[0].type.multiArrayType.enumeratedShapes.shapes
    shapes.add(shape=[1, 8, 6, 6])


def set_dimension(dimensions, index, size):
    dimensions[index].constant.size = size


# name, package, change of the model message, what the finding says.
MODEL = [
    ("declared extent", "net", lambda m: set_dimension(extents(operation(m, "silu").outputs[0].type), 1, 15),
     "Mismatch"),
    ("declared element type", "net", lambda m: retype(operation(m, "silu").outputs[0].type, MIL_pb2.FLOAT32),
     "Mismatch"),
    ("missing input", "net", lambda m: operation(m, "silu").inputs.pop("x"), "no parameter x"),
    ("missing parameter", "net", lambda m: operation(m, "conv").inputs.pop("pad"), "no parameter pad"),
    ("missing parameter with a default", "net", lambda m: operation(m, "gather").inputs.pop("batch_dims"),
     "batch_dims"),
    ("unknown operation", "net", lambda m: setattr(operation(m, "silu"), "type", "swiglu"), "no such operation"),
    ("unknown parameter", "net", lambda m: rename_parameter(operation(m, "softmax"), "axis", "dim"),
     "unknown parameter dim"),
    ("operation of a later opset", "attention", wrong_opset_for_operation,
     "no such operation with specificationVersion 8"),
    ("parameter of a later opset", "net", lambda m: to_macos_13(m), "unknown parameter validate_indices"),
    ("opset of another version", "net", lambda m: setattr(m, "specificationVersion", 9), "opset CoreML7"),
    ("opset without a block", "net", lambda m: setattr(m.mlProgram.functions["main"], "opset", "CoreML6"),
     "has no block"),
    ("blob offset of no record", "net", lambda m: shift_blob(m, "linear_0_weight_0", 64), "sentinel"),
    ("blob offset unaligned", "net", lambda m: shift_blob(m, "linear_0_weight_0", 2), "no multiple of 64"),
    ("blob offset outside", "net", lambda m: shift_blob(m, "linear_0_weight_0", 1 << 20), "no multiple of 64 within"),
    ("blobs swapped", "net", lambda m: swap_blobs(m, "conv_0_weight_0", "conv_0_bias_0"), "bits, but"),
    ("blob of another type", "net", lambda m: blob_type(m, "linear_0_bias_0"), "holds fp16, but int16 is declared"),
    ("record that nothing reads", "net", lambda m: share_blob(m, "conv_0_bias_0", "linear_0_bias_0"), "nothing reads"),
    ("weight file of another name", "net", lambda m: blob_file(m, "conv_0_bias_0", "weights/weight.bin"),
     "must start with"),
    ("forward reference", "net", lambda m: swap_operations(m, "linear_0", "reshape_0"), "used before it is defined"),
    ("name given twice", "net", lambda m: setattr(operation(m, "silu").outputs[0], "name", "conv_0"), "defined twice"),
    ("shape that does not fit", "net", lambda m: set_int(m, "reshape_1_shape_0", 1, 15), "coremltools"),
    ("axis out of range", "net", lambda m: set_int(m, "result_axis_0", 0, 7), "coremltools"),
    ("feature renamed", "net", lambda m: setattr(m.description.input[0], "name", "picture"), "description: inputs"),
    ("output renamed", "net", lambda m: setattr(m.description.output[0], "name", "picture"), "description: outputs"),
    ("feature's shape", "net", lambda m: array(m).shape.__setitem__(2, 7),
     "the program has tensor<fp16, [1, 8, 6, 6]>"),
    ("feature's type", "net", lambda m: setattr(array(m), "dataType", 65568), "fp32 [1, 8, 6, 6], the program has"),
    ("flexible shape", "net", flexible_shape, "flexible shape"),
    ("picture's size", "net", picture_of_wrong_size, "an image of [1, 3, 6, 6]"),
    ("operation without a name", "net", lambda m: operation(m, "silu").attributes.pop("name"), "no attribute `name`"),
    ("identifier", "net", lambda m: rename_value(m, "silu_0", "silu/0"), "no identifier"),
    ("64-bit value", "net", lambda m: retype(constant(m, "gather_0_axis_0").outputs[0].type, MIL_pb2.INT64), "64-bit"),
    ("input that nothing reads", "net", lambda m: add_input(m, "unused"), "no operation reads it"),
    ("computed bias", "net", computed_bias, "bias: linear_0 is computed"),
    ("fp16 stored as floats", "net", floats_for_halves, "fp16 stored as floats"),
    ("weight inline", "net", inline_weight, "belong in the weight file"),
    ("output that is an input", "net", output_is_input, "is an input"),
    ("output that nothing makes", "net", lambda m: block(m).outputs.__setitem__(0, "nothing"), "no operation makes it"),
    ("constant of another type", "net", lambda m: const_type(m, "softmax_0_axis_0"), "declares tensor<int32, [1]>"),
    ("rank above five", "net", lambda m: rank_six(m), "rank above 5"),
    ("attribute of an operation", "net", lambda m: copy_name(operation(m, "silu"), "note"),
     "note must not be attributes"),
    ("one function described", "net", one_function_described, "names its features itself"),
    ("default function", "net", lambda m: setattr(m.description, "defaultFunctionName", "other"),
     "defaultFunctionName"),
    ("weight as an input", "lut14", attributes_for_inputs, "lut must not be inputs"),
]  # fmt: skip


def rename_parameter(o, before, after):
    o.inputs[after].CopyFrom(o.inputs[before])
    del o.inputs[before]


def to_macos_13(model):
    reopset(model, "CoreML6")
    model.specificationVersion = 7


def shift_blob(model, name, by):
    constant(model, name).attributes["val"].blobFileValue.offset += by


def share_blob(model, name, other):
    source = constant(model, other).attributes["val"].blobFileValue
    constant(model, name).attributes["val"].blobFileValue.offset = source.offset


def blob_file(model, name, file):
    constant(model, name).attributes["val"].blobFileValue.fileName = file


def blob_type(model, name):
    const_value = constant(model, name)
    retype(const_value.attributes["val"].type, MIL_pb2.INT16)
    retype(const_value.outputs[0].type, MIL_pb2.INT16)


def set_int(model, name, index, value):
    constant(model, name).attributes["val"].immediateValue.tensor.ints.values[index] = value


def array(model):
    return model.description.input[0].type.multiArrayType


def rename_value(model, before, after):
    for o in block(model).operations:
        for output in o.outputs:
            output.name = after if output.name == before else output.name
        for argument in o.inputs.values():
            for binding in argument.arguments:
                binding.name = after if binding.name == before else binding.name


def const_type(model, name):
    tensor = constant(model, name).outputs[0].type.tensorType
    tensor.rank = 1
    tensor.dimensions.add().constant.size = 1


def rank_six(model):
    tensor = operation(model, "silu").outputs[0].type.tensorType
    tensor.rank = 6
    for _ in range(2):
        tensor.dimensions.add().constant.size = 1


def copy_name(o, attribute):
    o.attributes[attribute].CopyFrom(o.attributes["name"])


def attention(query):
    return build.mb.scaled_dot_product_attention(query=query, key=query, value=query, name="result")


def write_bytes(path, offset, layout, *values):
    """Overwrites a field of the weight file."""
    file = Package(path).model_path.parent / "weights/weight.bin"
    data = bytearray(file.read_bytes())
    struct.pack_into(layout, data, offset, *values)
    file.write_bytes(data)


def edit_manifest(path, change):
    file = path / "Manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), "utf-8")


def truncate_weights(path):
    file = Package(path).model_path.parent / "weights/weight.bin"
    file.write_bytes(file.read_bytes()[:-64])


def item(manifest):
    return manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]


# name, change of the package's files, what the finding says. The first record is at 64.
FILES = [
    ("no manifest", lambda p: (p / "Manifest.json").unlink(), "Manifest.json"),
    ("manifest no JSON", lambda p: (p / "Manifest.json").write_text("{"), "Manifest.json"),
    ("manifest's root", lambda p: edit_manifest(p, lambda m: m.update(rootModelIdentifier="0")),
     "which it names as the model"),
    ("manifest's path", lambda p: edit_manifest(p, lambda m: item(m).update(path="model.mlmodel")), "model.mlmodel"),
    ("manifest's items", lambda p: edit_manifest(p, lambda m: m.update(itemInfoEntries=[])), "no object of objects"),
    ("manifest's item", lambda p: edit_manifest(p, lambda m: m["itemInfoEntries"].update(a=1)), "no object of objects"),
    ("manifest's path no text", lambda p: edit_manifest(p, lambda m: item(m).update(path=3)), "3: No such file"),
    ("manifest's version", lambda p: edit_manifest(p, lambda m: m.update(fileFormatVersion="2")), "fileFormatVersion"),
    ("manifest's author", lambda p: edit_manifest(p, lambda m: item(m).pop("author")), "lacks author"),
    ("file that no item holds", lambda p: (p / "Data/stray").write_bytes(b""), "no item holds stray"),
    ("model no message", lambda p: Package(p).model_path.write_bytes(b"\xff\xff"), "no Model message"),
    ("weight file's version", lambda p: write_bytes(p, 4, "<I", 1), "version 1, not 2"),
    ("weight file's count", lambda p: write_bytes(p, 0, "<I", 3), "the header says 3"),
    ("record's sentinel", lambda p: write_bytes(p, 64, "<I", 0xBEEF), "sentinel"),
    ("record's type", lambda p: write_bytes(p, 68, "<I", 2), "holds fp32, but fp16 is declared"),
    ("record's size", lambda p: write_bytes(p, 72, "<Q", 64), "bits, but"),
    ("record's data offset", lambda p: write_bytes(p, 80, "<Q", 130), "no multiple of 64"),
    ("record's padding", lambda p: write_bytes(p, 88, "<Q", 4), "bits, but"),
    ("weight file cut", truncate_weights, "ends behind the end"),
]  # fmt: skip


class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = {
            "net": build.network(),
            "lut14": build.compressed(build.MACOS_14),
            "lut15": build.compressed(build.MACOS_15),
            "attention": build.write(attention, {"query": (1, 4, 8)}, build.MACOS_15),
        }

    def test_good_packages_have_no_findings(self):
        for name, path in self.packages.items():
            with self.subTest(name):
                self.assertEqual(findings(path), [])

    def test_errors_in_the_model_are_found(self):
        for name, package, change, expected in MODEL:
            with self.subTest(name):
                self.assert_found(findings(build.mutated(self.packages[package], change)), expected)

    def test_errors_in_the_files_are_found(self):
        for name, change, expected in FILES:
            with self.subTest(name):
                copy = build.copied(self.packages["net"])
                change(copy)
                self.assert_found(findings(copy), expected)

    def assert_found(self, found, expected):
        self.assertTrue(any(expected in finding for finding in found), found)
