"""First steps: what changed, and bringing changes together."""

from pstructs import diff, merge, patch, pmap

base = pmap({"ada": 1815, "alan": 1912, "grace": 1906})
ours = base.set("edsger", 1930)
theirs = base.set("alan", 1913).remove("ada")

changes = diff(base, theirs)
assert changes.changed == {"alan": (1912, 1913)}
assert changes.removed == {"ada": 1815}
assert changes.added == {}
assert patch(base, changes) == theirs

both = merge(base, ours, theirs)
assert both == {"alan": 1913, "grace": 1906, "edsger": 1930}
