"""Element types of MIL: their names, bits, NumPy storage and codes in each file."""

from dataclasses import dataclass

import numpy as np
from coremltools.proto import FeatureTypes_pb2, MIL_pb2


@dataclass(frozen=True)
class DType:
    """An element type.

    `blob_code` is its number in a weight file (None: never stored there);
    `immediate` the field of TensorValue that holds inline values of it.
    """

    name: str
    code: int
    bits: int
    storage: type
    blob_code: int | None
    immediate: str

    @property
    def is_float(self) -> bool:
        return self.name in ("fp16", "fp32", "fp64", "bf16")

    @property
    def is_packed(self) -> bool:
        """Whether several elements share a byte."""
        return self.bits < 8

    @property
    def is_signed(self) -> bool:
        return self.name.startswith("int")


_BLOB = {
    "fp16": 1, "fp32": 2, "uint8": 3, "int8": 4, "bf16": 5, "int16": 6, "uint16": 7, "int4": 8,
    "uint1": 9, "uint2": 10, "uint4": 11, "uint3": 12, "uint6": 13, "int32": 14, "uint32": 15,
}  # fmt: skip


def _dtype(name: str, code: int, bits: int, storage: type, immediate: str = "bytes") -> DType:
    return DType(name, code, bits, storage, _BLOB.get(name), immediate)


ALL = (
    _dtype("bool", MIL_pb2.BOOL, 8, np.bool_, "bools"),
    _dtype("string", MIL_pb2.STRING, 0, np.object_, "strings"),
    _dtype("fp16", MIL_pb2.FLOAT16, 16, np.float16),
    _dtype("fp32", MIL_pb2.FLOAT32, 32, np.float32, "floats"),
    _dtype("fp64", MIL_pb2.FLOAT64, 64, np.float64, "doubles"),
    _dtype("int8", MIL_pb2.INT8, 8, np.int8),
    _dtype("int16", MIL_pb2.INT16, 16, np.int16),
    _dtype("int32", MIL_pb2.INT32, 32, np.int32, "ints"),
    _dtype("int64", MIL_pb2.INT64, 64, np.int64, "longInts"),
    _dtype("int4", MIL_pb2.INT4, 4, np.int8),
    _dtype("uint8", MIL_pb2.UINT8, 8, np.uint8),
    _dtype("uint16", MIL_pb2.UINT16, 16, np.uint16),
    _dtype("uint32", MIL_pb2.UINT32, 32, np.uint32),
    _dtype("uint64", MIL_pb2.UINT64, 64, np.uint64),
    _dtype("uint6", MIL_pb2.UINT6, 6, np.uint8),
    _dtype("uint4", MIL_pb2.UINT4, 4, np.uint8),
    _dtype("uint3", MIL_pb2.UINT3, 3, np.uint8),
    _dtype("uint2", MIL_pb2.UINT2, 2, np.uint8),
    _dtype("uint1", MIL_pb2.UINT1, 1, np.uint8),
)

BY_NAME = {dtype.name: dtype for dtype in ALL}
BY_CODE = {dtype.code: dtype for dtype in ALL}
BY_BLOB_CODE = {dtype.blob_code: dtype for dtype in ALL if dtype.blob_code is not None}

_ARRAY = FeatureTypes_pb2.ArrayFeatureType
FEATURE_CODES = {
    _ARRAY.FLOAT32: BY_NAME["fp32"],
    _ARRAY.FLOAT16: BY_NAME["fp16"],
    _ARRAY.INT32: BY_NAME["int32"],
    _ARRAY.INT8: BY_NAME["int8"],
    _ARRAY.DOUBLE: BY_NAME["fp64"],
}


# So many fields of any width fill whole bytes.
FIELDS = 8


def unpack_bits(data: bytes, count: int, bits: int, signed: bool = False) -> np.ndarray:
    """The first `count` fields of `bits` bits each, least significant bit first.

    A field may straddle bytes. Two's complement if `signed`.
    """
    padded = np.zeros((-(-count // FIELDS), bits), np.uint8)
    taken = np.frombuffer(data, np.uint8)[: padded.size]
    padded.reshape(-1)[: taken.size] = taken
    fields = np.empty((len(padded), FIELDS), np.uint8)
    for index in range(FIELDS):
        byte, shift = divmod(index * bits, 8)
        fields[:, index] = padded[:, byte] >> shift
        if shift + bits > 8:
            fields[:, index] |= padded[:, byte + 1] << (8 - shift)
    fields = fields.reshape(-1)[:count] & ((1 << bits) - 1)
    if signed:
        sign = 1 << (bits - 1)
        return ((fields ^ sign).astype(np.int16) - sign).astype(np.int8)
    return fields


def decode(data: bytes, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian `data` as an array of `shape`; ValueError if it is too short or too long."""
    count = int(np.prod(shape, dtype=np.int64))
    need = (count * dtype.bits + 7) // 8
    if len(data) != need:
        raise ValueError(f"{len(data)} bytes for {count} elements of {dtype.name}, which take {need}")
    if dtype.is_packed:
        return unpack_bits(data, count, dtype.bits, dtype.is_signed).reshape(shape)
    return np.frombuffer(data, np.dtype(dtype.storage).newbyteorder("<")).reshape(shape)
