"""Benchmarks of pstructs beside its rivals; see asv_bench/README.md."""
