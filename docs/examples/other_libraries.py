"""Values of other libraries: in with freeze, back with convert."""

import pyrsistent

from pstructs import convert, freeze, thaw

theirs = pyrsistent.pmap({"tags": pyrsistent.v("a", "b"), "seen": {1, 2}})
ours = freeze(theirs)  # PMap, PVector and PSet, all the way down
assert ours.set("n", 1) == {"tags": ["a", "b"], "seen": {1, 2}, "n": 1}

assert thaw(ours) == thaw(theirs) == {"tags": ["a", "b"], "seen": {1, 2}}

back = convert(ours, "pyrsistent")
assert isinstance(back, pyrsistent.PMap) and isinstance(back["tags"], pyrsistent.PVector)
