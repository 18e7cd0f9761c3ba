"""Many actors edit one document: changes at different places merge, the others are made again."""

import ray

from pstructs import m, pmap, v
from pstructs.distributed import Head, head

ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
)

# [document]
chapters = pmap({f"chapter {n}": m(title=f"Chapter {n}", lines=v(), words=0) for n in range(4)})
document = head("document", m(chapters=chapters, edits=0), merge=True)


def write(value, chapter: str, line: str):
    text = value["chapters"][chapter]
    text = text.set("lines", text["lines"].append(line))
    text = text.set("words", text["words"] + len(line.split()))
    return value.set("chapters", value["chapters"].set(chapter, text))


# [editors]
@ray.remote(num_cpus=0)
class Editor:
    def __init__(self, document: Head, name: str, chapter: str) -> None:
        self.document, self.name, self.chapter = document, name, chapter

    def work(self, lines: int) -> None:
        for n in range(lines):
            self.document.swap(write, self.chapter, f"{self.name} wrote line {n}")


# two editors a chapter: those of different chapters merge, those of one take turns
editors = [Editor.remote(document, f"ed{n}", f"chapter {n % 4}") for n in range(8)]
ray.get([editor.work.remote(10) for editor in editors], timeout=120)
# [result]
text = document.value["chapters"]
assert [len(text[f"chapter {n}"]["lines"]) for n in range(4)] == [20] * 4
assert all(chapter["words"] == 20 * 4 for chapter in text.values())
for n in range(8):  # each editor's lines are there, in their order
    mine = [line for line in text[f"chapter {n % 4}"]["lines"] if line.startswith(f"ed{n} ")]
    assert mine == [f"ed{n} wrote line {i}" for i in range(10)]

done = document.stats()
assert done["writes"] == 80
print(f"{done['version'] - 1} commits for 80 edits, {done['merged']} merged, ", end="")
print(f"{done['conflicts']} made again")
# [end]
document.end()
ray.shutdown()
