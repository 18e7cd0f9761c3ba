"""Undo, redo and branches of an immutable state."""

from pstructs import History, pmap

history = History(pmap({"title": "", "body": ""}), max_steps=1000)


def edit(field, text):
    history.record(history.state.set(field, text), label=f"edit {field}")


edit("title", "Draft")
edit("body", "It was a dark night.")

assert history.undo()["body"] == ""
assert history.redo()["body"] == "It was a dark night."
assert history.can_undo and not history.can_redo  # for the buttons

# an edit after undo begins a branch; the other future stays
history.undo()
edit("body", "It was a bright morning.")
assert [end.state["body"] for end in history.branches()] == [
    "It was a dark night.",
    "It was a bright morning.",
]
night, morning = history.branches()
history.goto(night)
assert history.state["body"] == "It was a dark night."
history.goto(morning)

# many edits, one step
with history.group("replace all", rollback=True):
    for field in history.state:
        edit(field, history.state[field].replace("bright", "grey"))
assert [step.label for step in history.path()] == [
    "",
    "edit title",
    "edit body",
    "replace all",
]

# what changed between any two points, and where something began
assert history.diff(night).changed["body"] == ("It was a dark night.", "It was a grey morning.")
first = history.bisect(lambda state: "morning" in state["body"])
assert first is morning
