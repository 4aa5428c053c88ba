"""The switches as boolean flags of OpenFeature (openfeature.dev/specification): true is on, false is off.

| flag | is of |
|---|---|
| ``WORKLOAD.decides`` | the workload |
| ``WORKLOAD.action.NAME`` | an action |
| ``WORKLOAD.model.7`` | a model version |

The evaluation context says as of which day, in its attribute ``day`` (ISO 8601: 2013-06-01). Who switched it off and
why is in the flag's metadata (``by``, ``why``). Every evaluation reads the ledger: nothing is kept.

OpenFeature's clients answer with the caller's default where a provider fails, where there is none, and where a hook of
the application does. So whoever acts on a flag gives False as default: what cannot be known to be on is off. What the
ledger does not know (a workload, an action of the day's policy, a model version of the rollout) is no flag, hence off.
"""

from __future__ import annotations

import hashlib
from datetime import date
from threading import Lock
from typing import TYPE_CHECKING, NoReturn

import psycopg2
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, GeneralError, InvalidContextError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider
from openfeature.provider.metadata import Metadata

from automation.errors import WarrantError
from automation.ledger import store
from automation.policy import activation
from automation.rollout.machine import rollout
from automation.switches import standing as standings
from automation.switches.switch import WORKLOAD, Kind, Off, Switch, SwitchedOff, of_action, of_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from openfeature.client import OpenFeatureClient
    from openfeature.flag_evaluation import FlagEvaluationDetails, FlagValueType

    from automation.ledger.store import Ledger
    from automation.settings import Settings

DECIDES = "decides"
ON, OFF = "on", "off"
UNREAD = "warrant"
"""By whom a switch is off that could not be read."""
_REGISTERING = Lock()


class LedgerFlags(AbstractProvider):
    """OpenFeature's provider over the ledger of some settings."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._name = domain(settings)

    def get_metadata(self) -> Metadata:
        return Metadata(name=self._name)

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: ARG002 - the client gives it back, where this raises
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Whether a switch is on.

        Raises:
            InvalidContextError: the context has no day.
            FlagNotFoundError: the ledger knows no such switch.
            GeneralError: the ledger cannot be read.
        """
        day = _day(evaluation_context)
        try:
            with store.opened(self._settings) as ledger:
                workload, switch = self._found(ledger, flag_key, day)
                off = standings.standing(ledger, workload).off(day).get(switch)
        except (WarrantError, psycopg2.Error) as error:
            raise GeneralError(f"the ledger cannot be read: {' '.join(str(error).split())}") from error
        # By these an answer is told from one of another provider, or of another day.
        answered: dict[str, bool | int | float | str] = {"provider": self._name, "day": day.isoformat()}
        if off is None:
            return FlagResolutionDetails(True, reason=Reason.STATIC, variant=ON, flag_metadata=answered)
        answered |= {"by": off.by, "why": off.why}
        return FlagResolutionDetails(False, reason=Reason.DISABLED, variant=OFF, flag_metadata=answered)

    def _found(self, ledger: Ledger, flag_key: str, day: date) -> tuple[str, Switch]:
        workload, switch = parsed(flag_key)
        change = activation.standing(ledger, workload).in_force(day)
        if change is None or change.version is None:
            raise FlagNotFoundError(f"no policy of {workload} decides {day}")
        if switch.kind is Kind.ACTION:
            declared = activation.kept(self._settings, change.version).declared
            if switch.name not in {action.name for action in declared.actions}:
                raise FlagNotFoundError(f"the policy of {workload} that decides {day} has no action {switch.name}")
        if switch.kind is Kind.MODEL and int(switch.name) not in rollout(ledger, workload).versions:
            raise FlagNotFoundError(f"no {switch} of {workload} was ever registered")
        return workload, switch

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,  # noqa: ARG002 - OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - OpenFeature's signature
    ) -> FlagResolutionDetails[str]:
        _not_boolean(flag_key)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,  # noqa: ARG002 - OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - OpenFeature's signature
    ) -> FlagResolutionDetails[int]:
        _not_boolean(flag_key)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,  # noqa: ARG002 - OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - OpenFeature's signature
    ) -> FlagResolutionDetails[float]:
        _not_boolean(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],  # noqa: ARG002 - OpenFeature's signature
        evaluation_context: EvaluationContext | None = None,  # noqa: ARG002 - OpenFeature's signature
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        _not_boolean(flag_key)


def flag(workload: str, switch: Switch) -> str:
    """The key of a switch's flag."""
    return f"{workload}.{DECIDES}" if switch == WORKLOAD else f"{workload}.{switch.kind}.{switch.name}"


def parsed(flag_key: str) -> tuple[str, Switch]:
    """The workload and the switch of a flag's key.

    Raises:
        FlagNotFoundError: it is no such key.
    """
    match flag_key.split(".", 2):
        case [workload, "decides"]:
            return workload, WORKLOAD
        case [workload, (Kind.ACTION | Kind.MODEL) as kind, name]:
            try:
                return workload, Switch(Kind(kind), name)
            except WarrantError as error:
                raise FlagNotFoundError(error.message) from error
        case _:
            raise FlagNotFoundError(
                f"{flag_key} is no flag: WORKLOAD.{DECIDES}, WORKLOAD.action.NAME and WORKLOAD.model.VERSION are"
            )


def client(settings: Settings) -> OpenFeatureClient:
    """An ordinary client of these flags. Its provider is registered for a domain of its own: whatever provider the
    application has stays the application's.
    """
    named = domain(settings)
    with _REGISTERING:
        # Registered anew, a provider is not ready for an instant: another thread's question would find it so.
        if api.get_provider_metadata(named).name != named:
            api.set_provider_and_wait(LedgerFlags(settings), named)
    return api.get_client(named)


def domain(settings: Settings) -> str:
    """OpenFeature's domain for the ledger of these settings: of two databases in one process, two."""
    address = settings.database_url.get_secret_value() if settings.database_url else ""
    place = f"{settings.home.resolve()}\n{address}"
    return f"warrant {hashlib.sha256(place.encode()).hexdigest()[:12]}"


def off_on(settings: Settings, workload: str, actions: Iterable[str], models: Iterable[int], day: date) -> Off:
    """What is off on a day: of a workload, some actions and some model versions. What cannot be read is off.

    Asked before every run that decides; and to be asked before every effect.
    """
    asking, switches = client(settings), [WORKLOAD, *map(of_action, actions), *map(of_model, models)]
    context = EvaluationContext(attributes={"day": day.isoformat()})
    found = (
        _off(switch, asking.get_boolean_details(flag(workload, switch), False, context), domain(settings), day)
        for switch in switches
    )
    return Off.of(each for each in found if each is not None)


def _off(switch: Switch, answer: FlagEvaluationDetails[bool], provider: str, day: date) -> SwitchedOff | None:
    """None where our provider said of this day, without any error, that it is on."""
    said = answer.flag_metadata
    ours = not answer.error_code and (said.get("provider"), said.get("day")) == (provider, day.isoformat())
    if ours and answer.value is True and answer.variant == ON:
        return None
    if ours and {"by", "why"} <= said.keys():
        return SwitchedOff(switch, str(said["by"]), str(said["why"]))
    why = answer.error_message or answer.error_code or "the answer is not of this ledger and day"
    return SwitchedOff(switch, UNREAD, f"whether it is on could not be read ({why})")


def _day(context: EvaluationContext | None) -> date:
    given = context.attributes.get("day") if context else None
    try:
        return date.fromisoformat(given) if isinstance(given, str) else _no_day(given)
    except ValueError:
        return _no_day(given)


def _no_day(given: object) -> NoReturn:
    raise InvalidContextError(f"the context's attribute day is {given!r:.60}; it is a day such as '2013-06-01'")


def _not_boolean(flag_key: str) -> NoReturn:
    raise TypeMismatchError(f"{flag_key} is a boolean: true where it is on")
