"""The actor behind a head, without a cluster: batches, bounds, memory, and two actors at once."""

from __future__ import annotations

import asyncio
import random
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from pstructs import m, pmap, pset, pvector
from pstructs.distributed import head_actor, head_log
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.head_actor import Answer, HeadActor, Opening, Write
from pstructs.distributed.head_merge import merge_changes
from pstructs.errors import MergeConflictError
from pstructs.packs import PackWriter


def image(value: Any) -> PackBuffer:
    return PackBuffer(PackWriter(value).image)


async def begun(initial: Any, **options: Any) -> HeadActor:
    actor = HeadActor(Opening("h", **options))
    await actor.about(image(initial))
    return actor


def send(actor: HeadActor, kind: str, value: Any, base: int = 1, write_id: str = "") -> Any:
    write = Write(write_id or uuid.uuid4().hex, kind, base, b"", image(value))
    return actor.write(write, None)


def test_merges_that_wait_share_a_version_and_an_exact_write_has_its_own() -> None:
    async def run() -> None:
        actor = await begun(m())
        row = actor._log.row
        merges = [
            actor.write(Write(f"m{i}", "merge", 1, row.pack, image(m().set(i, i))), None)
            for i in range(10)
        ]
        answers: list[Answer] = await asyncio.gather(*merges)
        assert {answer.outcome for answer in answers} == {"done"}
        assert {answer.number for answer in answers} == {2}
        assert actor._value == {i: i for i in range(10)}
        assert actor._log.row.writes == 10

        sets = [send(actor, "set", m(n=i), base=2) for i in range(5)]
        exact = await asyncio.gather(*sets, send(actor, "reset", m(r=1)))
        assert [a.outcome for a in exact] == ["done", *["moved"] * 4, "done"]
        assert [a.number for a in exact][::5] == [3, 4]
        assert actor._value == {"r": 1}

    asyncio.run(run())


def test_a_full_queue_is_refused_with_the_time_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_actor, "MOST_WAITING", 3)
    gate = threading.Event()

    async def run() -> None:
        actor = await begun(m(n=0), validator=lambda value: value["n"] == 0 or gate.wait(20))
        first = asyncio.ensure_future(send(actor, "reset", m(n=1)))
        while not actor._committing or actor._queue:
            await asyncio.sleep(0.01)  # it is being decided on now
        waiting = [asyncio.ensure_future(send(actor, "reset", m(n=2 + i))) for i in range(3)]
        await asyncio.sleep(0.01)
        refused = await send(actor, "reset", m(n=9))
        assert (refused.outcome, actor._value) == ("busy", {"n": 0})
        assert refused.detail > 0
        gate.set()
        answers = await asyncio.gather(first, *waiting)
        assert [answer.number for answer in answers] == [2, 3, 4, 5]

    asyncio.run(run())


def test_thousands_of_versions_take_no_more_memory_than_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head_log, "WHOLE_ABOVE", 50_000)
    monkeypatch.setattr(head_log, "KEEP_IDS", 500)

    async def run() -> None:
        actor = await begun(pmap({i: i for i in range(1000)}), keep=10)
        most = 0
        for i in range(2000):
            new = actor._value.set(i % 1000, -i)
            writer = PackWriter(new, importable=lambda pack: pack.owner is actor._log)
            row = actor._log.row
            write = Write(f"w{i}", "set", row.number, row.pack, PackBuffer(writer.image))
            assert (await actor.write(write, row.number)).outcome == "done"
            if i % 100 == 0:
                most = max(most, sum(kept.pack.nbytes for kept in actor._log._kept.values()))
        assert actor._log.row.number == 2001
        assert most < 200_000
        assert len(actor._log.applied) <= 500
        assert len(actor._log.born) <= 10

    asyncio.run(run())


def test_two_actors_on_one_store_lose_no_write(tmp_path: Path) -> None:
    """As after a partition: an actor that is taken for dead goes on beside the next one."""

    async def run() -> None:
        actors = [await begun(m(n=0), store=str(tmp_path)) for _ in range(2)]
        assert (await actors[0].read(None)).rows == (await actors[1].read(None)).rows
        done = 0
        choose = random.Random(5)
        for i in range(60):
            actor, other = choose.sample(actors, 2)
            row, value = actor._log.row, actor._value
            new = value.set("n", value["n"] + 1)
            write = Write(f"w{i}", "set", row.number, row.pack, image(new))
            answer = await actor.write(write, None)
            done += answer.outcome == "done"
            assert answer.outcome in ("done", "moved")
            if answer.outcome == "done" and choose.random() < 0.5:  # the reply was lost
                again = await other.write(write, None)
                assert (again.outcome, again.number) == ("again", answer.number)
        assert done > 10
        for actor in actors:
            await actor.read(None)
            assert actor._value == {"n": done}
            assert actor._log.row.number == done + 1

    asyncio.run(run())


def test_what_is_damaged_or_lost_is_refused_and_the_others_go_on() -> None:
    async def run() -> None:
        actor = await begun(m(n=0))
        good = bytes(PackWriter(m(n=1)).image)
        other = await begun(m(n=pmap({i: i for i in range(99)})))
        foreign = PackWriter(
            other._value.set("x", 1), importable=lambda pack: pack.owner is other._log
        )
        answers = await asyncio.gather(
            actor.write(Write("cut", "reset", 0, b"", PackBuffer(good[:40])), None),
            actor.write(Write("lost", "reset", 0, b"", PackBuffer(foreign.image)), None),
            actor.write(Write("good", "reset", 0, b"", PackBuffer(good)), None),
        )
        assert [answer.outcome for answer in answers] == ["refused", "missing", "done"]
        assert actor._value == {"n": 1}

    asyncio.run(run())


def changed(choose: random.Random, value: Any) -> tuple[Any, set[tuple[Any, ...]]]:
    """Some changes of a nested map, and the paths to them."""
    paths = set()
    for _ in range(choose.randrange(1, 4)):
        outer, inner = choose.choice("abc"), choose.randrange(4)
        if choose.random() < 0.3 and inner in value[outer]:
            value = value.set(outer, value[outer].remove(inner))
        else:
            value = value.set(outer, value[outer].set(inner, choose.random()))
        paths.add((outer, inner))
    return value, paths


@pytest.mark.parametrize("seed", range(200))
def test_a_merge_is_both_changes_or_a_conflict_that_names_the_places(seed: int) -> None:
    choose = random.Random(seed)
    base = pmap({k: pmap(dict.fromkeys(range(2), 0)) for k in "abc"})
    ours, our_paths = changed(choose, base)
    theirs, their_paths = changed(choose, base)
    shared = {
        (k, i)
        for k, i in our_paths & their_paths
        if all(side[k].get(i, -1) != base[k].get(i, -1) for side in (ours, theirs))
    }
    if shared:
        with pytest.raises(MergeConflictError) as caught:
            merge_changes(base, ours, theirs)
        assert {path for path, *_ in caught.value.conflicts} == shared
        return
    merged = merge_changes(base, ours, theirs)
    for k in "abc":
        for i in range(4):
            side = theirs if (k, i) in their_paths else ours
            expected = side[k].get(i) if (k, i) in our_paths | their_paths else base[k].get(i)
            if (k, i) in our_paths & their_paths:  # one of the two came back to the base
                expected = next(
                    (s[k].get(i) for s in (ours, theirs) if s[k].get(i) != base[k].get(i)),
                    base[k].get(i),
                )
            assert merged[k].get(i) == expected


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (pset([1]), pset([1, 2]), pset([1, 3]), pset([1, 2, 3])),
        (pset([1]), pset([1, 2]), pset([1, 2]), None),
        (pvector("abcd"), pvector("Xbcd"), pvector("abcY"), pvector("XbcY")),
        (pvector("abcd"), pvector("aXd"), pvector("abcdZ"), pvector("aXdZ")),
        (pvector("ab"), pvector("abx"), pvector("abx"), None),
        (pvector("abcd"), pvector("aXYd"), pvector("abZd"), None),
        (m(a=1), m(a=2), m(a=2), None),
        (m(a=1), m(), m(), None),
        (m(), m(a=m(x=1)), m(a=m(y=1)), None),
        (m(a=m()), m(a=m(x=1)), m(a=m(y=1)), m(a=m(x=1, y=1))),
        (m(a=1), m(a=True), m(b=1, a=1), m(a=True, b=1)),
        (1, 2, 3, None),
        (m(), pvector(), m(a=1), None),
    ],
)
def test_merges_of_all_kinds(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    if merged is None:
        with pytest.raises(MergeConflictError):
            merge_changes(base, ours, theirs)
    else:
        assert merge_changes(base, ours, theirs) == merged
