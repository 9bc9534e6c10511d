"""Reading the mails that the mail catcher kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from evergreen.errors import BadInputError


@dataclass(frozen=True)
class Mail:
    """A mail that was caught.

    Attributes:
        number: 1 for the oldest.
        caught: UTC, from the file's name.
        attachments: file names, inline images included.
    """

    number: int
    path: Path
    caught: str
    sender: str
    to: str
    subject: str
    message_id: str
    text: str
    html: str
    attachments: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"path": str(self.path)}


def read_all(folder: Path) -> list[Mail]:
    """All mails, oldest first; none if nothing has been caught yet."""
    return [_read(number, path) for number, path in enumerate(sorted(folder.glob("*.eml")), start=1)]


def read_one(folder: Path, number: int) -> Mail:
    """The mail with a number.

    Raises:
        BadInputError: there is none.
    """
    mails = read_all(folder)
    if not 1 <= number <= len(mails):
        raise BadInputError(f"there is no mail {number}: {len(mails)} were caught (`evergreen mail list`).")
    return mails[number - 1]


def _read(number: int, path: Path) -> Mail:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(path.read_bytes())
    stamp = path.name.split("-")[0]
    names = tuple(
        part.get_filename() or part.get_content_type()
        for part in message.walk()
        if not part.is_multipart() and part.get_content_maintype() != "text"
    )
    return Mail(
        number=number,
        path=path,
        caught=f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}",
        sender=str(message["From"] or ""),
        to=str(message["To"] or message["X-Envelope-To"] or ""),
        subject=str(message["Subject"] or "").strip(),
        message_id=str(message["Message-ID"] or ""),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        attachments=names,
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return "" if part is None else str(part.get_content())
