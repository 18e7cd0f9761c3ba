"""The commands of `pstructs`, one idea a module. Only `pstructs.cli` imports this package."""
