"""Paths into nested values: get_in and transform."""

from pstructs import discard, freeze, get_in, inc, ny, rex

news = freeze(
    {
        "articles": [
            {"title": "rain", "views": 3, "draft": True},
            {"title": "sun", "views": 5},
        ],
        "weather": {"temp_c": 11, "temp_f": 52, "wind": "5 m/s"},
    }
)

assert get_in(["articles", 1, "title"], news) == "sun"
assert get_in(["articles", 7, "title"], news, "none") == "none"

after = news.transform(
    ["articles", ny, "views"], inc,  # in every article
    ["articles", 0, "draft"], discard,  # take it out
    ["weather", rex("temp_")], lambda t: t + 1,  # keys that match
    ["weather", "sky", "cloud"], 4,  # a map for "sky" is made
)  # fmt: skip
assert [a["views"] for a in after["articles"]] == [4, 6]
assert "draft" not in after["articles"][0]
assert after["weather"]["temp_c"] == 12 and after["weather"]["sky"] == {"cloud": 4}

# What did not change is the same object.
assert after.transform(["articles", ny, "views"], lambda v: v) is after
