"""Sinks, each against a real server: what arrives there, and what an error gives away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from automation import database
from automation.alerts.alert import Alert, Kind
from automation.alerts.sinks import DeliveryError, EmailSink, LogSink, Message, WebhookSink, sinks
from automation.settings import Settings
from tests.alerts.test_alert import ALERT, NIGHT

MESSAGE = Message("17", ALERT, NIGHT)


def test_without_settings_there_is_the_log(tmp_path: Path) -> None:
    [log] = sinks(Settings(home=tmp_path))
    assert log == LogSink(tmp_path / "logs" / "alerts.log")


def test_the_log_gets_one_json_object_a_line(tmp_path: Path) -> None:
    log = LogSink(tmp_path / "logs" / "alerts.log")
    log.send(MESSAGE)
    log.send(replace(MESSAGE, id="18"))
    lines = [json.loads(line) for line in log.file.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["17", "18"]
    assert lines[0]["downstream"] == list(ALERT.reach.downstream)
    assert lines[0]["evidence"]["rules broken"][0] == "rule wind_speed_mph: maximum 120, rows 36"
    assert lines[0]["text"].startswith(ALERT.subject)


def test_a_log_that_cannot_be_written_is_a_failed_delivery(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(DeliveryError, match="cannot be written"):
        LogSink(tmp_path / "logs" / "alerts.log").send(MESSAGE)


# ---------------------------------------------------------------- webhook


@dataclass
class Hook:
    """A real HTTP server that answers ``status`` and keeps what it was sent."""

    status: int = 204
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"http://127.0.0.1:{self.port}/services/T0KEN?room=1")


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((self.path, dict(self.headers), body))
            self.send_response(made.status)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_json_with_the_text_that_chat_services_show(hook: Hook) -> None:
    WebhookSink(hook.url, None).send(MESSAGE)
    [(path, headers, body)] = hook.requests
    assert path == "/services/T0KEN?room=1"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(body)["text"] == f"{ALERT.subject}\n{ALERT.text}"
    assert "webhook-signature" not in headers


@pytest.mark.parametrize(
    ("secret", "key"), [("s3cret", b"s3cret"), ("whsec_" + base64.b64encode(b"\x00key").decode(), b"\x00key")]
)
def test_a_signed_message_proves_that_it_is_ours_and_unchanged(hook: Hook, secret: str, key: bytes) -> None:
    WebhookSink(hook.url, SecretStr(secret)).send(MESSAGE)
    [(_, headers, body)] = hook.requests
    assert headers["webhook-id"] == "17"
    signed = b"17." + headers["webhook-timestamp"].encode() + b"." + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_a_failed_delivery_that_names_no_address(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(DeliveryError, match=f"The webhook answered {status}") as failed:
        WebhookSink(hook.url, None).send(MESSAGE)
    assert "T0KEN" not in str(failed.value)
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/T0KEN",
        "https://T0KEN.invalid/",
        "file:///T0KEN",
        "T0KEN",
        "http://[T0KEN",
        "http://a:T0KEN/",
    ],
)
def test_an_address_that_leads_nowhere_is_a_failed_delivery_that_does_not_show_it(url: str) -> None:
    with pytest.raises(DeliveryError) as failed:
        WebhookSink(SecretStr(url), None).send(MESSAGE)
    assert "T0KEN" not in str(failed.value)
    assert failed.value.__cause__ is None


# ---------------------------------------------------------------- e-mail


@dataclass
class Mailbox:
    """What a real mail server takes: messages with their recipients."""

    refuses: bool = False
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    passwords: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 (the server's name for it)
        if self.refuses:
            return "554 Not today, T0KEN"
        self.taken.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"

    def knows(self, *given) -> AuthResult:
        """Given the server, session, envelope, mechanism and, last, what the client says."""
        self.passwords.append(given[-1].password)
        return AuthResult(success=given[-1].password == b"p@ss")


@contextmanager
def serving(mailbox: Mailbox, **given) -> Iterator[int]:
    """A mail server at a free port, which is not yet taken when it is chosen: the server itself cannot choose one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port, authenticator=mailbox.knows, **given)
    server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def plain(mailbox: Mailbox) -> Iterator[str]:
    """A mail server without encryption that would take a password."""
    with serving(mailbox, auth_require_tls=False) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def encrypted(mailbox: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mail server that offers STARTTLS with a certificate that this process trusts."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(self_signed())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(mailbox, tls_context=context) as port:
        yield f"localhost:{port}"


def self_signed() -> bytes:
    """A certificate of localhost that its own key signed, and the key, as PEM."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM) + private


def email(url: str, *to: str) -> EmailSink:
    return EmailSink(SecretStr(url), "Warrant <warrant@example.com>", to)


def test_a_mail_goes_to_those_named_and_to_owners_that_are_addresses(mailbox: Mailbox, plain: str) -> None:
    email(f"smtp://{plain}", "night@example.com", "ann@example.com").send(MESSAGE)
    [(recipients, mail)] = mailbox.taken
    assert recipients == ["night@example.com", "ann@example.com"]
    assert mail["Subject"] == ALERT.subject
    assert mail["Message-ID"] == "<warrant-alert-17@example.com>"
    assert mail["Importance"] == "high"
    assert mail.get_content().replace("\r\n", "\n").rstrip("\n") == ALERT.text


def test_a_mail_for_nobody_is_not_sent(mailbox: Mailbox, plain: str) -> None:
    nobody = replace(ALERT, reach=replace(ALERT.reach, owners=("team:flight-data",)))
    email(f"smtp://{plain}").send(replace(MESSAGE, alert=nobody))
    assert mailbox.taken == []


def test_a_password_goes_over_an_encrypted_connection(mailbox: Mailbox, encrypted: str) -> None:
    email(f"smtp://warrant:p%40ss@{encrypted}", "ann@example.com").send(MESSAGE)
    assert len(mailbox.taken) == 1
    assert mailbox.passwords == [b"p@ss"]


def test_a_password_is_not_given_to_a_server_without_encryption(mailbox: Mailbox, plain: str) -> None:
    with pytest.raises(DeliveryError, match="offers no encryption") as failed:
        email(f"smtp://warrant:p%40ss@{plain}", "ann@example.com").send(MESSAGE)
    assert (mailbox.taken, mailbox.passwords) == ([], [])
    assert "p@ss" not in str(failed.value)


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    mailbox: Mailbox, encrypted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
        email(f"smtp://warrant:p%40ss@{encrypted}", "ann@example.com").send(MESSAGE)
    assert (mailbox.taken, mailbox.passwords) == ([], [])


def test_a_mail_server_that_refuses_is_a_failed_delivery_that_does_not_repeat_its_words(
    mailbox: Mailbox, plain: str
) -> None:
    mailbox.refuses = True
    with pytest.raises(DeliveryError, match="SMTPDataError 554") as failed:
        email(f"smtp://{plain}", "ann@example.com").send(MESSAGE)
    assert "T0KEN" not in str(failed.value)


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:1", "smtp://u:T0KEN@[", "smtp://u:T0KEN@host:port"])
def test_no_mail_server_is_a_failed_delivery(url: str) -> None:
    with pytest.raises(DeliveryError) as failed:
        email(url, "ann@example.com").send(MESSAGE)
    assert "T0KEN" not in str(failed.value)


# ---------------------------------------------------------------- settings


def test_settings_name_the_sinks_and_hide_what_is_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARRANT_ALERT_WEBHOOK_URL", "https://hooks.example.com/T0KEN")
    monkeypatch.setenv("WARRANT_ALERT_WEBHOOK_SECRET", "T0KEN2")
    monkeypatch.setenv("WARRANT_SMTP_URL", "smtp://user:T0KEN3@mail.example.com")
    monkeypatch.setenv("WARRANT_ALERT_EMAIL_TO", "ann@example.com, bob@example.com")
    chosen = Settings(home=tmp_path)
    log, webhook, mail = sinks(chosen)
    assert (log.name, webhook.name, mail.name) == ("log", "webhook", "email")
    assert isinstance(mail, EmailSink)
    assert mail.to == ("ann@example.com", "bob@example.com")
    assert mail.sender.startswith("warrant@")
    assert "T0KEN" not in f"{chosen!r} {log!r} {webhook!r} {mail!r}"
    # Child processes are handed the real ones.
    handed = database.configure_environment(chosen)
    assert [handed[f"WARRANT_{name}"] for name in ("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "SMTP_URL")] == [
        "https://hooks.example.com/T0KEN",
        "T0KEN2",
        "smtp://user:T0KEN3@mail.example.com",
    ]
    assert "T0KEN" not in (chosen.dagster_home / "dagster.yaml").read_text()


def test_a_recovery_is_not_marked_urgent(mailbox: Mailbox, plain: str) -> None:
    over: Alert = replace(ALERT, kind=Kind.RECOVERED)
    email(f"smtp://{plain}").send(replace(MESSAGE, alert=over))
    [(recipients, mail)] = mailbox.taken
    assert (recipients, mail["Importance"]) == (["ann@example.com"], None)
