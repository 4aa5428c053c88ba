"""What places were worth on a day, in Dagster: a table by value of the limit's column, and a plot by hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from automation.plots import beside, image
from automation.policy.choice import PERSON
from automation.policy.limits.demand import HOURS, MINUTES, Demand

if TYPE_CHECKING:
    from automation.policy.choice import Choice
    from automation.policy.deciding import Weighed

COLUMNS = {
    "limit": "string",
    "of": "string",
    "usually want one": "float",
    "days that is of": "int",
    "wanted one": "int",
    "got one": "int",
    "worth, first": "float",
    "worth, most": "float",
}


def places(weighed: Weighed, choice: Choice) -> dict[str, dg.MetadataValue]:
    """``places`` (a table) and ``worth of a place LIMIT`` (a plot each) of limits whose places follow the day; nothing
    where none does. In dollars and local time."""
    records, plots = [], {}
    hour = np.array(weighed.day.minutes, dtype=np.int64) // MINUTES
    for number, limit in enumerate(weighed.declared.limits):
        if limit.follows is None:
            continue
        usual = weighed.day.usual.get(limit.wanted, Demand(0))
        wanted = weighed.demand.get(limit.wanted, Demand())
        group = np.array([uses[number].group for uses in weighed.uses], dtype=object)
        within = np.array([limit.limits(name, weighed.declared.safe_action) for name in weighed.names], dtype=bool)
        got = (choice.chosen != PERSON) & within[choice.chosen]
        # Those whom a place would save something, while there was one: of others nothing was asked.
        asked = [row for row in weighed.order if choice.asked[row, number]]
        hours = range(min(hour[asked], default=0), max(hour[asked], default=0) + 1)
        series = {}
        for of in sorted(set(group[asked]), key=str):
            rows = [row for row in asked if group[row] == of]
            worth = choice.worth[rows, number]
            records.append(
                dg.TableRecord(
                    {
                        "limit": limit.key,
                        "of": str(of),
                        "usually want one": round(usual.of(of).cases / max(1, usual.days), 1),
                        "days that is of": usual.days,
                        "wanted one": wanted.of(of).cases,
                        "got one": int(got[rows].sum()),
                        "worth, first": float(worth[0]),
                        "worth, most": float(worth.max()),
                    }
                )
            )
            by_hour = [worth[hour[rows] == at] for at in range(HOURS)]
            series[str(of)] = [float(by_hour[at].mean()) if by_hour[at].size else 0.0 for at in hours]
        title = f"What a place was worth by the hour: {limit.key}"
        plots[f"worth of a place: {limit.key}"] = image(
            beside([f"{at:02}" for at in hours], series, title, "dollars, mean of those who asked")
        )
    if not records:
        return {}
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in COLUMNS.items()])
    return {"places": dg.TableMetadataValue(records=records, schema=schema), **plots}
