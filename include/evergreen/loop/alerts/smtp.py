"""The SMTP server that mails are handed in to."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from evergreen.loop.alerts.message import address


class SmtpSettings(BaseModel):
    """Where mails are handed in, and as whom. Airflow's connection `smtp_default` holds the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    user: str | None = None
    password: SecretStr | None = None
    starttls: bool = True
    ssl: bool = False
    """TLS from the first byte, as on port 465; `starttls` is not looked at then."""
    sender: str
    """The From address, with or without a name."""
    timeout: float = Field(default=30, gt=0)
    """Seconds to wait for each answer of the server."""

    @field_validator("sender")
    @classmethod
    def _is_address(cls, value: str) -> str:
        address(value)
        return value


class MailNotTakenError(Exception):
    """The server did not take a mail. `lasting`: it will not take this one later either, but may take others."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class RecipientsRefusedError(MailNotTakenError):
    """The server refused every recipient for good; it takes mails to others."""

    def __init__(self, message: str) -> None:
        super().__init__(message, lasting=True)


class Mailbox:
    """One connection to the server, made when the first mail is handed in."""

    def __init__(self, smtp: SmtpSettings) -> None:
        self._smtp = smtp
        self._server: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def sender(self) -> str:
        """The From address."""
        return self._smtp.sender

    def open(self) -> None:
        """Connect and log in, unless that is done.

        Raises:
            MailNotTakenError: the server cannot be reached, or refuses TLS or the login.
        """
        if self._server is None:
            try:
                self._server = self._connected()
            except smtplib.SMTPAuthenticationError as error:
                raise MailNotTakenError(
                    f"the mail server refused the login {self._smtp.user!r}: {_said(error)}"
                ) from error
            except (OSError, smtplib.SMTPException) as error:
                raise MailNotTakenError(f"the mail server could not be reached: {error}") from error

    def hand_in(self, message: EmailMessage) -> str | None:
        """Hand in `message` over the open connection; a note if the server refused some of its recipients.

        Raises:
            RecipientsRefusedError: the server will take it for none of the recipients, whenever it is asked.
            MailNotTakenError: the server did not take it for any of them.
        """
        if self._server is None:
            raise RuntimeError("open() comes before hand_in()")
        try:
            refused = self._server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            kind = RecipientsRefusedError if all(code >= 500 for code in codes) else MailNotTakenError
            raise kind(f"the mail server refused {_listed(error.recipients)}") from error
        except smtplib.SMTPSenderRefused as error:
            said, too_large = (
                f"the mail server refused the sender {self.sender}: {_said(error)}",
                error.smtp_code == 552,
            )
            raise MailNotTakenError(said, lasting=too_large) from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailNotTakenError(f"the mail server cannot carry it: {error}", lasting=True) from error
        except smtplib.SMTPResponseException as error:
            raise MailNotTakenError(
                f"the mail server refused it: {_said(error)}", lasting=error.smtp_code >= 500
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise MailNotTakenError(f"the mail server went away: {error}") from error
        return f"the mail server refused {_listed(refused)}" if refused else None

    def _connected(self) -> smtplib.SMTP:
        at = self._smtp
        if at.ssl:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                at.host, at.port, timeout=at.timeout, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(at.host, at.port, timeout=at.timeout)
        try:
            if at.starttls and not at.ssl:
                server.starttls(context=ssl.create_default_context())
            if at.user and at.password is not None:
                server.login(at.user, at.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


def _said(error: smtplib.SMTPResponseException) -> str:
    said = error.smtp_error
    return f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"


def _listed(recipients: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{to} ({code} {said.decode(errors='replace')})" for to, (code, said) in recipients.items())
