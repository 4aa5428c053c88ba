"""Sinks: where alerts go. The log always; a webhook and e-mail where settings name them.

A sink takes a message or raises `DeliveryError`, whose text never holds an address with a secret in it: the URL of a
chat service's webhook is one, and so may be what a mail server answers to a password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from automation.alerts.alert import Alert, Kind
from automation.errors import WarrantError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from pydantic import SecretStr

    from automation.settings import Settings

TIMEOUT_SECONDS = 10
_CONNECTIONS = {"https": HTTPSConnection, "http": HTTPConnection}
STANDARD_SECRET = "whsec_"  # noqa: S105 (a prefix, not a secret)


class DeliveryError(WarrantError):
    """A sink did not take a message."""


@dataclass(frozen=True)
class Message:
    """An alert on its way. The same ``id`` again is the same message sent again."""

    id: str
    alert: Alert
    at: datetime


class Sink(Protocol):
    """Takes messages."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> None:
        """Delivers the message.

        Raises:
            DeliveryError: it was not taken.
        """


@dataclass(frozen=True)
class LogSink:
    """Appends each message to a file, one JSON object a line."""

    file: Path
    name: str = "log"

    def send(self, message: Message) -> None:
        line = json.dumps({"id": message.id, **message.alert.payload}, ensure_ascii=False)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # One write of a whole line to a file opened for appending: lines of several processes do not mix.
            with self.file.open("ab", buffering=0) as log:
                log.write(f"{line}\n".encode())
        except OSError as error:
            raise DeliveryError(
                f"The file {self.file} cannot be written: {error.strerror}.", remedy="Make room, or make it writable."
            ) from None


@dataclass(frozen=True)
class WebhookSink:
    """Posts each message as JSON, as Slack and its like take it, signed if there is a secret.

    The headers are those of Standard Webhooks (https://www.standardwebhooks.com): the id tells a message that is
    delivered twice, the signature is HMAC-SHA256 over ``id.timestamp.body``. Redirects are not followed.
    """

    url: SecretStr
    secret: SecretStr | None
    name: str = "webhook"

    def send(self, message: Message) -> None:
        body = json.dumps({"id": message.id, **message.alert.payload}, ensure_ascii=False).encode()
        remedy = "Look whether the service of WARRANT_ALERT_WEBHOOK_URL is up and knows that address."
        try:
            status = self._post(body, self._headers(message, body))
        except (OSError, HTTPException, ValueError) as error:
            # Only the kind of error: some hold the address.
            raise DeliveryError(f"The webhook does not answer ({type(error).__name__}).", remedy=remedy) from None
        if not 200 <= status < 300:
            raise DeliveryError(f"The webhook answered {status}.", remedy=remedy)

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme not in _CONNECTIONS or not parts.hostname:
            raise DeliveryError(
                "WARRANT_ALERT_WEBHOOK_URL is not the address of a webhook.",
                remedy="Write it as https://host/path.",
            )
        connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        stamp = str(int(message.at.timestamp()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "warrant",
            "webhook-id": message.id,
            "webhook-timestamp": stamp,
        }
        if self.secret is not None:
            signed = b".".join((message.id.encode(), stamp.encode(), body))
            digest = hmac.new(_key(self.secret.get_secret_value()), signed, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers


def _key(secret: str) -> bytes:
    """The bytes to sign with: ``whsec_`` is followed by base64, anything else is taken as it is."""
    if secret.startswith(STANDARD_SECRET):
        try:
            return base64.b64decode(secret.removeprefix(STANDARD_SECRET), validate=True)
        except binascii.Error:
            raise DeliveryError(
                "WARRANT_ALERT_WEBHOOK_SECRET begins with whsec_ and is not base64 after it.",
                remedy="Copy it again from the service that made it.",
            ) from None
    return secret.encode()


@dataclass(frozen=True)
class EmailSink:
    """Mails each message to the addresses given, and to the owners it concerns that are addresses themselves."""

    server: SecretStr
    sender: str
    to: tuple[str, ...]
    name: str = "email"

    def send(self, message: Message) -> None:
        recipients = list(dict.fromkeys((*self.to, *_addresses(message.alert))))
        if not recipients:
            return
        try:
            self._hand_over(self._mail(message, recipients))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            code = getattr(error, "smtp_code", None)
            raise DeliveryError(
                f"The mail server did not take the message ({type(error).__name__}{f' {code}' if code else ''}).",
                remedy="Check WARRANT_SMTP_URL, WARRANT_ALERT_EMAIL_FROM and WARRANT_ALERT_EMAIL_TO.",
            ) from None

    def _mail(self, message: Message, recipients: list[str]) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, ", ".join(recipients), message.alert.subject
        mail["Date"] = message.at
        domain = self.sender.rpartition("@")[2].strip("> ") or socket.gethostname()
        # The same message delivered twice has the same id: mail programs show it once.
        mail["Message-ID"] = f"<warrant-alert-{message.id}@{domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        if message.alert.kind not in (Kind.RECOVERED, Kind.TEST):
            mail["Importance"] = "high"
        mail.set_content(message.alert.text)
        return mail

    def _hand_over(self, mail: EmailMessage) -> None:
        parts = urlsplit(self.server.get_secret_value())
        host, trusted = parts.hostname or "localhost", ssl.create_default_context()
        made = (
            smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=trusted)
            if parts.scheme == "smtps"
            else smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_SECONDS)
        )
        with made as server:
            server.ehlo()
            encrypted = parts.scheme == "smtps"
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=trusted)
                server.ehlo()
                encrypted = True
            if parts.username is not None:
                if not encrypted:
                    raise DeliveryError(
                        "The mail server offers no encryption, so it is not given the password of WARRANT_SMTP_URL.",
                        remedy="Use a server that offers STARTTLS or write smtps://, or leave out user and password.",
                    )
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(mail)


def _addresses(alert: Alert) -> list[str]:
    return [owner for owner in alert.reach.owners if "@" in owner]


def sinks(settings: Settings) -> list[Sink]:
    """The sinks that the settings name."""
    made: list[Sink] = [LogSink(settings.home / "logs" / "alerts.log")]
    if settings.alert_webhook_url is not None:
        made.append(WebhookSink(settings.alert_webhook_url, settings.alert_webhook_secret))
    if settings.smtp_url is not None:
        sender = settings.alert_email_from or f"warrant@{socket.getfqdn()}"
        to = tuple(part.strip() for part in (settings.alert_email_to or "").split(",") if part.strip())
        made.append(EmailSink(settings.smtp_url, sender, to))
    return made
