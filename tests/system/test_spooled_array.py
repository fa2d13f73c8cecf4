"""Spooled arrays, in memory and in their file."""

import copy
import pickle

import numpy as np
import pytest

from overtone.system.spooled_array import IN_MEMORY_BYTES, SpooledArray


@pytest.mark.parametrize("rows", [0, 3, IN_MEMORY_BYTES // 8])
@pytest.mark.parametrize(("width", "dtype"), [(4, np.float32), (0, np.float32), (None, np.int64)])
def test_a_copy_and_a_pickle_have_its_rows_in_a_file_of_their_own(rows: int, width: int | None, dtype: type) -> None:
    array = SpooledArray(width, dtype)
    shape = (rows,) if width is None else (rows, width)
    array.append(np.arange(np.prod(shape), dtype=dtype).reshape(shape))
    whole = array.numpy()
    for other in (copy.copy(array), copy.deepcopy(array), pickle.loads(pickle.dumps(array))):
        assert (other.dtype, other.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(other.numpy(), whole)
        other.close()
    np.testing.assert_array_equal(array.numpy(), whole)


@pytest.mark.parametrize("rows", [0, 3, IN_MEMORY_BYTES // 8])
def test_numpy_takes_it(rows: int) -> None:
    array = SpooledArray(4)
    array.append(np.arange(4 * rows, dtype=np.float32).reshape(rows, 4))
    np.testing.assert_array_equal(np.asarray(array), array.numpy())
    assert np.asarray(array).dtype == np.float32
    assert np.asarray(array, np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.argmax(array, axis=1), np.full(rows, 3))
    with pytest.raises(ValueError, match="new array"):  # which NumPy asks for since 2.0, with copy=False
        array.__array__(copy=False)


def test_one_that_lies_in_a_file_is_read_in_a_fork_and_here_at_once() -> None:
    """The position in a file is shared with a fork."""
    array = SpooledArray(None, np.int64)
    array.append(np.arange(3 * IN_MEMORY_BYTES // 8))
    whole = array.numpy()
    chunks = array.chunks(1000)
    read = [next(chunks)]
    array._file.seek(5)  # as another process does
    read += chunks
    np.testing.assert_array_equal(np.concatenate(read), whole)
    array._file.seek(5)
    np.testing.assert_array_equal(array.numpy(), whole)
    assert repr(array) == f"SpooledArray(shape=({3 * IN_MEMORY_BYTES // 8},), dtype=int64)"
