"""A toy lineage whose gates fail on demand, its event log, and an outbox in a real embedded Postgres."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from pydantic import SecretStr

from automation import database, gates
from automation.alerts import watch
from automation.alerts.sinks import DeliveryError, Message
from automation.settings import Settings

DAYS = dg.DailyPartitionsDefinition(start_date="2013-01-01", end_date="2013-01-08")
ARRIVALS, LABELS, PLANS = (dg.AssetKey(["toy", name]) for name in ("arrivals", "labels", "plans"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Toy:
    """What the next run of the toy will do: days whose gate fails, with the words; days on which a step raises."""

    failing: dict[str, str] = field(default_factory=dict)
    raising: dict[str, str] = field(default_factory=dict)
    warning: set[str] = field(default_factory=set)

    @property
    def definitions(self) -> dg.Definitions:
        @dg.asset(
            key=ARRIVALS,
            partitions_def=DAYS,
            owners=["flight-data@example.com"],
            check_specs=gates.specs(ARRIVALS, [gates.CONTRACT], DAYS),
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def arrivals(context: dg.AssetExecutionContext):
            yield dg.MaterializeResult()
            judged = [
                gates.Judgement(
                    gates.CONTRACT,
                    passed=day not in self.failing,
                    says=self.failing.get(day, "All 4 rows keep arrivals 1.0.0."),
                    partition=day,
                    metadata=EVIDENCE,
                )
                for day in context.partition_keys
            ]
            yield from gates.record(context, ARRIVALS, judged)

        @dg.asset(
            key=LABELS,
            deps=[ARRIVALS],
            partitions_def=DAYS,
            owners=["team:analysts"],
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def labels(context: dg.AssetExecutionContext) -> None:
            for day in context.partition_keys:
                if day in self.raising:
                    raise ZeroDivisionError(self.raising[day])

        @dg.asset(key=PLANS, deps=[LABELS], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
        def plans() -> None: ...

        return dg.Definitions(
            assets=[arrivals, labels, plans], jobs=[dg.define_asset_job("toy_daily")], executor=dg.in_process_executor
        )

    def run(self, instance: dg.DagsterInstance, first: str, last: str | None = None) -> str:
        """Runs the job for a day or a range. Returns the run's id."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
        result = self.definitions.resolve_job_def("toy_daily").execute_in_process(
            instance=instance, partition_key=None if last else first, tags=tags, raise_on_error=False
        )
        return result.run_id


EVIDENCE = {
    "rows in": 4,
    "quarantined": 3,
    "rules broken": dg.TableMetadataValue(
        records=[dg.TableRecord({"rule": "delay: maximum 1440", "rows": 3})],
        schema=dg.TableSchema([dg.TableColumn("rule", "string"), dg.TableColumn("rows", "int")]),
    ),
    "first rejected rows": dg.TableMetadataValue(
        records=[
            dg.TableRecord({"rules": "delay: maximum 1440", "row": f'{{"carrier":"AA","delay":900{n}}}'})
            for n in range(4)
        ],
        schema=dg.TableSchema([dg.TableColumn("rules", "string"), dg.TableColumn("row", "string")]),
    ),
}


@dataclass
class Inbox:
    """A sink that keeps what it takes, and takes nothing while it is broken."""

    name: str
    broken: bool = False
    messages: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.broken:
            raise DeliveryError("The inbox is broken.", remedy="Mend it.")
        self.messages.append(message)

    @property
    def subjects(self) -> list[str]:
        return [message.alert.subject for message in self.messages]


@dataclass
class Watcher:
    """Looks and delivers at a time of its own."""

    settings: Settings
    instance: dg.DagsterInstance
    toy: Toy
    inboxes: list[Inbox]
    time: datetime = NOON

    def __call__(self, after: timedelta = timedelta()) -> watch.Watched:
        self.time += after
        repository = self.toy.definitions.get_repository_def()
        names = [inbox.name for inbox in self.inboxes]
        made = watch.look(self.settings, self.instance, repository, names, self.time)
        return watch.deliver(self.settings, self.inboxes, lambda: self.time, raised=len(made))


@pytest.fixture(autouse=True)
def _own_environment(own_environment: None) -> None:
    """Every test here has the environment to itself."""


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running, prepared embedded database."""
    chosen = Settings(home=tmp_path_factory.mktemp("alerts") / "home", database_url=None)
    database.prepare(chosen)
    yield chosen
    database.stop(chosen)


@pytest.fixture
def settings(served: Settings) -> Settings:
    """The database without any alerts in it."""
    with database.connect(served) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS alert_deliveries, alert_messages, alerts, alert_position")
    return served


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox("inbox")


@pytest.fixture
def watcher(settings: Settings, instance: dg.DagsterInstance, toy: Toy, inbox: Inbox) -> Watcher:
    return Watcher(settings, instance, toy, [inbox])


@pytest.fixture
def secret() -> Callable[[str], SecretStr]:
    return SecretStr
