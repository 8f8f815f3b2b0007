"""The few operations on NumPy and Arrow arrays that several stages share."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def segment_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of ``values`` over consecutive segments. Segment i is [starts[i], starts[i+1]); no segment may be empty."""
    if len(starts) == 0:
        return np.zeros(0, np.int64)
    return np.add.reduceat(values, starts, dtype=np.int64)


def hashes_to_arrow(data: bytes, valid: np.ndarray) -> pa.Array:
    """Concatenated 16-byte hashes as a binary(16) column that is null where ``valid`` is False."""
    mask = pa.array(valid).buffers()[1]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(valid), [mask, pa.py_buffer(data)])


def hash_words(column: pa.Array) -> np.ndarray:
    """A binary(16) column as an array [n, 2] of uint64, zero where the column is null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    words = np.frombuffer(array.buffers()[1], np.uint64, 2 * len(array), 16 * array.offset)
    words = words.reshape(-1, 2)
    if array.null_count:  # the bytes under a null are undefined
        words = words * np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.uint64)[:, None]
    return words


def flags(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A boolean column without nulls as a NumPy array."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)
