#!/usr/bin/env python3
"""Checks a Core ML package, and runs it without Core ML.

Three checks, each of which can fail: coremltools rebuilds the typed program, the
linter looks for what Core ML refuses although coremltools does not, and, given
inputs, NumPy executes every operation in f32 and compares every declared type.
Exit status: 0 if all pass, 1 if one fails, 2 if it could not be tried.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from milcheck.errors import ExecutionError, PackageError
from milcheck.execute import Executor
from milcheck.lint import lint
from milcheck.package import Package
from milcheck.pictures import picture_inputs
from milcheck.text import program_text
from milcheck.typed import check_types


def main() -> int:
    options = parse()
    try:
        package = Package(options.package)
        if options.text:
            print(program_text(package), end="")
            return 0
    except PackageError as error:
        print(f"{options.package}: {error}", file=sys.stderr)
        return 1
    findings = [*check_types(package), *lint(package)]
    for finding in findings:
        print(f"{options.package}: {finding}", file=sys.stderr)
    if findings:
        return 1
    return execute(package, options) if options.inputs else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, metavar="PACKAGE", help="the .mlpackage folder")
    parser.add_argument("--inputs", type=Path, help="safetensors file with a tensor for each input; runs the program")
    parser.add_argument("--outputs", type=Path, help="safetensors file to write the outputs to")
    parser.add_argument("--function", metavar="NAME", help="the function to run; the model's default one otherwise")
    parser.add_argument("--round-fp16", action="store_true", help="round every fp16 result to fp16")
    parser.add_argument("--text", action="store_true", help="print the program and check nothing")
    options = parser.parse_args()
    if options.outputs and not options.inputs:
        parser.error("--outputs needs --inputs")
    return options


def execute(package: Package, options: argparse.Namespace) -> int:
    """Runs the function and writes its outputs."""
    try:
        inputs = load_file(options.inputs)
    except (OSError, SafetensorError) as error:
        print(f"{options.inputs}: {error}", file=sys.stderr)
        return 2
    try:
        executor = Executor(package, options.function or package.default_function(), options.round_fp16)
        outputs = executor.run(picture_inputs(package, executor.function.name, inputs))
    except (ExecutionError, PackageError) as error:
        print(f"{options.package}: {error}", file=sys.stderr)
        return 1
    report(executor, outputs)
    if options.outputs:
        save_file({name: np.ascontiguousarray(value) for name, value in outputs.items()}, options.outputs)
    return 0


def report(executor: Executor, outputs: dict[str, np.ndarray]) -> None:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(executor.counts.items()))
    print(f"{executor.function.name}: {counts}")
    for name, value in outputs.items():
        largest = np.abs(value).max(initial=0)
        print(f"{name} {list(value.shape)} max |y| {largest:.6g}")


if __name__ == "__main__":
    sys.exit(main())
