"""The mail catcher over real SMTP, and reading what it kept."""

import smtplib
from email.message import EmailMessage

import pytest

from evergreen.errors import BadInputError
from evergreen.stack.embedded import caught_mails

pytestmark = pytest.mark.integration


def send(env, message, login=True):
    with smtplib.SMTP(env["EVERGREEN_SMTP_HOST"], int(env["EVERGREEN_SMTP_PORT"]), timeout=10) as server:
        if login:
            server.login(env["EVERGREEN_SMTP_USER"], env["EVERGREEN_SMTP_PASSWORD"])
        server.send_message(message)


@pytest.fixture
def message():
    message = EmailMessage()
    message["From"], message["To"] = "evergreen@localhost", "on-call@localhost"
    message["Subject"], message["Message-ID"] = "Drift in café_flights — week 2013-02-04", "<one@evergreen>"
    message.set_content("What moved: café.")
    message.add_alternative("<p>What moved: café.</p>", subtype="html")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="loss.png")
    return message


def test_a_mail_is_kept_whole_and_only_its_owner_can_read_it(mail_catcher, message):
    send(mail_catcher.env, message)
    (kept,) = mail_catcher.mails()
    assert (kept.subject, kept.to, kept.message_id) == (message["Subject"], "on-call@localhost", "<one@evergreen>")
    assert (kept.text.strip(), kept.html.strip()) == ("What moved: café.", "<p>What moved: café.</p>")
    assert kept.attachments == ("loss.png",)
    assert oct(kept.path.stat().st_mode)[-3:] == "600"


def test_mails_are_numbered_in_the_order_they_came(mail_catcher, message):
    for subject in ("first", "second"):
        message.replace_header("Subject", subject)
        send(mail_catcher.env, message)
    folder = mail_catcher.mails()[0].path.parent
    assert [m.subject for m in caught_mails.read_all(folder)] == ["first", "second"]
    assert caught_mails.read_one(folder, 2).subject == "second"
    with pytest.raises(BadInputError, match="there is no mail 3: 2 were caught"):
        caught_mails.read_one(folder, 3)


def test_without_the_login_nothing_is_taken(mail_catcher, message):
    with pytest.raises(smtplib.SMTPException):
        send(mail_catcher.env, message, login=False)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        send({**mail_catcher.env, "EVERGREEN_SMTP_PASSWORD": "wrong"}, message)
    assert mail_catcher.mails() == []
