"""The ``warrant`` command.

A subcommand is one line of `COMMANDS`: its name, the ``module:attribute`` that holds its click command,
and the line that ``warrant --help`` shows; commands about one thing are a `Group` of such lines. Modules are imported
only when their command is called, so that help and completion answer at once although some commands import for
seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from automation.errors import WarrantError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Entry:
    """Where a subcommand lives (``module:attribute``) and its line in the help of the group it is in."""

    target: str
    summary: str


@dataclass(frozen=True)
class Group:
    """Subcommands about one thing, its line in ``warrant --help`` and an example for its own."""

    summary: str
    example: str
    entries: Mapping[str, Entry]


COMMANDS: dict[str, Entry | Group] = {
    "up": Entry("automation.servers.up:command", "Start the database, the Dagster UI and daemon, and MLflow."),
    "down": Entry("automation.servers.down:command", "Stop what `warrant up` started."),
    "status": Entry("automation.servers.status:command", "Show which servers run, and where."),
    "demo": Entry("automation.demo:command", "Decide real days within a few minutes and print the scorecard."),
    "replay": Entry("automation.replay:command", "Replay days in order, as the schedules would have run them."),
    "backfill": Entry("automation.replay:backfill_command", "Ingest days and compute their features, month by month."),
    "land": Entry("automation.landing.commands:land", "Take a file into a workload's feed."),
    "deliveries": Entry("automation.landing.commands:listed", "List the files that were taken in, with the verdicts."),
    "scorecard": Entry("automation.scorecard:command", "Say what the decided days came to."),
    "explain": Entry("automation.explanation.commands:explain_command", "Say why a case was decided as it was."),
    "replay-decision": Entry(
        "automation.explanation.commands:replay_command", "Make a past decision again and compare it, byte for byte."
    ),
    "contract": Group(
        "Contracts: what they promise, let through and hold back.",
        "warrant contract counts --workload flight_disruption",
        {
            "lint": Entry("automation.contract.lint:command", "Say what is wrong with contracts, by file and line."),
            "export": Entry("automation.contract.export:command", "Print what one contract is compiled to."),
            "page": Entry("automation.contract.page:command", "Write the documentation page of every contract."),
            "counts": Entry(
                "automation.contract.counts:command", "Count the rows of every table: valid, and quarantined by rule."
            ),
            "consumers": Entry(
                "automation.contract.consumers:command", "Say who reads a column: features, model, policy, decisions."
            ),
            "diff": Entry("automation.contract.diff:command", "Say what changed between two versions, and for whom."),
            "check": Entry("automation.contract.check:command", "Check published versions and honest numbers, for CI."),
            "publish": Entry("automation.contract.publish:command", "Publish a contract under its version number."),
            "quarantine": Entry(
                "automation.contract.quarantine:command", "Show the rows that are held, with the rules they broke."
            ),
            "replay": Entry(
                "automation.contract.replay:command", "Judge held rows again and release those that pass now."
            ),
        },
    ),
    "features": Group(
        "Features: which there are and what they are like, what is served of a case now.",
        "warrant features status --workload flight_disruption",
        {
            "list": Entry("assets.catalogue.commands:list_command", "List the views, their owners and contracts."),
            "show": Entry("assets.catalogue.commands:show", "Show one view: its features and what it promises."),
            "check": Entry(
                "assets.catalogue.commands:check", "Check the views, and that live models read what they did."
            ),
            "statistics": Entry("assets.catalogue.commands:statistics", "Show what values were like, day by day."),
            "get": Entry("assets.online.commands:get", "Show the features of a case as the online store has them."),
            "push": Entry("assets.online.commands:push", "Let events of a feed change what is served, at once."),
            "status": Entry("assets.online.commands:status", "Say what is served: records, and up to when."),
            "rebuild": Entry("assets.online.commands:rebuild", "Make the online store anew from the lakehouse."),
        },
    ),
    "data": Group(
        "Tables: their versions, and which of them are kept.",
        "warrant data history weather --workload flight_disruption",
        {
            "history": Entry("automation.upkeep.commands:history", "List a table's versions, and what refers to each."),
            "restore": Entry("automation.upkeep.commands:restore", "Bring a feed's table back to a good version."),
            "compact": Entry("automation.upkeep.commands:compact", "Make small files one."),
            "retain": Entry("automation.upkeep.commands:retain", "Remove days and versions that need not be kept."),
        },
    ),
    "policy": Group(
        "Policy: what may be decided, by whom, since when, and what another would have decided.",
        "warrant policy list --workload flight_disruption",
        {
            "lint": Entry("automation.policy.commands:lint", "Say whether a policy's files can be used."),
            "show": Entry("automation.policy.commands:show", "Show a policy: costs, limits, rules, authorization."),
            "list": Entry("automation.policy.commands:list_command", "List what decided or shadowed, and since when."),
            "backtest": Entry("automation.policy.commands:backtest", "Say what a candidate would have changed."),
            "shadow": Entry("automation.policy.commands:shadow", "Have a candidate decide beside, to no effect."),
            "activate": Entry("automation.policy.commands:activate", "Have a policy decide, from a day on."),
            "rollback": Entry("automation.policy.commands:rollback", "Have the policy before decide again."),
        },
    ),
    "model": Group(
        "Models: which version decides, why another does not, and the way back.",
        "warrant model list --workload flight_disruption",
        {
            "list": Entry("automation.rollout.commands:list_command", "List the versions, and where each is."),
            "show": Entry(
                "automation.rollout.commands:show", "Show a version: what happened to it, what it is pinned to."
            ),
            "promote": Entry("automation.rollout.commands:promote", "Have a version that passed its gates decide."),
            "abort": Entry("automation.rollout.commands:abort", "Take a version out of the running."),
            "rollback": Entry(
                "automation.rollout.commands:rollback", "Have the version before decide again, as it was."
            ),
            "explain": Entry("automation.rollout.commands:explain", "Say why a version is live, or is not."),
        },
    ),
    "drift": Group(
        "Drift: what is known of the world changing, and what was decided about retraining.",
        "warrant drift show --workload flight_disruption",
        {
            "show": Entry(
                "automation.drift.commands:show", "Show what each channel knows, and why a model was retrained or not."
            ),
            "compare": Entry(
                "automation.drift.commands:compare", "Compare what was done with retraining never, monthly, or oftener."
            ),
        },
    ),
    "switch": Group(
        "Switches: a workload, one of its actions or models, off and on again.",
        "warrant switch list --workload flight_disruption",
        {
            "list": Entry("automation.switches.commands:list_command", "List what is off, by whom and why."),
            "off": Entry("automation.switches.commands:off", "Switch off, from a day on."),
            "on": Entry("automation.switches.commands:on", "Switch on again, from a day on."),
        },
    ),
    "export": Entry("automation.ledger.commands:export", "Write a case's warrant: its decision, proved, in one file."),
    "verify": Entry("automation.ledger.commands:verify_file", "Check a warrant with the log's public key alone."),
    "ledger": Group(
        "Ledger: what happened, in order, signed and provable.",
        "warrant ledger verify",
        {
            "status": Entry("automation.ledger.commands:status", "Say how long the log is and what is signed."),
            "show": Entry("automation.ledger.commands:show", "Show a stream's events."),
            "audit": Entry("automation.ledger.commands:audit", "Show what happened between two instants."),
            "prove": Entry("automation.ledger.commands:prove", "Write a file that proves an event."),
            "verify": Entry("automation.ledger.commands:verify_log", "Verify the whole ledger, and say what was done."),
            "reconcile": Entry("automation.ledger.commands:reconcile", "Compare decisions and ledger, both ways."),
            "checkpoint": Entry("automation.ledger.commands:checkpoint", "Print the newest signed head."),
            "sign": Entry("automation.ledger.commands:sign", "Sign what waits, have it cosigned, anchor it."),
            "publish": Entry("automation.ledger.commands:publish", "Write the log as plain files, to be served."),
            "keys": Entry("automation.ledger.commands:keys", "Print the log's public keys."),
            "rotate": Entry("automation.ledger.commands:rotate", "Put a new signing key in the old one's place."),
            "witness": Entry("automation.ledger.commands:witness", "Run a witness that cosigns logs."),
        },
    ),
    "gate": Group(
        "Gates: how they stand, and waivers of those that failed.",
        "warrant gate list --workload flight_disruption --failed",
        {
            "list": Entry("automation.gates.commands:list_command", "Show how every gate stands, by table and day."),
            "waive": Entry(
                "automation.gates.commands:waive_command", "Let what lies under a failed gate go on, until a day."
            ),
            "revoke": Entry("automation.gates.commands:revoke_command", "End a waiver now."),
        },
    ),
    "alert": Group(
        "Alerts: what fails, who is told, and whether the telling works.",
        "warrant alert list --open",
        {
            "list": Entry("automation.alerts.commands:list_command", "List what fails now and what has recovered."),
            "send": Entry("automation.alerts.commands:send_command", "Deliver the alerts that wait."),
            "test": Entry("automation.alerts.commands:test_command", "Send a test message to every sink."),
            "acknowledge": Entry("automation.alerts.commands:acknowledge_command", "Say who looks after an alert."),
        },
    ),
    "doctor": Entry("automation.servers.doctor:command", "Check this installation and say how to repair it."),
}


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is called, not before."""

    def __init__(self, *arguments: Any, entries: Mapping[str, Entry | Group], **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        match self._entries.get(cmd_name):
            case Entry(target=target):
                module, attribute = target.split(":")
                return getattr(import_module(module), attribute)
            case Group() as group:
                words = f"{group.summary}\n\n\b\nExample:\n  {group.example}"
                return LazyGroup(cmd_name, help=words, entries=group.entries)
            case None:
                return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._entries.items()])


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="warrant")
def warrant() -> None:
    """Automated decisions that carry their proof.

    \b
    Start here:
      warrant doctor     is this machine ready?
      warrant up         start everything, print where each UI is
      warrant status     what runs, and where
      warrant down       stop everything

    State lies in the folder WARRANT_HOME (.warrant by default). Every command has its own --help with
    an example.
    """


def main() -> None:
    """Run the command line. An error of ours is one plain message and exit code 1, never a traceback."""
    try:
        warrant(prog_name="warrant")
    except WarrantError as error:
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.message}\n{error.remedy}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
