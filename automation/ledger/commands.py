"""`warrant ledger status | show | audit | prove | verify | reconcile | sign | checkpoint | publish | keys | rotate |
witness`, `warrant export` and `warrant verify`."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automation.errors import WarrantError
from automation.options import JSON, WORKLOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from automation.ledger.store import Event, Ledger
    from automation.settings import Settings
    from warrant_verify import Key

FILE = click.Path(dir_okay=False, path_type=Path)


class UnknownEventError(WarrantError):
    """The ledger has no such event."""


@contextmanager
def _opened() -> Iterator[tuple[Settings, Ledger]]:
    from automation import database
    from automation.ledger import store
    from automation.settings import settings

    chosen = settings()
    database.prepare(chosen)
    with store.opened(chosen) as ledger:
        yield chosen, ledger


@click.command("status")
@JSON
def status(as_json: bool) -> None:
    """Say how long the log is, what its newest signed head covers, and who signs and cosigns.

    \b
    Example:
      warrant ledger status --json

    Exit code 0: everything is signed. 1: events wait for a signature.
    """
    from automation.ledger import custody, sequencing

    with _opened() as (_, ledger):
        head, waiting = sequencing.newest(ledger), sequencing.waiting(ledger)
        signs = custody.current(ledger)
        told: dict[str, Any] = {
            "size": head.size if head else 0,
            "root": head.root.hex() if head else None,
            "waiting": waiting,
            "key": str(signs) if signs else None,
            "signatures": [name for name, _ in head.signatures] if head else [],
            "streams": len(ledger.streams()),
        }
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{told['size']} events in {told['streams']} streams are signed, {waiting} wait.")
        if head:
            click.echo(f"  root   {told['root']}\n  key    {told['key']}\n  signed by {', '.join(told['signatures'])}")
    raise SystemExit(1 if waiting else 0)


@click.command("show")
@click.argument("stream", required=False)
@JSON
def show(stream: str | None, as_json: bool) -> None:
    """Show a stream's events in order; without a stream, the streams there are.

    \b
    Example:
      warrant ledger show decisions/flight_disruption/2013-01-11
    """
    with _opened() as (_, ledger):
        if stream is None:
            every = ledger.streams()
            if as_json:
                click.echo(json.dumps([{"stream": name, "version": version} for name, version in every], indent=2))
                return
            for name, version in every:
                click.echo(f"{version:>6}  {name}")
            return
        events = _events(ledger, stream)
    _print(events, as_json=as_json)


def _events(ledger: Ledger, stream: str) -> list[Event]:
    found = ledger.events(stream)
    if not found:
        raise UnknownEventError(f"The ledger has no stream {stream}.", remedy="`warrant ledger show` lists them.")
    return found


def _print(events: list[Event], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{**event.said, "position": event.position} for event in events], indent=2))
        return
    for event in events:
        at = "waits" if event.position is None else f"leaf {event.position}"
        data = json.dumps(event.data, ensure_ascii=False)
        click.echo(f"{event.said['time']}  {event.stream} {event.version}  {event.type}  ({at})\n  {data}")


@click.command("audit")
@click.option("--from", "first", required=True, help="First instant or day (ISO 8601; UTC where no zone is given).")
@click.option("--to", "last", required=True, help="Last instant or day; a day counts whole.")
@click.option("--stream", "prefix", default="", help="Streams whose name begins so. By default all.")
@JSON
def audit(first: str, last: str, prefix: str, as_json: bool) -> None:
    """Give an auditor the sequence of what happened, as the ledger has it.

    \b
    Example:
      warrant ledger audit --from 2026-11-01 --to 2026-11-30 --stream decisions/
    """
    begins, ends = _instant(first, end=False), _instant(last, end=True)
    with _opened() as (_, ledger):
        events = ledger.between(begins, ends, prefix)
    _print(events, as_json=as_json)
    if not as_json:
        click.echo(f"{len(events)} events from {first} to {last}.")


def _instant(text: str, *, end: bool) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no instant: write 2026-11-25 or 2026-11-25T12:00:00Z.") from None
    if len(text) == len("2026-11-25") and end:
        found = found.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command("prove")
@click.argument("stream")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--out", type=FILE, required=True, help="The file to write.")
def prove(stream: str, version: int, out: Path) -> None:
    """Write a file that proves an event, to anybody who has the log's public key.

    \b
    Example:
      warrant ledger prove decisions/flight_disruption/2013-01-11 1 --out proof.json
      warrant verify proof.json --key KEY
    """
    from automation.ledger import proofs

    with _opened() as (_, ledger):
        found = [event for event in _events(ledger, stream) if event.version == version]
        if not found:
            raise UnknownEventError(f"{stream} has no version {version}.", remedy=f"`warrant ledger show {stream}`")
        data = proofs.of_event(ledger, found[0])
    out.write_bytes(data)
    click.echo(f"wrote {out}: {len(data)} bytes.")


@click.command("export")
@click.argument("case")
@WORKLOAD
@click.option("--out", type=FILE, help="The file to write; by default the case's key with .warrant.json.")
def export(case: str, name: str, out: Path | None) -> None:
    """Write the warrant of a case: its decision with its evidence, proved by the ledger, in one file.

    Whoever has the file and the log's public key needs nothing else: `warrant verify`, or warrant_verify.py alone.

    \b
    Example:
      warrant export 2013-01-11:9E3314:JFK --workload flight_disruption --out case.warrant.json
    """
    from automation.lakehouse import Lakehouse
    from automation.ledger import proofs

    with _opened() as (chosen, ledger):
        data = proofs.of_decision(ledger, Lakehouse(chosen.lakehouse), name, case)
    out = out or Path(f"{case.replace(':', '_').replace('/', '_')}.warrant.json")
    out.write_bytes(data)
    click.echo(f"wrote {out}: {len(data)} bytes.")


@click.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", "by", required=True, help="The log's public key, name+id+key, from a source you trust.")
@click.option("--witness", "witnesses", multiple=True, help="A witness that must have cosigned; again for more.")
@JSON
def verify_file(file: Path, by: str, witnesses: tuple[str, ...], as_json: bool) -> None:
    """Check a file of `warrant export` or `warrant ledger prove`. It needs no database and no network.

    \b
    Example:
      warrant verify case.warrant.json --key "warrant+0a1b2c3d+AZ..."

    Exit code 0: all of it is proved. 1: it is not; the message says why.
    """
    import warrant_verify

    arguments = [str(file), "--key", by, *(part for witness in witnesses for part in ("--witness", witness))]
    raise SystemExit(warrant_verify.main([*arguments, *(["--json"] if as_json else [])]))


@click.command("verify")
@click.option(
    "--key",
    "given",
    multiple=True,
    help="A public key that signed; again for older ones. By default those that "
    "the ledger names: enough against accidents, not against who may write to the database.",
)
@click.option(
    "--seen",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A checkpoint that lies elsewhere, or a folder of them: an anchor's, a witness's. Again for more.",
)
@JSON
def verify_log(given: tuple[str, ...], seen: tuple[Path, ...], as_json: bool) -> None:
    """Verify the whole ledger: each event, leaf, tile and signature, and that nothing is missing.

    A log that was cut off, or written anew by who holds its key, is right by itself: --seen finds it.

    \b
    Example:
      warrant ledger verify --key "warrant+0a1b2c3d+AZ..." --seen /mnt/anchor

    Exit code 0: it is right. 1: it is not, with what was done and where.
    """
    from automation.ledger import custody, verification

    with _opened() as (_, ledger):
        keys = [_key(text) for text in given] or custody.public_keys(ledger)
        with _bar() as progress:
            found = verification.verify(ledger.connection, keys, verification.elsewhere(seen), progress)
    if as_json:
        told = {"size": found.size, "signed": found.signed, "waiting": found.waiting, "root": found.root.hex()}
        findings = [{"fault": each.fault.value, "says": each.says} for each in found.findings]
        click.echo(json.dumps(told | {"findings": findings}, indent=2))
    else:
        for each in found.findings:
            click.echo(f"{each.fault.value}: {each.says}")
        click.echo(
            f"{found.size} events, {found.signed} of them signed, {found.waiting} waiting: "
            + ("right." if found.right else f"{len(found.findings)} faults.")
        )
    raise SystemExit(0 if found.right else 1)


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _key(text: str) -> Key:
    from warrant_verify import VerificationError, key

    try:
        return key(text)
    except VerificationError as error:
        raise click.BadParameter(str(error)) from None


@click.command("reconcile")
@WORKLOAD
@JSON
def reconcile(name: str, as_json: bool) -> None:
    """Compare decisions and ledger, in both directions: a proof never shows that something was left out.

    \b
    Example:
      warrant ledger reconcile --workload flight_disruption

    Exit code 0: they say the same. 1: they do not, with the days.
    """
    from automation.lakehouse import Lakehouse
    from automation.ledger import decisions

    with _opened() as (chosen, ledger):
        found = list(decisions.reconcile(ledger, Lakehouse(chosen.lakehouse), name))
    if as_json:
        click.echo(json.dumps([{"day": each.day.isoformat(), "says": each.says} for each in found], indent=2))
    else:
        for each in found:
            click.echo(f"{each.day}: {each.says}.")
        click.echo(f"{len(found)} days differ." if found else "Decisions and ledger say the same.")
    raise SystemExit(1 if found else 0)


@click.command("sign")
@click.option("--keep", is_flag=True, help="Go on until ended, twice a second: what `warrant up` runs.")
def sign(keep: bool) -> None:
    """Sign what waits, have it cosigned and anchor it.

    \b
    Example:
      warrant ledger sign
    """
    from automation.ledger import service

    with _opened() as (chosen, ledger):
        if not keep:
            note = service.bring_up_to_date(chosen, ledger, datetime.now(UTC))
            click.echo(note or "Nothing was ever appended.", nl=note is None)
            return
    service.run(chosen)


@click.command("checkpoint")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Anchor it in this folder, too.")
def checkpoint(folder: Path | None) -> None:
    """Print the newest signed checkpoint, with the cosignatures of witnesses.

    \b
    Example:
      warrant ledger checkpoint --to /mnt/anchor
    """
    from automation.ledger import sequencing, service

    with _opened() as (_, ledger):
        note = sequencing.newest_note(ledger)
    if note is None:
        raise UnknownEventError("Nothing was signed yet.", remedy="Run `warrant ledger sign`, or decide a day first.")
    if folder is not None:
        service.anchor(note, folder)
    click.echo(note, nl=False)


@click.command("publish")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def publish(folder: Path) -> None:
    """Write the log as plain files (C2SP tlog-tiles), for any web server to serve. Again, it writes what is new.

    \b
    Example:
      warrant ledger publish /srv/log
    """
    from automation.ledger import static_files

    with _opened() as (_, ledger):
        written = static_files.export(ledger, folder)
    click.echo(f"{written} files were written to {folder}.")


@click.command("keys")
@JSON
def keys(as_json: bool) -> None:
    """Print the public keys that the ledger was signed with, the one that signs now last. Give it to who verifies.

    \b
    Example:
      warrant ledger keys
    """
    from automation.ledger import custody

    with _opened() as (_, ledger):
        found = [str(key) for key in custody.public_keys(ledger)]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(found) or "The ledger was not signed yet.")


@click.command("rotate")
def rotate() -> None:
    """Put a new signing key in the old one's place. The first checkpoint is signed by both; the old one is then gone.

    Cut off, it is run again.

    \b
    Example:
      warrant ledger rotate
    """
    from automation.ledger import custody

    with _opened() as (chosen, ledger):
        click.echo(custody.rotate(chosen, ledger, datetime.now(UTC)))


@click.command("witness")
@click.option("--log", "logs", multiple=True, required=True, help="Public key of a log to cosign; again for more.")
@click.option("--key-file", type=FILE, required=True, help="The witness's own key; made, if there is none.")
@click.option("--name", default="witness", show_default=True, help="The name it signs under, if its key is made.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where it remembers.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=7380, show_default=True)
def witness(logs: tuple[str, ...], key_file: Path, name: str, folder: Path, host: str, port: int) -> None:
    """Run a witness (C2SP tlog-witness): it cosigns each head that continues the last one it saw, and no other.

    Run it where the log's keeper has no hand: on another machine, by other people. It prints its public key.

    \b
    Example:
      warrant ledger witness --log "warrant+0a1b2c3d+AZ..." --key-file w.key --folder seen
    """
    import signal
    import threading

    from automation.ledger import keys as key_files
    from automation.ledger.witness import Witness, server
    from warrant_verify import COSIGNATURE

    if not key_file.exists():
        key_files.write(key_files.generated(name, COSIGNATURE), key_file)
    signer = key_files.read(key_file)
    serving = server(Witness(signer, [_key(text) for text in logs], folder, lambda: datetime.now(UTC)), host, port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=serving.shutdown).start())
    click.echo(f"{signer.key}\nhttp://{serving.server_address[0]}:{serving.server_address[1]}")
    sys.stdout.flush()
    serving.serve_forever(poll_interval=0.1)
