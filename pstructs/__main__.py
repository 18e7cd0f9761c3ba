"""`python -m pstructs`: the command line."""

from pstructs.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
