"""Policies as pure functions: what stays of a list of versions at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs.cache.retention import KeepLast, KeepPeriods, KeepWithin, Period, Policy, keep


class Saved(NamedTuple):
    number: int
    time: int


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


NOW = at("2026-11-24T12:00:00")
YEARS = 3 * 365 * 24 * 3600 * 10**9

histories = st.lists(st.integers(NOW - YEARS, NOW), max_size=60).map(
    lambda times: [Saved(n + 1, t) for n, t in enumerate(sorted(times))]
)
counts = st.integers(0, 12)
rules = st.one_of(
    st.builds(KeepLast, counts),
    st.builds(KeepWithin, st.timedeltas(timedelta(0), timedelta(days=900))),
    st.builds(KeepPeriods, st.sampled_from(["hour", "day", "week", "month", "year"]), counts),
)
policies = st.recursive(
    rules,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a | b, inner, inner), st.builds(lambda a, b: a & b, inner, inner)
    ),
    max_leaves=5,
)


@given(histories, st.integers(0, 70))
def test_keep_last_keeps_the_newest(history: list[Saved], count: int) -> None:
    kept = KeepLast(count).keeps(history, NOW)
    assert sorted(kept) == [v.number for v in history][max(0, len(history) - count) :]


@given(histories, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_keep_within_keeps_what_is_not_older(history: list[Saved], age: timedelta) -> None:
    oldest = NOW - (age // timedelta(microseconds=1)) * 1000
    assert set(KeepWithin(age).keeps(history, NOW)) == {
        v.number for v in history if v.time >= oldest
    }


SPANS: dict[Period, str] = {"hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m", "year": "%Y"}


@given(histories, st.sampled_from(sorted(SPANS)), counts)
def test_keep_periods_keeps_the_newest_of_each_of_the_last_periods(
    history: list[Saved], period: Period, count: int
) -> None:
    newest: dict[str, int] = {}
    for version in history:
        name = datetime.fromtimestamp(version.time // 10**9, UTC).strftime(SPANS[period])
        newest[name] = version.number  # the last one stays
    wanted = sorted(newest.values(), reverse=True)[:count]
    assert set(KeepPeriods(period, count).keeps(history, NOW)) == set(wanted)


@given(histories, policies, policies)
def test_or_keeps_what_either_keeps_and_and_what_both_do(
    history: list[Saved], a: Policy, b: Policy
) -> None:
    left, right = set(a.keeps(history, NOW)), set(b.keeps(history, NOW))
    assert set((a | b).keeps(history, NOW)) == left | right
    assert set((a & b).keeps(history, NOW)) == left & right


@given(histories, policies)
def test_a_policy_is_a_function_of_what_it_is_given(history: list[Saved], policy: Policy) -> None:
    kept = policy.keeps(history, NOW)
    assert policy.keeps(history[::-1], NOW) == kept
    assert kept.keys() <= {v.number for v in history}
    assert all(kept.values()), "every version that stays has a reason"


@given(histories, policies.filter(lambda policy: "Both" not in repr(policy)))
def test_what_stays_now_stays_when_the_rest_is_gone(history: list[Saved], policy: Policy) -> None:
    """So that running the same policy twice expires nothing more."""
    kept = policy.keeps(history, NOW)
    rest = [v for v in history if v.number in kept]
    assert policy.keeps(rest, NOW).keys() == kept.keys()


def test_a_pause_costs_no_daily_version() -> None:
    days = ["2026-01-01T08:00", "2026-01-01T09:00", "2026-06-01T08:00", "2026-11-24T07:00"]
    history = [Saved(n + 1, at(day)) for n, day in enumerate(days)]
    assert sorted(keep(daily=2).keeps(history, NOW)) == [3, 4]
    assert sorted(keep(daily=3).keeps(history, NOW)) == [2, 3, 4]


def test_weeks_begin_on_monday() -> None:
    history = [Saved(1, at("2026-11-22T23:00")), Saved(2, at("2026-11-23T01:00"))]
    assert sorted(keep(weekly=5).keeps(history, NOW)) == [1, 2]


def test_reasons_name_the_rules() -> None:
    history = [Saved(1, at("2026-11-01T08:00")), Saved(2, at("2026-11-24T08:00"))]
    kept = keep(last=1, yearly=2, within=timedelta(days=1)).keeps(history, NOW)
    assert kept == {2: "last 1, within 1 day, 0:00:00, yearly 2"}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: keep(), ValueError),
        (lambda: keep(last=-1), ValueError),
        (lambda: keep(last=True), TypeError),
        (lambda: keep(daily=1.5), TypeError),  # type: ignore[arg-type]
        (lambda: KeepWithin(timedelta(-1)), ValueError),
        (lambda: KeepWithin(3), TypeError),  # type: ignore[arg-type]
        (lambda: KeepPeriods("decade", 1), ValueError),  # type: ignore[arg-type]
        (lambda: KeepLast(1) | 2, TypeError),  # type: ignore[operator]
    ],
)
def test_what_makes_no_policy_is_refused(call: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()  # type: ignore[operator]
