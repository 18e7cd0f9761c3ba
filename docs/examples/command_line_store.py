"""A store made by `pstructs import`, read from Python."""

from pathlib import Path

from pstructs.cache import SnapshotStore
from pstructs.cli import main

main(["import", str(Path(__file__).with_name("peaks.csv")), "peaks"])

with SnapshotStore("peaks") as store:
    peaks = store.load("main")

assert peaks["K2"]["metres"] == "8611"
print(len(peaks), "peaks")
