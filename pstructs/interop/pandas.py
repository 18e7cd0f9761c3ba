"""pandas: Series and DataFrames in and out.

A Series is a map from its index to its values; a DataFrame is a vector of records, or a map from
its index to records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pstructs._core import pmap
from pstructs.interop.kinds import vectors
from pstructs.interop.rows import columns_of, rows_of, unique

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_dataframe", "from_series", "to_dataframe", "to_series"]


def to_series(collection: Iterable[Any], **options: Any) -> pd.Series[Any]:
    """Return a map, a vector or a set as a Series.

    Parameters
    ----------
    collection : collection
        The keys of a map become the index.
    **options
        Passed on to `pandas.Series`: `dtype`, `name`...

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> from pstructs import m
    >>> to_series(m(a=1), name="n").to_dict()
    {'a': 1}
    """
    import pandas as pd

    if isinstance(collection, Mapping):
        return pd.Series(dict(collection), **options)
    return pd.Series(list(collection), **options)


def from_series(series: pd.Series[Any], make: Callable[[dict[Any, Any]], Any] = pmap) -> Any:
    """Return a Series as a map from its index to its values.

    Parameters
    ----------
    series : pandas.Series
        Its index must not have duplicates. `pvector(series.tolist())` leaves it out.
    make : callable
        Makes the map of a dict: `pmap` or another collection's constructor.

    Raises
    ------
    ValueError
        When a label is in the index twice.

    Notes
    -----
    Cost: O(n).

    Examples
    --------
    >>> import pandas
    >>> from_series(pandas.Series([1.5], index=["a"]))
    pmap({'a': 1.5})
    """
    labels = unique(series.index.tolist(), "the label")
    return make(dict(zip(labels, series.tolist(), strict=True)))


def to_dataframe(data: Any, **options: Any) -> pd.DataFrame:
    """Return records or columns as a DataFrame.

    Parameters
    ----------
    data : collection
        A vector, set or other iterable of records; a map to records, whose keys become the
        index; or a map from names to columns, which are sequences. A record is a mapping,
        a `PClass`, a dataclass or a named tuple.
    **options
        Passed on to `pandas.DataFrame`: `columns`, `dtype`...

    Raises
    ------
    TypeError
        When `data` is none of these.

    Notes
    -----
    Cost: O(cells).

    Examples
    --------
    >>> from pstructs import m
    >>> to_dataframe(m(ada=m(born=1815), alan=m(born=1912))).loc["ada", "born"].item()
    1815
    """
    import pandas as pd

    columns = columns_of(data)
    if columns is not None:
        return pd.DataFrame(columns, **options)
    rows = rows_of(data)
    if rows.labels is None:
        return pd.DataFrame(rows.records, **options)
    return pd.DataFrame(rows.records, index=pd.Index(rows.labels), **options)


def from_dataframe(frame: pd.DataFrame, by_index: bool = False) -> Any:
    """Return the rows of a DataFrame as records, which are maps.

    Parameters
    ----------
    frame : pandas.DataFrame
        With one level of columns, without duplicates.
    by_index : bool
        False: a vector of records. True: a map from the label in the index to the record.

    Raises
    ------
    ValueError
        When a column, or with `by_index` a label, is there twice.

    Notes
    -----
    Cost: O(cells). Numbers become Python's own; missing values stay as pandas has them.

    Examples
    --------
    >>> import pandas
    >>> from_dataframe(pandas.DataFrame({"n": [1, 2]}, index=["a", "b"]), by_index=True)["b"]
    pmap({'n': 2})
    """
    unique(frame.columns.tolist(), "the column")
    records = [pmap(record) for record in frame.to_dict("records")]
    if not by_index:
        return vectors(records)
    labels = unique(frame.index.tolist(), "the label")
    return pmap(dict(zip(labels, records, strict=True)))
