"""numpy: arrays in and out.

Collections in memory hold Python objects, arrays hold numbers: both directions copy, and elements
come back as Python's own numbers. Numbers in a saved vector are arrays already: `numpy_chunks`
gives views of them, and `to_numpy` copies them without making objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pstructs._core import PVector, _vector_chunks, pmap
from pstructs.interop.kinds import vectors
from pstructs.interop.rows import unique

if TYPE_CHECKING:
    import numpy as np

__all__ = ["from_arrays", "from_numpy", "numpy_chunks", "to_arrays", "to_numpy"]


def to_numpy(collection: Iterable[Any], dtype: Any = None) -> np.ndarray[Any, Any]:
    """Return the elements of a vector, a set or another collection as an array.

    Parameters
    ----------
    collection : iterable
        Elements; of a map, its keys: see `to_arrays`.
    dtype : numpy dtype, optional
        As for `numpy.array`, which finds one by itself otherwise.

    Returns
    -------
    numpy.ndarray
        Of one dimension, always: elements that are sequences become objects.

    Notes
    -----
    Cost: O(n). The order is that of iteration.

    Examples
    --------
    >>> from pstructs import s
    >>> to_numpy(s(2.5), dtype="float32")
    array([2.5], dtype=float32)
    """
    import numpy as np

    if isinstance(collection, PVector):
        joined = _join(numpy_chunks(collection), dtype)
        if joined is not None:
            return joined
    elements = list(collection)
    try:
        array = np.array(elements, dtype)
    except ValueError:
        if dtype is not None:
            raise
        array = None
    if array is not None and array.ndim == 1:
        return array
    if dtype is not None and np.dtype(dtype) != object:
        raise ValueError(f"elements that are sequences are no elements of dtype {dtype}")
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def _join(chunks: list[np.ndarray[Any, Any]], dtype: Any) -> np.ndarray[Any, Any] | None:
    """Return one array of chunks that are numbers of one type; None when they are not.

    A cast that may lose something is left to `numpy.array`, which looks at each number.
    """
    import numpy as np

    saved = {chunk.dtype for chunk in chunks if not chunk.dtype.hasobject}
    if len(saved) != 1:
        return None
    (found,) = saved
    wanted = found if dtype is None else np.dtype(dtype)
    if wanted.hasobject or not np.can_cast(found, wanted):
        return None
    parts = []
    for chunk in chunks:
        if chunk.dtype.hasobject:  # a few elements at either end: the vector holds them itself
            try:
                chunk = np.array(chunk.tolist())
            except ValueError:
                return None
            if chunk.dtype != found or chunk.ndim != 1:
                return None
        parts.append(chunk)
    return np.concatenate(parts, dtype=wanted)


def numpy_chunks(vector: PVector[Any]) -> list[np.ndarray[Any, Any]]:
    """Return the elements of a vector as arrays that follow each other.

    Where numbers were saved, the array is a read-only view of the pack, with no copy: 32 elements
    of int64, float64 or bool each. Elsewhere, and for a few elements at either end that every
    vector holds itself, it is an array of objects.

    Parameters
    ----------
    vector : PVector
        A vector; views come from one that was loaded.

    Notes
    -----
    Cost: O(n / 32) for a loaded vector of numbers, O(n) otherwise.

    Examples
    --------
    >>> from pstructs import pvector
    >>> from pstructs.packs import dumps, loads
    >>> saved = loads(dumps(pvector(i / 2 for i in range(64))))
    >>> sum(chunk.sum() for chunk in numpy_chunks(saved))
    np.float64(1008.0)
    """
    import numpy as np

    arrays = []
    for chunk in _vector_chunks(vector):
        if isinstance(chunk, memoryview):
            arrays.append(np.frombuffer(chunk, chunk.format))
        else:
            array = np.empty(len(chunk), object)
            array[:] = chunk
            arrays.append(array)
    return arrays


def from_numpy(array: np.ndarray[Any, Any]) -> Any:
    """Return an array as a vector of Python values; of two dimensions, as a vector of vectors.

    Parameters
    ----------
    array : numpy.ndarray
        Of at least one dimension.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> import numpy
    >>> from_numpy(numpy.arange(3))
    pvector([0, 1, 2])
    """
    if array.ndim == 0:
        raise ValueError("an array without dimensions is no vector; use array.item()")
    return vectors(array.tolist())


def to_arrays(
    mapping: Mapping[Any, Any], key_dtype: Any = None, value_dtype: Any = None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the keys and the values of a map as two arrays of one order.

    Parameters
    ----------
    mapping : Mapping
        A map.
    key_dtype, value_dtype : numpy dtype, optional
        As for `to_numpy`.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> from pstructs import pmap
    >>> to_arrays(pmap({7: 0.5}))
    (array([7]), array([0.5]))
    """
    return to_numpy(mapping, key_dtype), to_numpy(mapping.values(), value_dtype)


def from_arrays(
    keys: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    make: Callable[[dict[Any, Any]], Any] = pmap,
) -> Any:
    """Return a map of an array of keys and an array of values.

    Parameters
    ----------
    keys : numpy.ndarray
        Of one dimension, without duplicates.
    values : numpy.ndarray
        Of the same length; rows of more dimensions become vectors.
    make : callable
        Makes the map of a dict: `pmap` or another collection's constructor.

    Raises
    ------
    ValueError
        When the lengths differ or a key is there twice.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> import numpy
    >>> from_arrays(numpy.array([7]), numpy.array([0.5]))
    pmap({7: 0.5})
    """
    if keys.ndim != 1 or values.ndim == 0 or len(keys) != len(values):
        raise ValueError(f"keys of shape {keys.shape} don't go with values of {values.shape}")
    labels = unique(keys.tolist(), "the key")
    return make(dict(zip(labels, map(vectors, values.tolist()), strict=True)))
