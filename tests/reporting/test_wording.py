"""Ids and names as people read them."""

from __future__ import annotations

from pipelines.reporting.wording import shorten_ids, to_printable


def test_ids_that_differ_are_shown_differently() -> None:
    """Long ids lose their middle, and no more of it than tells them apart; short ones are whole."""
    begins_alike = ["sess_019f3a" + "0" * 20 + end for end in ("3bd41c", "3bd41d")]
    ends_alike = ["sess_019f3a" + middle + "0" * 20 for middle in ("a1", "b1", "b2")]
    long, short = "x" * 10_000, "sess_1"
    cut = "sess_019f3a…3bd41c"
    shown = shorten_ids([*begins_alike, *ends_alike, long, short, cut])
    assert shown[begins_alike[1]] == "sess_019f3a…3bd41d"
    assert (shown[short], shown[cut], len(shown[long])) == (short, cut, 18)
    assert len(set(shown.values())) == len(shown)
    assert max(map(len, shown.values())) <= 36


def test_names_of_any_script_are_shown_as_they_are() -> None:
    """Spaces and joiners of any script are shown; what commands a terminal is not."""
    for name in ("請求書\u3000照合", "نمی\u200cرم", "👩\u200d💻 ops", "12\u202f000\xa0€", "a b"):
        assert to_printable(name) == name
    hostile = "\x1b\x07\r\n\t\x85\x9b\u2028\u202e\u2066\ufeff\ud800"
    assert to_printable(hostile) == "�" * len(hostile)
