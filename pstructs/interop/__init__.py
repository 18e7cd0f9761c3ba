"""Persistent collections beside other libraries, one module for each.

- `pstructs.interop.json`: the standard library's `json`, and orjson,
- `pstructs.interop.msgspec`: hooks for msgspec,
- `pstructs.interop.numpy`, `pstructs.interop.pandas`, `pstructs.interop.pyarrow`: arrays,
  data frames and tables in and out.

pydantic, IPython and Rich need no import: they ask the collections themselves. Importing a module
of this package never imports the library that it is for; calling its functions does.
`pip install 'pstructs[interop]'` brings all of them.
"""
