"""Which parameters an operation has at a specification version, and what each must be."""

from dataclasses import dataclass
from functools import cache

import coremltools
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

# What may be left out: only these have no value that means "as if absent". Core ML
# wants every other parameter, also those that coremltools' Python makes optional
# (coremltools#2127, Chromium's services/webnn/coreml/graph_builder_coreml.cc).
OPTIONAL = {
    "batch_norm": {"gamma", "beta"},
    "constexpr_blockwise_shift_scale": {"offset"},
    "constexpr_lut_to_dense": {"vector_axis"},
    "constexpr_lut_to_sparse": {"vector_axis"},
    "constexpr_sparse_blockwise_shift_scale": {"offset"},
    "conv": {"bias"},
    "conv_transpose": {"bias", "output_shape"},
    "dequantize": {"zero_point", "axis"},
    "instance_norm": {"gamma", "beta"},
    "layer_norm": {"gamma", "beta"},
    "linear": {"bias"},
    "quantize": {"zero_point", "axis"},
    "scaled_dot_product_attention": {"attn_mask"},
    "slice_by_index": {"stride", "begin_mask", "end_mask", "squeeze_mask"},
    "split": {"num_splits", "split_sizes"},
    "squeeze": {"axes"},
}

# Constants beyond those that coremltools demands. A bias that is computed is
# compiled to a wrong result without a word (rustnn).
CONSTANT = {
    "batch_norm": {"mean", "variance", "gamma", "beta", "epsilon"},
    "conv": {"weight", "bias", "strides", "pad_type", "pad", "dilations", "groups"},
    "conv_transpose": {"weight", "bias"},
    "instance_norm": {"gamma", "beta", "epsilon"},
    "layer_norm": {"axes", "gamma", "beta", "epsilon"},
    "linear": {"weight", "bias"},
}


@dataclass(frozen=True)
class Signature:
    """An operation's parameters: all, those that must be there, and those that must be constant."""

    known: frozenset[str]
    required: frozenset[str]
    constant: frozenset[str]


# In files these two have names and parameters of their own.
_STATES = {
    "read_state": Signature(frozenset({"input"}), frozenset({"input"}), frozenset()),
    "write_state": Signature(frozenset({"input", "data"}), frozenset({"input", "data"}), frozenset()),
}


@cache
def signature(kind: str, version: int) -> Signature | None:
    """The signature of `kind` at a specification version; None if it has no such operation then."""
    variants = SSAOpRegistry.core_ops.get(kind, {})
    since = [target for target in variants if target.value <= version]
    if kind in _STATES and version >= coremltools.target.iOS18.value:
        return _STATES[kind]
    if not since:
        return None
    parameters = variants[max(since, key=lambda target: target.value)].input_spec.input_types
    known = frozenset(parameters)
    constant = {name for name, parameter in parameters.items() if parameter.const}
    return Signature(known, known - OPTIONAL.get(kind, set()), frozenset(constant | CONSTANT.get(kind, set()) & known))
