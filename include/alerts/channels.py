"""Tell people about open alerts, by webhook and by mail; each alert once a channel, however often this runs.

Channels are Airflow connections in the environment, read as the one of RIS is; none set: alerts are recorded only.

- `AIRFLOW_CONN_ALERTS_WEBHOOK`: `{"conn_type": "http", "host": "https://…", "password": "<bearer token, if any>"}`.
  One POST with all news: `text` (what chat programs show) and `alerts` (the same as fields).
- `AIRFLOW_CONN_ALERTS_SMTP`: `{"conn_type": "smtp", "host": "mail.…", "port": 587, "login": "…", "password": "…",
  "extra": {"from_email": "…", "to": "a@…, b@…", "tls": "starttls"}}`; `tls` is `starttls` (default), `ssl` or `none`.

Rule: who was told is a row of ops.alert_notices, in the transaction in which it is sent. A process that dies between
the two may tell it once more, never less: the message has the same id then, so that a mail program shows it once.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from include.alerts.kinds import KINDS
from include.settings import Role, SettingMissing, Settings
from include.warehouse.alerts import Alert
from include.warehouse.connection import connect

log = logging.getLogger(__name__)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
WEBHOOK_VARIABLE, SMTP_VARIABLE = "AIRFLOW_CONN_ALERTS_WEBHOOK", "AIRFLOW_CONN_ALERTS_SMTP"
SECONDS = 15


class AlertNotSent(ConnectionError):
    """A channel could not be used; what it should have said is told by the next look."""


@dataclass(frozen=True)
class Webhook:
    """One address that takes a POST."""

    url: str
    token: str = field(default="", repr=False)
    name: str = "webhook"

    def send(self, alerts: Sequence[Alert]) -> None:
        import httpx

        headers = {"Idempotency-Key": _id_of(alerts)}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        body = {"text": as_text(alerts), "alerts": [_as_fields(alert) for alert in alerts]}
        try:
            httpx.post(self.url, json=body, headers=headers, timeout=SECONDS).raise_for_status()
        except httpx.HTTPStatusError as refused:
            raise AlertNotSent(
                f"The webhook for alerts answered {refused.response.status_code}; look at its address and token in "
                f"{WEBHOOK_VARIABLE}. Try it with: vs alerts test"
            ) from None
        except httpx.HTTPError as failure:
            raise AlertNotSent(
                f"The webhook for alerts cannot be reached ({type(failure).__name__}); see {WEBHOOK_VARIABLE}."
            ) from None


@dataclass(frozen=True)
class Mail:
    """A mail server, from whom and to whom."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    tls: str = "starttls"
    login: str = ""
    password: str = field(default="", repr=False)
    name: str = "mail"

    def send(self, alerts: Sequence[Alert]) -> None:
        import smtplib
        import ssl
        from email.message import EmailMessage

        mail = EmailMessage()
        mail["Subject"] = subject_line(alerts)
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Message-ID"] = f"<{_id_of(alerts)}@vroegsignalering.alerts>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(as_text(alerts))
        try:
            secure = ssl.create_default_context()
            if self.tls == "ssl":
                server = smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=secure)
            else:
                server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
            with server:
                if self.tls == "starttls":
                    server.starttls(context=secure)
                if self.login:
                    server.login(self.login, self.password)
                server.send_message(mail)
        except OSError as failure:  # what smtplib and ssl raise is one
            raise AlertNotSent(
                f"The mail about alerts was not taken by {self.host}:{self.port} ({type(failure).__name__}); see "
                f"{SMTP_VARIABLE}. Try it with: vs alerts test"
            ) from None


Channel = Webhook | Mail


def channels(settings: Settings | None = None) -> list[Channel]:
    """The channels that are configured; SettingMissing when one of them lacks something."""
    environment = (settings or Settings.from_environment()).environment
    makers: tuple[tuple[str, Callable[[Mapping[str, Any]], Channel]], ...] = (
        (WEBHOOK_VARIABLE, _webhook), (SMTP_VARIABLE, _mail),
    )  # fmt: skip
    found = []
    for variable, make in makers:
        if text := environment.get(variable, ""):
            try:
                found.append(make(json.loads(text)))
            except (ValueError, KeyError, AttributeError, TypeError) as wrong:
                raise SettingMissing(
                    f"{variable} cannot be used{f': {wrong} is missing' if isinstance(wrong, KeyError) else ''}. It is "
                    "JSON; docs/runbooks/tell-somebody.md says with which fields."
                ) from None
    return found


def tell(settings: Settings | None = None) -> int:
    """Send every open alert that a channel has not said yet; how many messages went out.

    Every channel is tried; the first that failed is raised at the end.
    """
    sent, failures = 0, []
    for channel in channels(settings):
        try:
            sent += _tell_by(channel)
        except AlertNotSent as failure:
            log.warning("%s", failure)
            failures.append(failure)
    if failures:
        raise failures[0]
    return sent


def subject_line(alerts: Sequence[Alert]) -> str:
    """The first alert, and how many more."""
    municipality = Settings.from_environment().municipality_name
    first = alerts[0].message.splitlines()[0]
    more = f" (+{len(alerts) - 1})" if len(alerts) > 1 else ""
    return f"[vroegsignalering {municipality}] {first[:140]}{more}"


def as_text(alerts: Sequence[Alert]) -> str:
    """What happened, where, what to do, and the runbook, an alert a paragraph."""
    return "\n\n".join(
        f"{alert.message}\nDo: {KINDS[alert.kind].what_to_do(alert.signal_month, alert.subject)}.\n"
        f"Runbook: {KINDS[alert.kind].link}\nSince: {alert.raised_at.astimezone(AMSTERDAM):%Y-%m-%d %H:%M}"
        for alert in alerts
    )


def _tell_by(channel: Channel) -> int:
    with connect(Role.LOADER) as connection, connection.cursor(row_factory=class_row(Alert)) as cursor:
        # two at once: the second finds nothing left to say
        cursor.execute("select pg_advisory_xact_lock(hashtext('vs:tell:' || %s))", (channel.name,))
        news = cursor.execute(
            "select kind, signal_month, subject, message, raised_at, run_id from ops.alerts "
            "where settled_at is null and not exists (select from ops.alert_notices as said "
            "where (said.kind, said.signal_month, said.subject, said.raised_at, said.channel) "
            "= (alerts.kind, alerts.signal_month, alerts.subject, alerts.raised_at, %s)) "
            "order by raised_at, kind, subject",
            (channel.name,),
        ).fetchall()
        if not news:
            return 0
        cursor.executemany(
            "insert into ops.alert_notices (kind, signal_month, subject, raised_at, channel) "
            "values (%s, %s, %s, %s, %s)",
            [(alert.kind, alert.signal_month, alert.subject, alert.raised_at, channel.name) for alert in news],
        )
        cursor.executemany(
            "update ops.alerts set notified_at = now() where kind = %s and signal_month = %s and subject = %s",
            [(alert.kind, alert.signal_month, alert.subject) for alert in news],
        )
        channel.send(news)
    return 1


def _as_fields(alert: Alert) -> dict[str, str]:
    kind = KINDS[alert.kind]
    return {
        "kind": alert.kind,
        "signal_month": alert.signal_month,
        "subject": alert.subject,
        "message": alert.message,
        "do": kind.what_to_do(alert.signal_month, alert.subject),
        "runbook": kind.link,
        "raised_at": alert.raised_at.isoformat(),
    }


def _id_of(alerts: Sequence[Alert]) -> str:
    said = [(alert.kind, alert.signal_month, alert.subject, alert.raised_at.isoformat()) for alert in alerts]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


def _webhook(given: Mapping[str, Any]) -> Webhook:
    host = str(given["host"])
    url = host if "://" in host else f"{given.get('schema') or 'https'}://{host}"
    return Webhook(url, str(given.get("password") or ""))


def _mail(given: Mapping[str, Any]) -> Mail:
    extra = given.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    recipients = tuple(one.strip() for one in extra["to"].split(",") if one.strip())
    tls = extra.get("tls", "starttls")
    if not recipients or tls not in ("starttls", "ssl", "none"):
        raise KeyError("extra.to or extra.tls")
    return Mail(
        str(given["host"]), int(given.get("port") or 587), extra["from_email"], recipients, tls,
        str(given.get("login") or ""), str(given.get("password") or ""),
    )  # fmt: skip
