"""Ways to retrain, compared: what the days that were decided would have come to, had the model been trained once, each
month, each week or each day. Asked for, month by month; nothing follows from it (``warrant drift compare``).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg
import polars as pl
from pydantic import Field

from assets.stages.decisions import DECISIONS
from assets.stages.declaration import days_before, declared
from assets.stages.drift import decided_days, table_of
from assets.stages.feature_store import FeatureStoreResource
from assets.stages.past import Past
from assets.stages.training import LABEL, fit, labelled_cases
from assets.stages.vectors import vectors
from automation import gates
from automation.calendar import Days
from automation.drift.worth.ways import RETRAINING_WAYS, Came, Way, read, rows, starts
from automation.engines.choice import chosen_engine
from automation.evaluation import auc
from automation.lakehouse import Lakehouse
from automation.ledger import store
from automation.models import Model
from automation.plots import bars, image
from automation.policy.costs import costs
from automation.resources import LakehouseResource, ModelRegistryResource
from automation.settings import settings
from automation.workload import Policy, Stage, Workload


class Asked(dg.Config):
    """Which ways are compared (`Way`)."""

    ways: list[str] = Field(default=[Way.NEVER.value, Way.MONTHLY.value], min_length=1)


def build(workload: Workload) -> list[dg.AssetsDefinition]:
    return [] if workload.spec.drift is None else [_retraining_ways(workload)]


def _retraining_ways(workload: Workload) -> dg.AssetsDefinition:
    name, calendar = workload.name, workload.calendar

    @gates.gated_asset(
        **declared(
            workload,
            Stage.MONITORING,
            RETRAINING_WAYS,
            kinds={"lightgbm", "deltalake"},
            description="What a month would have come to, had the model been retrained in other ways.",
            deps=[days_before(workload, DECISIONS, 0)],
            by=dg.MonthlyPartitionsDefinition(
                start_date=calendar.start.replace(day=1).isoformat(),
                end_date=(calendar.end.replace(day=1) + timedelta(days=32)).replace(day=1).isoformat(),
                timezone=calendar.timezone,
            ),
            range_runs=False,
            automated=False,
            optional=[DECISIONS],
        )
    )
    def retraining_ways(
        context: dg.AssetExecutionContext,
        config: Asked,
        lakehouse: LakehouseResource,
        feature_store: FeatureStoreResource,
        models: ModelRegistryResource,
    ) -> dg.MaterializeResult:
        lake, month = lakehouse.open(), date.fromisoformat(context.partition_key)
        ways = [Way(each) for each in config.ways]
        known = sorted(lake.counts(name, DECISIONS)) if lake.exists(name, DECISIONS) else []
        inside = [day for day in known if day.replace(day=1) == month]
        if not inside:
            return dg.MaterializeResult(metadata={"says": f"No case was decided in {month:%B %Y}."})
        of_month = Days(inside[0], inside[-1])
        usable = _usable(workload, lake, feature_store, of_month.last)
        with store.opened(models.settings) as ledger:
            past = Past(workload, lake, models.settings, ledger, decided_days(lake, workload, models.settings))
            retold = _Retold(past, usable, Days(known[0], of_month.last), context.log.info)
            found = [retold.came_to(way, of_month) for way in ways]
        had = [each for each in read(lake, name, Days.one(month)) if each.way not in ways]
        lake.replace_days(name, RETRAINING_WAYS, rows([*had, *found]), Days.one(month))
        told = [
            {"way": each.way.value, "AUC": round(each.auc or math.nan, 4), "saved": round(each.saved)} for each in found
        ]
        saved = {each.way.value: round(each.saved / 1000) for each in found}
        return dg.MaterializeResult(
            metadata={
                "says": "; ".join(f"retrained {each.way.value}: ${each.saved:,.0f} saved" for each in found),
                "days": f"{of_month.first} to {of_month.last}",
                **table_of("ways", told),
                "saved": image(bars(saved, f"Saved against doing nothing, {month:%B %Y}", "thousand dollars")),
            }
        )

    return retraining_ways


def _usable(workload: Workload, lake: Lakehouse, feature_store: FeatureStoreResource, last: date) -> pl.DataFrame:
    """The usable vectors of all cases up to a day: joined once, they serve every training set that a case is in.
    Month by month, to hold little at a time."""
    opened = feature_store.open(chosen_engine(workload, settings()))
    months = Days(workload.calendar.start, last).months()
    cases = (lake.read(workload.name, workload.spec.cases.table, month) for month in months)
    return pl.concat([vectors(opened, workload, each).usable for each in cases])


@dataclass
class _Retold:
    """The days that were decided, up to the end of the month that is asked for, told again for each way."""

    past: Past
    usable: pl.DataFrame
    days: Days
    say: Callable[[str], None]
    models: dict[date, tuple[Model, float]] = field(default_factory=dict)

    def came_to(self, way: Way, month: Days) -> Came:
        """What the way would have come to in a month."""
        days = starts(way, self.days)
        since, model, trained, seconds, parts = None, None, 0, 0.0, []
        labels = self.past.days.labels(month.first, self.past.workload.calendar.days().last)
        for day, _, policy in self.past.decided(month.first, month.last):
            as_of = max(each for each in days if each <= day)
            if model is None or as_of != since:
                since, (model, took) = as_of, self._trained(as_of)
                # The days of a month begin with the first that was decided: a model may be as of one before it.
                if as_of >= month.first.replace(day=1):
                    trained, seconds = trained + 1, seconds + took
            made = self.past.made(model, day, policy)
            parts.append(_saved(made, labels, policy.declared))
        outcomes = pl.concat(parts)
        scored = outcomes.drop_nulls("probability")
        is_told = 0 < scored["label"].sum() < scored.height
        found = auc(scored["probability"].to_numpy(), scored["label"].cast(pl.Int8).to_numpy()) if is_told else None
        saved = float(outcomes["saved"].sum())
        self.say(f"retrained {way.value}: ${saved:,.0f} saved from {month.first} to {month.last}, {trained} trained")
        return Came(way, month.first, month.last, outcomes.height, found, saved, trained, seconds)

    def _trained(self, as_of: date) -> tuple[Model, float]:
        """The recipe's model of all that was known as of a day, and the seconds it took. Ways share them."""
        if as_of not in self.models:
            workload, key = self.past.workload, self.past.workload.spec.case_key
            labelled = labelled_cases(self.past.lake, workload, as_of).select(key, LABEL)
            rows = labelled.join(self.usable, on=key, how="inner", maintain_order="left")
            self.say(f"a model as of {as_of}, of {rows.height:,} cases")
            began = time.perf_counter()
            self.models[as_of] = fit(workload, rows).model, time.perf_counter() - began
        return self.models[as_of]


def _saved(made: pl.DataFrame, labels: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """What the decisions saved against doing nothing, of cases with an outcome: probability, label and dollars."""
    known = made.join(labels, on="case_key", how="inner", maintain_order="left")
    realised = costs(known["label"].cast(pl.Float64).to_numpy(), known["stake"].to_numpy(), policy)
    column = known["action"].replace_strict(
        {action: number for number, action in enumerate(realised.actions)}, return_dtype=pl.Int64
    )
    nothing = realised.values[:, realised.actions.index(policy.safe_action)]
    saved = nothing - realised.of(column.to_numpy())
    return known.select("probability", "label").with_columns(saved=pl.Series(saved, dtype=pl.Float64))
