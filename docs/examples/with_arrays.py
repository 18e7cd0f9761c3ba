"""numpy arrays, pandas frames and Arrow tables, in and out."""

import numpy as np
import pandas as pd
import pyarrow as pa

from pstructs import m, pmap, v
from pstructs.interop.numpy import from_arrays, from_numpy, to_arrays, to_numpy
from pstructs.interop.pandas import from_dataframe, from_series, to_dataframe, to_series
from pstructs.interop.pyarrow import from_table, to_table

# numpy: elements are an array; a map is an array of keys and one of values.
assert to_numpy(v(1, 2, 3), dtype="float32").sum() == 6
assert from_numpy(np.arange(3)) == v(0, 1, 2)
keys, values = to_arrays(pmap({7: 0.5, 8: 1.5}))
assert from_arrays(keys, values) == {7: 0.5, 8: 1.5}

# pandas: a map is a Series; records are the rows of a DataFrame.
prices = to_series(m(fig=3, pear=4), name="price")
assert from_series(prices) == m(fig=3, pear=4)

people = m(ada=m(born=1815, died=1852), alan=m(born=1912, died=1954))
frame = to_dataframe(people)
frame["age"] = frame["died"] - frame["born"]
assert from_dataframe(frame, by_index=True)["ada"]["age"] == 37
assert to_dataframe(m(x=v(1, 2), y=v(3, 4))).equals(to_dataframe([m(x=1, y=3), m(x=2, y=4)]))
assert isinstance(frame, pd.DataFrame)

# Arrow: nested types stay nested; a schema says what is a map and what is a struct.
schema = pa.schema([("name", pa.string()), ("tags", pa.map_(pa.string(), pa.int64()))])
rows = v(m(name="fig", tags=m(sweet=3)), m(name="pear", tags=pmap()))
assert from_table(to_table(rows, schema)) == rows
