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
