"""An SMTP server that delivers nothing: each mail becomes a file.

Run as `python -m evergreen.stack.embedded.mail_catcher DIR PORT`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from evergreen.stack.config.credentials import write_private
from evergreen.stack.config.ports import HOST

log = logging.getLogger("evergreen.stack")


class Catcher:
    """Writes each mail to `<time>-<id>.eml`; the file appears whole, before the sender hears `250`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        """Keep a mail."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        name = f"{moment}-{uuid.uuid4().hex[:8]}.eml"
        content = envelope.content or b""
        body = content if isinstance(content, bytes) else content.encode()
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n".encode()
        write_private(self._folder / name, (head + body).decode("utf-8", errors="surrogateescape"))
        log.info("mail from %s to %s kept as %s", envelope.mail_from, ", ".join(envelope.rcpt_tos), name)
        return f"250 kept as {name}"


def authenticator(user: str, password: str) -> Any:
    """Accept one login only."""

    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = data if isinstance(data, LoginPassword) else LoginPassword(b"", b"")
        fits = hmac.compare_digest(given.login, user.encode()) & hmac.compare_digest(given.password, password.encode())
        # `handled` would mean that the refusal has been sent to the client already.
        return AuthResult(success=bool(fits), handled=False)

    return check


async def serve(folder: Path, port: int, user: str, password: str) -> None:
    """Take mails until the process is ended."""
    loop = asyncio.get_running_loop()
    check = authenticator(user, password)

    def session() -> SMTP:
        return SMTP(
            Catcher(folder), authenticator=check, auth_required=True, auth_require_tls=False, enable_SMTPUTF8=True,
            decode_data=False, hostname="localhost", data_size_limit=50 * 2**20, loop=loop,
            # Its challenges are not those that Alertmanager knows, and clients that know both may take LOGIN first.
            auth_exclude_mechanism=["LOGIN"],
        )  # fmt: skip

    server = await loop.create_server(session, HOST, port)
    log.info("taking mails on %s:%d", HOST, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    asyncio.run(
        serve(
            Path(sys.argv[1]),
            int(sys.argv[2]),
            os.environ["EVERGREEN_SMTP_USER"],
            os.environ["EVERGREEN_SMTP_PASSWORD"],
        )
    )
