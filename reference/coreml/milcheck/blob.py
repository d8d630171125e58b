"""Reads a weight file (MIL blob storage, version 2), checking every field.

Layout, from coremltools' mlmodel/src/MILBlob/Blob/StorageFormat.hpp: a header of
64 bytes {u32 count, u32 version, zeros}; then, at multiples of 64, records of 64
bytes {u32 sentinel, u32 type, u64 size_bytes, u64 data_offset, u64 padding_bits,
zeros}, each followed by its data, which also starts at a multiple of 64.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import dtypes
from .dtypes import DType
from .errors import PackageError

ALIGNMENT_BYTES = 64
SENTINEL = 0xDEADBEEF
VERSION = 2


@dataclass(frozen=True)
class Record:
    """What a record says of the data that follows it."""

    offset: int
    dtype: DType
    size_bytes: int
    data_offset: int
    padding_bits: int


class WeightFile:
    """A weight file, read whole."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise PackageError(f"weight file {path}: {error.strerror}") from error
        if len(self.data) < ALIGNMENT_BYTES:
            raise PackageError(f"weight file {path}: {len(self.data)} bytes, no room for a header")
        self.count, version = struct.unpack_from("<II", self.data)
        if version != VERSION:
            raise PackageError(f"weight file {path}: version {version}, not {VERSION}")

    def record(self, offset: int) -> Record:
        """The record at a byte offset; PackageError unless it is one."""
        if offset % ALIGNMENT_BYTES or not 0 < offset <= len(self.data) - ALIGNMENT_BYTES:
            raise PackageError(f"blob offset {offset}: no multiple of 64 within the {len(self.data)} bytes")
        sentinel, code, size, data_offset, padding = struct.unpack_from("<IIQQQ", self.data, offset)
        if sentinel != SENTINEL:
            raise PackageError(f"blob offset {offset}: sentinel {sentinel:#010x}, not {SENTINEL:#010x}")
        if code not in dtypes.BY_BLOB_CODE:
            raise PackageError(f"blob offset {offset}: unknown element type {code}")
        record = Record(offset, dtypes.BY_BLOB_CODE[code], size, data_offset, padding)
        self._check_extent(record)
        return record

    def _check_extent(self, record: Record) -> None:
        at = f"blob offset {record.offset}"
        if record.data_offset % ALIGNMENT_BYTES:
            raise PackageError(f"{at}: its data starts at {record.data_offset}, no multiple of 64")
        if record.data_offset < record.offset + ALIGNMENT_BYTES:
            raise PackageError(f"{at}: its data starts at {record.data_offset}, within the record")
        if record.data_offset + record.size_bytes > len(self.data):
            raise PackageError(f"{at}: its data ends behind the end of the file")
        if record.padding_bits >= 8:
            raise PackageError(f"{at}: {record.padding_bits} padding bits, more than a byte")

    def array(self, offset: int, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
        """The values behind an offset, which must be of this type and number."""
        record = self.record(offset)
        at = f"blob offset {offset}"
        if record.dtype != dtype:
            raise PackageError(f"{at}: holds {record.dtype.name}, but {dtype.name} is declared")
        bits = int(np.prod(shape, dtype=np.int64)) * dtype.bits
        if record.size_bytes * 8 - record.padding_bits != bits:
            raise PackageError(
                f"{at}: holds {record.size_bytes * 8 - record.padding_bits} bits, but {bits} are declared"
            )
        data = self.data[record.data_offset : record.data_offset + record.size_bytes]
        return dtypes.decode(data, dtype, shape)

    def records(self) -> list[Record]:
        """Every record in file order; PackageError if they do not fill the file."""
        found, offset = [], ALIGNMENT_BYTES
        while offset < len(self.data):
            record = self.record(offset)
            found.append(record)
            end = record.data_offset + record.size_bytes
            offset = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        if len(found) != self.count:
            raise PackageError(f"weight file {self.path}: {len(found)} records, but the header says {self.count}")
        return found
