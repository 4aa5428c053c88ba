"""A workload as declared in its defs.yaml: feeds, derived tables, model, actions with their costs, objectives.

These models are what the component reads and what every stage is handed. A field that is misspelt, missing or
contradicts another is refused when the code location loads, with the line it stands on.
"""

from __future__ import annotations

import importlib
import importlib.util
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automation.calendar import Calendar
from automation.drift.plan import DriftPlan
from automation.engines.engine import EngineName
from automation.policy.limits.declared import AnyLimit, contradictions
from automation.rollout.plan import RolloutPlan
from contracts.document import Contract, load_folder

if TYPE_CHECKING:
    from types import ModuleType

PLATFORM_CONTRACTS = "platform"


class Stage(StrEnum):
    """The stages every workload passes, in order."""

    RAW = "raw"
    FEATURES = "features"
    TRAINING = "training"
    SUBMITTED = "submitted"
    SCORING = "scoring"
    DECISIONS = "decisions"
    OUTCOMES = "outcomes"
    MONITORING = "monitoring"
    UPKEEP = "upkeep"


class Delivery(StrEnum):
    """How a feed's table arrives: day by day as facts become known, or whole."""

    DAILY = "daily"
    WHOLE = "whole"


class Source(StrEnum):
    """What delivers a feed's table: a function of feed.py and whatever lands, or only files that land."""

    FEED = "feed"
    LANDING = "landing"


class Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CalendarSpec(Declared):
    """The days the data covers: ``end`` is the first day after them."""

    start: date
    end: date
    timezone: str


class FeedTable(Declared):
    """A table that the workload's ``feed.py`` delivers through a function of the same name, or that only lands."""

    table: str
    delivery: Delivery = Delivery.DAILY
    source: Source = Source.FEED

    @model_validator(mode="after")
    def _daily_if_landing(self) -> Self:
        if self.source is Source.LANDING and self.delivery is not Delivery.DAILY:
            raise ValueError(f"{self.table} only lands, and files add to a table's days: its delivery must be daily")
        return self


class DerivedTable(Declared):
    """A table that a function of the same name in ``features.py`` computes from others."""

    table: str
    reads: tuple[str, ...] = Field(min_length=1)
    lookback_days: int = Field(default=0, ge=0, description="How many earlier days of its inputs it reads.")


class FeatureSpec(Declared):
    service: str
    views: tuple[DerivedTable, ...]


class ModelSpec(Declared):
    """The registered model's name and what a candidate must be better than."""

    name: str
    contract: str = Field(description="Contract of the feature vector: what the model may see.")
    exclude: tuple[str, ...] = Field(default=(), description="Columns of the vector the model does not see.")
    seed: int = 7
    rule_feature: str = Field(description="The feature the stated simple rule decides by: the higher, the worse.")
    rule_fallback: float = Field(default=0.0, description="What the rule assumes where the feature is not known.")
    calibration_error_limit: float = Field(default=0.05, gt=0, lt=1)
    leak_auc_limit: float = Field(default=0.95, gt=0.5, le=1)
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)


class Action(Declared):
    name: str
    cost: float = Field(ge=0, description="Dollars the action costs for each unit at stake.")
    mitigates: float = Field(ge=0, le=1, description="Share of the harm that the action spares.")
    says: str = Field(description="The action in words.")


class Stake(Declared):
    """How many units a case puts at stake: a feature times a factor, with what is assumed where it is missing."""

    unit: str
    feature: str
    factor: float = Field(gt=0)
    otherwise: float = Field(gt=0, description="The feature's value assumed where it is not known.")


class Policy(Declared):
    """What actions cost and spare, and how often they may be taken.

    With the files of the workload's folder ``policy/``, which say what may be done and who may do it, it is the whole
    policy (`automation.policy.bundle`).
    """

    stake: Stake
    harm: float = Field(gt=0, description="Dollars a bad outcome costs for each unit at stake, if nothing is done.")
    actions: tuple[Action, ...] = Field(min_length=2)
    safe_action: str
    limits: tuple[AnyLimit, ...] = ()
    assumptions: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [action.name for action in self.actions]
        if len(set(names)) != len(names):
            raise ValueError(f"two actions share a name: {', '.join(names)}")
        if self.safe_action not in names:
            raise ValueError(f"safe_action names the action {self.safe_action!r}, which is none of {', '.join(names)}")
        for problem in contradictions(self.limits, names, self.safe_action):
            raise ValueError(problem)
        return self

    def action(self, name: str) -> Action:
        return next(action for action in self.actions if action.name == name)


class Objectives(Declared):
    """What the workload promises; the scorecard and monitoring say whether it is kept."""

    automation_rate: float = Field(gt=0, le=1)
    calibration_error: float = Field(gt=0, lt=1)


class WorkloadSpec(Declared):
    """Everything a defs.yaml declares."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str
    owners: tuple[str, ...] = Field(min_length=1)
    calendar: CalendarSpec
    case_key: str
    feeds: tuple[FeedTable, ...] = Field(min_length=1)
    migrations: tuple[DerivedTable, ...] = Field(
        default=(), description="Other majors of the feeds' tables, each computed by its function in migrations.py."
    )
    cases: DerivedTable
    labels: DerivedTable
    features: FeatureSpec
    model: ModelSpec
    policy: Policy
    objectives: Objectives
    rollout: RolloutPlan = Field(default=RolloutPlan(), description="How a version that passed its gates goes live.")
    drift: DriftPlan | None = Field(
        default=None, description="What is watched of the champion's inputs and losses, and when it is retrained."
    )
    engine: EngineName | None = Field(
        default=None, description="What computes the derived tables, unless WARRANT_ENGINE says otherwise."
    )
    retrain_day: int | None = Field(
        default=1,
        ge=1,
        le=28,
        description="Day of the month on which the model is retrained, whatever happens. None: on no day.",
    )

    @model_validator(mode="after")
    def _wired(self) -> Self:
        feeds = {feed.table for feed in self.feeds}
        daily = {feed.table for feed in self.feeds if feed.delivery is Delivery.DAILY}
        for migrated in self.migrations:
            if migrated.table in feeds:
                raise ValueError(f"the migration {migrated.table} has the name of a table that is there already")
            for name in migrated.reads:
                if name not in daily:
                    raise ValueError(
                        f"the migration {migrated.table} reads {name!r}, which is neither a feed with days "
                        f"nor a migration before it: {', '.join(sorted(daily))}"
                    )
            feeds.add(migrated.table)
            daily.add(migrated.table)
        for derived in (self.cases, self.labels, *self.features.views):
            for name in derived.reads:
                if name not in feeds:
                    raise ValueError(f"{derived.table} reads {name!r}, which is no feed: {', '.join(sorted(feeds))}")
        return self

    @property
    def daily_raw_tables(self) -> tuple[str, ...]:
        """The raw tables that have days: those the feed delivers so, and their other majors."""
        delivered = [feed.table for feed in self.feeds if feed.delivery is Delivery.DAILY]
        return (*delivered, *(migrated.table for migrated in self.migrations))

    @property
    def derived_tables(self) -> dict[str, tuple[DerivedTable, str]]:
        """Every table that the workload's own code computes, with the module that holds its function."""
        from_raw = (self.cases, self.labels, *self.features.views)
        return {
            **{migrated.table: (migrated, "migrations") for migrated in self.migrations},
            **{derived.table: (derived, "features") for derived in from_raw},
        }


class Workload:
    """A declared workload with its code and contracts at hand."""

    def __init__(self, spec: WorkloadSpec, package: str, contracts_root: Path) -> None:
        """``package`` is the import path of the workload's folder, which holds feed.py, features.py, model.py."""
        self.spec = spec
        self.package = package
        self._contracts_root = contracts_root

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def calendar(self) -> Calendar:
        given = self.spec.calendar
        return Calendar(start=given.start, end=given.end, timezone=given.timezone)

    @cached_property
    def contracts(self) -> dict[str, Contract]:
        """The workload's contracts by table, and the platform's for the tables every workload has."""
        return {
            **load_folder(self._contracts_root / PLATFORM_CONTRACTS),
            **load_folder(self._contracts_root / self.name),
        }

    def contract(self, table: str) -> Contract:
        try:
            return self.contracts[table]
        except KeyError:
            raise MissingContractError(
                f"The workload {self.name} has no contract for its table {table}. "
                f"Write contracts/{self.name}/{table}.odcs.yaml."
            ) from None

    def promising(self, contract: Contract) -> Workload:
        """The same workload as it were if ``contract`` were that of its table."""
        other = Workload(self.spec, self.package, self._contracts_root)
        other.__dict__["contracts"] = {**self.contracts, contract.name: contract}
        return other

    @cached_property
    def model_features(self) -> tuple[str, ...]:
        """The columns a model sees, in the order of the feature vector's contract."""
        return self.seen_of(self.contract(self.spec.model.contract))

    def seen_of(self, vector: Contract) -> tuple[str, ...]:
        """The columns of a feature vector that a model sees, in the order of its contract."""
        hidden = {*vector.key, "event_time", *self.spec.model.exclude}
        return tuple(column.name for column in vector.columns if column.name not in hidden)

    @cached_property
    def policy_folder(self) -> Path:
        """Where the files of the workload's policy lie, beside its defs.yaml."""
        found = importlib.util.find_spec(self.package)
        assert found is not None  # noqa: S101 - its defs.yaml was read from there
        assert found.submodule_search_locations is not None  # noqa: S101
        return Path(next(iter(found.submodule_search_locations))) / "policy"

    def module(self, name: str) -> ModuleType:
        """One of the workload's modules, imported when it is needed: feed, migrations, features or model."""
        return importlib.import_module(f"{self.package}.{name}")


class MissingContractError(Exception):
    """A table has no contract."""
