"""The meaning of MIL's operations in NumPy, f32; `OPS` is the table."""

from . import elementwise, nn, shape, weights
from .table import OPS

__all__ = ["OPS", "elementwise", "nn", "shape", "weights"]
