"""THE TABLE: every operation with what it reads, what it does, and what it answers. Read it next to the contract."""

from mailsvc.core.refusals import (
    AlreadyExists,
    AlreadyInThatState,
    BadInput,
    ForwardLoop,
    LimitReached,
    NoSuchMailbox,
    NoSuchTarget,
    NothingStored,
    NotYours,
    PublishFailed,
    TooManyTargets,
    UnknownDomain,
    UnknownUser,
)
from mailsvc.protocols.brainycp import handlers, schemas
from mailsvc.protocols.brainycp.outcomes import Operation, Outcome, Text

MODULE = "mailclient"

# Said before an operation is known, or by every operation alike.

BAD_PARAMETERS = Text("Error in the parameter array", "Ошибка в массиве параметров")
INTERNAL = Text("Internal error, see the server log", "Внутренняя ошибка, см. журнал сервера")
WRONG_COMMAND = Outcome(1002, None, Text("Wrong command", "Неверная команда"))
NO_RIGHTS = Text(
    "You do not have permission to administer this user",
    "У вас нет прав для администрирования этого пользователя",
)
NOT_SIGNED_IN = Outcome(1000, None, NO_RIGHTS)
REFUSED_METHOD = Outcome(2, None, BAD_PARAMETERS, status=405)
UNREADABLE = Outcome(2, None, BAD_PARAMETERS, status=400)
BROKEN = Outcome(3, None, INTERNAL, status=500)

_INTERNAL_REASON = Text("internal error, see the server log", "внутренняя ошибка, см. журнал сервера")
_NO_RIGHTS = Outcome(1000, NotYours, NO_RIGHTS)
_NO_SUCH_USER = Outcome(
    1001, UnknownUser, Text("There is no such user in the ISP-panel", "Такой пользователь отсутствует в ISP-панели")
)

# Mailboxes

_ADDING = Text(
    "An error occurred while adding mailbox: {email}", "Возникла ошибка при добавлении почтового ящика:{email}"
)

ADDMAIL = Operation(
    "addmail", schemas.AddMail(), handlers.addmail, "email", (),
    (
        Outcome(0, None, Text("Mailbox added successfully: {email}", "Почтовый ящик успешно добавлен:{email}")),
        Outcome(1, AlreadyExists,
                Text("This mailbox already exists: {email}", "Такой почтовый ящик уже существует: {email}")),
        Outcome(2, BadInput, BAD_PARAMETERS),
        Outcome(3, LimitReached, _ADDING),
        Outcome(4, UnknownDomain, Text("The specified domain in the mailbox was not found in the system: {email}",
                                       "Указанный домен в почтовом ящике не найден в системе: {email}")),
        _NO_RIGHTS, _NO_SUCH_USER,
        Outcome(3, Exception, _ADDING),
    ),
)  # fmt: skip

_DELETING = Text("Error deleting mailbox: {reason}", "Ошибка при удалении почтового ящика: {reason}")

DELMAIL = Operation(
    "delmail", schemas.DelMail(), handlers.delmail, "email", (),
    (
        Outcome(0, None, Text("Mailbox successfully deleted", "Почтовый ящик успешно удален")),
        Outcome(1, NoSuchMailbox, _DELETING,
                Text("no such mailbox: {email}", "почтовый ящик не найден: {email}")),
        Outcome(2, BadInput, BAD_PARAMETERS),
        _NO_RIGHTS, _NO_SUCH_USER,
        Outcome(1, Exception, _DELETING, _INTERNAL_REASON),
    ),
)  # fmt: skip

# Forwards

_FORWARDING = Text("Mailbox forwarding error: {reason}", "Ошибка пересылки почтового ящика: {reason}")

ADDFORWARD = Operation(
    "addforward", schemas.AddForward(), handlers.addforward, "source", (),
    (
        Outcome(0, None, Text("Mailbox forwarding was successfully defined: {source} => {target}",
                              "Пересылка почтового ящика успешно задана: {source} => {target}")),
        Outcome(1, UnknownDomain, _FORWARDING,
                Text("domain not found for this user: {domain}", "домен не найден для этого пользователя: {domain}")),
        Outcome(1, ForwardLoop, _FORWARDING,
                Text("forwarding loop: {source} => {target}", "петля пересылки: {source} => {target}")),
        Outcome(1, TooManyTargets, _FORWARDING,
                Text("more than {limit} destination addresses: {source}",
                     "более {limit} адресов назначения: {source}")),
        Outcome(2, BadInput, BAD_PARAMETERS),
        _NO_RIGHTS, _NO_SUCH_USER,
        Outcome(1, Exception, _FORWARDING, _INTERNAL_REASON),
    ),
)  # fmt: skip

_UNFORWARDING = Text(
    "Error deleting mailbox forwarding: {reason}", "Ошибка при удалении пересылки почтового ящика: {reason}"
)

DELFORWARD = Operation(
    "delforward", schemas.DelForward(), handlers.delforward, "source", (),
    (
        Outcome(0, None, Text("Mailbox forwarding was deleted", "Пересылка почтового ящика удалена")),
        Outcome(1, NothingStored, _UNFORWARDING,
                Text("no forwarding is defined for: {source}", "пересылка не задана для: {source}")),
        Outcome(1, NoSuchTarget, _UNFORWARDING,
                Text("no such forwarding: {source} => {target}", "такой пересылки нет: {source} => {target}")),
        Outcome(2, BadInput, BAD_PARAMETERS),
        _NO_RIGHTS, _NO_SUCH_USER,
        Outcome(1, Exception, _UNFORWARDING, _INTERNAL_REASON),
    ),
)  # fmt: skip

# SPF and DKIM: here a parameter error is 1, and 2 is whatever else went wrong.

_ENABLED = Outcome(0, None, Text("Entry for domain is enabled", "Запись для домена включена"))
_DISABLED = Outcome(0, None, Text("The record is disabled for the domain", "Запись для домена отключена"))


def _switch(failed: Text, already: Text, success: Outcome) -> tuple[Outcome, ...]:
    return (
        success,
        Outcome(1, BadInput, BAD_PARAMETERS),
        Outcome(2, UnknownDomain, failed),
        Outcome(2, PublishFailed, failed),
        Outcome(3, AlreadyInThatState, already),
        _NO_RIGHTS,
        _NO_SUCH_USER,
        Outcome(2, Exception, failed),
    )


ONSPF = Operation(
    "onspf", schemas.OneDomain(), handlers.onspf, "domain", (),
    _switch(Text("Error enabling SPF record for domain {domain}",
                 "Ошибка при включении SPF-записи для домена {domain}"),
            Text("SPF is already enabled for domain: {domain}", "SPF уже включен для домена: {domain}"), _ENABLED),
)  # fmt: skip

OFFSPF = Operation(
    "offspf", schemas.OneDomain(), handlers.offspf, "domain", (),
    _switch(Text("Error disabling SPF record for domain {domain}",
                 "Ошибка при отключении SPF-записи для домена {domain}"),
            Text("SPF is already disabled for domain: {domain}", "SPF уже отключен для домена: {domain}"), _DISABLED),
)  # fmt: skip

ONDKIM = Operation(
    "ondkim", schemas.OneDomain(), handlers.ondkim, "domain", (),
    _switch(Text("Error enabling dkim record for domain {domain}",
                 "Ошибка при включении dkim-записи для домена {domain}"),
            Text("dkim is already enabled for domain: {domain}", "dkim уже включен для домена: {domain}"), _ENABLED),
)  # fmt: skip

OFFDKIM = Operation(
    "offdkim", schemas.OneDomain(), handlers.offdkim, "domain", (),
    _switch(Text("Error disabling Dkim record for domain {domain}",
                 "Ошибка при отключении Dkim-записи для домена {domain}"),
            Text("Dkim is already disabled for domain: {domain}", "Dkim уже отключен для домена: {domain}"), _DISABLED),
)  # fmt: skip

# Lists: what an internal failure answers must not look empty.

_LIST = (
    Outcome(0, None, Text("The mailbox list was successfully retrieved for: {name}",
                          "Список почтовых ящиков был успешно получен для: {name}")),
    Outcome(1, NothingStored, Text("Nothing was found for: {name}", "Ничего не было найдено для: {name}"), empty=True),
    Outcome(2, BadInput, BAD_PARAMETERS),
    Outcome(1000, NotYours, Text("You do not have administrator rights", "У вас нет прав администратора")),
    Outcome(1001, UnknownUser, Text("There is no such user in the ISP-panel: {user}",
                                    "Такой пользователь отсутствует в ISP-панели:{user}")),
    Outcome(3, Exception, INTERNAL, status=500),
)  # fmt: skip

GETLISTMAIL = Operation("getlistmail", schemas.Nothing(), handlers.getlistmail, "", ("data", "boxes"), _LIST)
GETFORWARDMAIL = Operation("getforwardmail", schemas.Nothing(), handlers.getforwardmail, "", ("data",), _LIST)

OPERATIONS = {
    operation.name: operation
    for operation in (
        ADDMAIL, DELMAIL, ADDFORWARD, DELFORWARD, ONSPF, OFFSPF, ONDKIM, OFFDKIM, GETLISTMAIL, GETFORWARDMAIL,
    )
}  # fmt: skip
