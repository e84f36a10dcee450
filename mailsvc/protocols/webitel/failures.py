"""What went wrong with an SMTP server, in this wire's words (contract, section 9)."""

from mailsvc.courier.replies import shown
from mailsvc.courier.smtp import SendFailed, Why
from mailsvc.protocols.webitel.lens import Setup
from mailsvc.protocols.webitel.outcomes import CannotSend

CLOSED = ("Connection closed", "ECONNECTION")
NO_TLS = ("Error upgrading connection with STARTTLS", "ETLS")
BAD_TLS = ("Error initiating TLS - {detail}", "ETLS")

WORDS: dict[Why, tuple[str, str]] = {
    Why.DENIED: ("Address not allowed", "ECONNECTION"),
    Why.NOT_FOUND: ("getaddrinfo ENOTFOUND {host}", "ENOTFOUND"),
    Why.REFUSED: ("connect ECONNREFUSED {detail}", "ECONNREFUSED"),
    Why.UNREACHABLE: CLOSED,
    Why.CONNECT_TIMEOUT: ("Connection timeout", "ETIMEDOUT"),
    Why.NO_GREETING: ("Greeting never received", "ETIMEDOUT"),
    Why.GREETING_REFUSED: ("Invalid greeting from server: {reply}", "EPROTOCOL"),
    Why.REPLY_TIMEOUT: ("Timeout", "ETIMEDOUT"),
    Why.LOST: CLOSED,
    Why.NO_STARTTLS: NO_TLS,
    Why.STARTTLS_REFUSED: NO_TLS,
    Why.TLS_FAILED: BAD_TLS,
    Why.CERTIFICATE: BAD_TLS,
    Why.NO_MECHANISM: ("The server offers no authentication method that is known here", "EAUTH"),
    Why.LOGIN_REFUSED: ("Invalid login: {reply}", "EAUTH"),
    Why.NO_SMTPUTF8: ("Mail command failed: the server takes no addresses beyond ASCII", "EENVELOPE"),
    Why.SENDER_REFUSED: ("Mail command failed: {reply}", "EENVELOPE"),
    Why.RECIPIENTS_REFUSED: ("Can't send mail - all recipients were rejected: {reply}", "EENVELOPE"),
    Why.DATA_REFUSED: ("Data command failed: {reply}", "EENVELOPE"),
    Why.MESSAGE_REFUSED: ("Message failed: {reply}", "EMESSAGE"),
}


def in_words(failed: SendFailed, setup: Setup) -> CannotSend:
    """The refusal that tells of ``failed``, without the password of ``setup``."""
    template, code = WORDS[failed.why]
    reply = "" if failed.reply is None else shown(failed.reply.line, setup.password)
    detail, host = (shown(text, setup.password) for text in (failed.detail, setup.profile.host))
    return CannotSend(info=template.format(reply=reply, detail=detail, host=host), code=code)
