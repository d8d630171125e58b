"""The executor: declared types, rounding, states, pictures, functions; and the command."""

import subprocess
import sys
import tempfile
import unittest
from functools import partial
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder as mb
from coremltools.proto import FeatureTypes_pb2
from safetensors.numpy import load_file, save_file

from milcheck.errors import ExecutionError
from milcheck.execute import Executor
from milcheck.package import Package
from milcheck.pictures import picture_inputs

from . import build
from .test_planted import block, extents, findings, operation, set_dimension

VERIFY = Path(__file__).parents[1] / "verify.py"


def network_inputs():
    rng = np.random.default_rng(5)
    return {"x": rng.normal(size=(1, 8, 6, 6)).astype("f4"), "t": rng.normal(size=(1, 8)).astype("f4")}


def run(path, inputs, **options):
    package = Package(path)
    return Executor(package, package.default_function(), **options).run(inputs)


class Execution(unittest.TestCase):
    def test_outputs_have_the_declared_shape(self):
        result = run(build.network(), network_inputs())["result"]
        self.assertEqual(result.shape, (1, 36, 16))
        self.assertTrue(np.isfinite(result).all())

    def test_rounding_changes_little_but_something(self):
        exact = run(build.network(), network_inputs())["result"]
        rounded = run(build.network(), network_inputs(), round_fp16=True)["result"]
        error = np.abs(exact - rounded).max() / np.abs(exact).max()
        self.assertGreater(error, 2**-16)
        self.assertLess(error, 2**-5)
        np.testing.assert_array_equal(rounded, rounded.astype(np.float16).astype(np.float32))

    def test_rounding_shows_overflow(self):
        path = build.write(
            lambda x: mb.mul(x=mb.square(x=x), y=np.float16(1e-4), name="result"), {"x": (1,)}, build.MACOS_14
        )
        x = {"x": np.float32([1000])}
        np.testing.assert_allclose(run(path, x)["result"], [100], rtol=1e-3)
        self.assertTrue(np.isinf(run(path, x, round_fp16=True)["result"]).all())

    def test_a_wrong_declared_shape_names_the_operation(self):
        path = build.mutated(
            build.network(), lambda m: set_dimension(extents(operation(m, "silu").outputs[0].type), 1, 15)
        )
        with self.assertRaisesRegex(ExecutionError, r"silu silu_0: gives .*16, 6, 6.*, declares .*15, 6, 6"):
            run(path, network_inputs())

    def test_a_wrong_declared_type_names_the_operation(self):
        def change(model):
            operation(model, "silu").outputs[0].type.tensorType.dataType = 11

        with self.assertRaisesRegex(ExecutionError, "silu silu_0: gives tensor<fp16.* declares tensor<fp32"):
            run(build.mutated(build.network(), change), network_inputs())

    def test_an_unknown_operation_is_named(self):
        path = build.mutated(build.network(), lambda m: setattr(operation(m, "silu"), "type", "swiglu"))
        with self.assertRaisesRegex(ExecutionError, "swiglu silu_0: this operation is not known"):
            run(path, network_inputs())

    def test_inputs_are_checked(self):
        with self.assertRaisesRegex(ExecutionError, "input t: not given"):
            run(build.network(), {"x": network_inputs()["x"]})
        with self.assertRaisesRegex(ExecutionError, r"input x: \[1, 8\] given"):
            run(build.network(), {"x": np.zeros((1, 8), "f4"), "t": np.zeros((1, 8), "f4")})

    def test_values_are_forgotten(self):
        executor = Executor(Package(build.network()), "main")
        executor.run(network_inputs())
        self.assertEqual(list(executor._values), ["result"])

    def test_states_are_kept_between_runs(self):
        executor = Executor(Package(counter()), "main")
        self.assertEqual(executor.run({"x": np.float32([1, 2])})["result"].tolist(), [1, 2])
        self.assertEqual(executor.run({"x": np.float32([1, 2])})["result"].tolist(), [2, 4])

    def test_a_program_with_a_state_is_clean(self):
        self.assertEqual(findings(counter()), [])


def counter() -> Path:
    """A program that adds its input to a state and gives the sum."""
    fp16 = build.types.fp16

    @mb.program(input_specs=[mb.TensorSpec((2,), fp16), mb.StateTensorSpec((2,), fp16)], opset_version=build.MACOS_15)
    def program(x, total):
        added = mb.add(x=mb.read_state(input=total), y=x)
        return mb.add(x=mb.coreml_update_state(state=total, value=added), y=np.float16(0), name="result")

    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=build.MACOS_15,
        pass_pipeline=ct.PassPipeline.EMPTY,
    )
    path = Path(tempfile.mkdtemp(dir=build.folder())) / "counter.mlpackage"
    model.save(str(path))
    return path


def picture_package(colour_space=FeatureTypes_pb2.ImageFeatureType.RGB) -> Path:
    """A picture of 2 x 2 pixels, normalised to -1..=1 by operations."""

    def program(x):
        scaled = mb.mul(x=x, y=np.float16(2 / 255))
        return mb.sub(x=scaled, y=np.float16(1), name="result")

    def describe(model):
        image = model.description.input[0].type.imageType
        image.width, image.height, image.colorSpace = 2, 2, colour_space

    return build.mutated(build.write(program, {"x": (1, 3, 2, 2)}, build.MACOS_14), describe)


class Pictures(unittest.TestCase):
    def test_channels_come_in_the_order_that_is_described(self):
        red = np.zeros((2, 2, 3), np.uint8)
        red[..., 0] = 255
        orders = FeatureTypes_pb2.ImageFeatureType
        for space, channel in ((orders.RGB, 0), (orders.BGR, 2)):
            package = Package(picture_package(space))
            result = Executor(package, "main").run(picture_inputs(package, "main", {"x": red}))["result"]
            want = np.full((1, 3, 2, 2), -1.0)
            want[:, channel] = 1
            np.testing.assert_allclose(result, want, atol=2e-3)


class Functions(unittest.TestCase):
    """Two functions that share a weight file, as macOS 15 has them."""

    @classmethod
    def setUpClass(cls):
        descriptor = ct.utils.MultiFunctionDescriptor()
        for kind in ("relu", "tanh"):
            path = build.write(partial(getattr(mb, kind), name="result"), {"x": (3,)}, build.MACOS_15)
            descriptor.add_function(str(path), "main", kind)
        descriptor.default_function_name = "tanh"
        cls.path = Path(tempfile.mkdtemp(dir=build.folder())) / "two.mlpackage"
        ct.utils.save_multifunction(descriptor, str(cls.path))

    def test_each_runs(self):
        x = {"x": np.float32([-1, 0, 2])}
        package = Package(self.path)
        self.assertEqual(package.default_function(), "tanh")
        self.assertEqual(Executor(package, "relu").run(x)["result"].tolist(), [0, 0, 2])
        np.testing.assert_allclose(Executor(package, "tanh").run(x)["result"], np.tanh(x["x"]))

    def test_the_package_is_clean(self):
        self.assertEqual(verify(self.path).returncode, 0)


def verify(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, VERIFY, *map(str, arguments)], capture_output=True, text=True, check=False)


class Command(unittest.TestCase):
    def test_it_writes_the_outputs(self):
        with tempfile.TemporaryDirectory() as folder:
            inputs, outputs = Path(folder) / "in.safetensors", Path(folder) / "out.safetensors"
            save_file(network_inputs(), inputs)
            result = verify(build.network(), "--inputs", inputs, "--outputs", outputs)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("conv 1", result.stdout)
            want = run(build.network(), network_inputs())["result"]
            np.testing.assert_array_equal(load_file(outputs)["result"], want)

    def test_it_names_what_is_wrong(self):
        path = build.mutated(build.network(), lambda m: operation(m, "conv").inputs.pop("pad"))
        result = verify(path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("conv conv_0: no parameter pad", result.stderr)

    def test_it_tells_a_bad_call_from_a_bad_package(self):
        self.assertEqual(verify(build.network(), "--inputs", "missing").returncode, 2)
        self.assertEqual(verify("missing.mlpackage").returncode, 1)

    def test_a_program_that_cannot_be_printed_is_an_error(self):
        path = build.mutated(build.network(), lambda m: setattr(m.mlProgram.functions["main"], "opset", "CoreML6"))
        result = verify(path, "--text")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, "^[^\n]*function main: opset 'CoreML6' has no block\n$")

    def test_it_prints_the_program(self):
        result = verify(build.network(), "--text")
        self.assertIn("tensor<fp16, [1, 16, 6, 6]> silu_0 = silu(x=add_0);", result.stdout)
        self.assertEqual(result.stdout.count(";\n"), len(block(Package(build.network()).model).operations))
