"""Projected lengths are compared in a view of both studies with a scale of both, and else not."""

from types import SimpleNamespace as Fake

import pytest

from calcreport.study.analyse import _why_films_differ


def _film(view, scale="detector", side="left", part="HAND"):
    return Fake(view=Fake(position=view, laterality=side, body_part=part), scale=Fake(kind=Fake(value=scale)))


def _before(view, scale="detector", side="left", part="HAND"):
    film = Fake(sop_instance_uid="1", view=view, laterality=side, body_part=part, scale=scale)
    report = Fake(technique=Fake(films=(film,)))
    return Fake(location=Fake(films=(Fake(sop_instance_uid="1"),))), report


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (("AP",), ("AP",), ""),
        (("AP", "detector", None), ("AP",), ""),
        (("AP", "calibrated"), ("AP", "calibrated"), ""),
        (("AP",), ("LAT",), "no view"),
        ((None,), (None,), "no view"),
        (("AP", "detector", "left"), ("AP", "detector", "right"), "no view"),
        (("AP", "detector", "left", "HAND"), ("AP", "detector", "left", "FOOT"), "no view"),
        (("AP", "none"), ("AP", "none"), "scale"),
        (("AP", "calibrated"), ("AP", "detector"), "scale"),
    ],
)
def test_view_part_and_scale_must_agree(now, before, told) -> None:
    then, report = _before(*before)
    reason = _why_films_differ([_film(*now)], then, report)
    assert told in reason
    assert bool(reason) is bool(told)
