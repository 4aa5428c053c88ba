"""A model is pinned to what its service's views meant when it was trained."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from feature_repo.pins import changed, view_digests


def test_what_a_view_means_is_pinned_and_what_it_says_of_itself_is_not(store) -> None:
    from feast import Field
    from feast.types import Int64

    before = view_digests(store, "variants_on_demand")
    assert set(before) == {"variants_gale", "variants_weather"}
    assert view_digests(store, "variants_on_demand") == before
    view = store.get_feature_view("variants_weather")
    on_demand, service = (
        store.get_on_demand_feature_view("variants_gale"),
        store.get_feature_service("variants_on_demand"),
    )

    def applied(change) -> dict[str, str]:
        other = copy.copy(view)
        change(other)
        store.apply([other, on_demand, service])
        return view_digests(store, "variants_on_demand")

    assert changed(before, applied(lambda v: setattr(v, "description", "Other words."))) == []
    assert changed(before, applied(lambda v: setattr(v, "ttl", timedelta(hours=4)))) == ["variants_weather"]
    more = [*view.features, Field(name="rain", dtype=Int64)]
    assert changed(before, applied(lambda v: setattr(v, "features", more))) == ["variants_weather"]


def test_views_that_are_gone_or_new_are_changes_too() -> None:
    assert changed({"a": "1", "b": "2"}, {"b": "2", "c": "3"}) == ["a", "c"]


def test_a_service_pins_its_views_with_the_names_it_gives_them(store) -> None:
    assert set(view_digests(store, "variants_route")) == {"origin", "dest"}


def test_a_champion_of_other_views_scores_nothing() -> None:
    from datetime import date

    from assets.stages.scoring import FeatureViewChangedError, _refuse_other_views
    from automation.rollout.promotion import Champion

    champion = Champion("toy", 3, "digest", date(2013, 1, 1))
    _refuse_other_views({"a": "1"}, {"a": "1"}, champion)
    _refuse_other_views({}, {"a": "1"}, champion)
    with pytest.raises(FeatureViewChangedError, match="a means something else now than when toy version 3 was trained"):
        _refuse_other_views({"a": "1"}, {"a": "2"}, champion)
