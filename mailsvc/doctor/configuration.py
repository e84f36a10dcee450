"""The rendered configuration: as it would be rendered now, and really what the servers use."""

from collections.abc import Iterator
from pathlib import Path

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, failed, ok
from mailsvc.doctor.machine import Machine
from mailsvc.mailhost.layout import Layout
from mailsvc.mailhost.render import differences, recorded, rendered

LOOKED_AT = (
    "virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps", "virtual_transport",
    "smtpd_sender_login_maps", "smtpd_recipient_restrictions", "smtpd_relay_restrictions", "smtpd_milters",
    "smtpd_sasl_type", "smtpd_sasl_path", "smtpd_sender_restrictions", "milter_default_action",
)  # fmt: skip
"""Parameters of Postfix without which the rest is in vain. An administrator may add to them, but not take away."""


_RELOAD = " && systemctl reload postfix dovecot"
"""Else the servers go on with what they have read."""


def examine(machine: Machine, layout: Layout) -> Iterator[Finding]:
    """The tree, and the copies and links of it that the servers read."""
    render = f"mailsvc mailhost render {machine.tree}"
    if not machine.tree.is_dir():
        yield failed("rendered configuration", f"{machine.tree} is not there", render)
        return
    texts = rendered(layout, recorded(machine.tree))
    faults = [
        failed("rendered configuration", f"{line}: not as `mailhost render` would write it now", f"{render}{_RELOAD}")
        for line in differences(machine.tree, texts)
    ]
    yield from faults or [ok("rendered configuration", f"all files in {machine.tree} are as they would be rendered")]
    yield from _addresses(machine, layout)
    if programs.is_root():
        yield from _certificate(layout)
    if programs.where("postfix"):
        yield from _postfix(machine)
    if programs.where("dovecot"):
        yield from _dovecot(machine)


def dovecot_tree() -> str:
    """The part of the tree that is for the Dovecot which is installed."""
    version = programs.run(programs.where("dovecot") or "dovecot", "--version").out
    return "dovecot-2.3" if version.startswith("2.3") else "dovecot-2.4"


def _addresses(machine: Machine, layout: Layout) -> Iterator[Finding]:
    """What two processes have to agree on, one told by a setting and the other by the rendered configuration."""
    if not layout.milter:
        return
    for option, rendered_as, name, setting in (
        ("milter", layout.milter, "MAILSVC_MILTER_BIND", machine.settings.milter_bind),
        ("quota-status", layout.quota_status, "MAILSVC_QUOTA_STATUS", machine.settings.quota_status),
    ):
        if rendered_as != str(setting or "off"):
            cause = f"the servers are told {rendered_as}, {name} is {setting or 'off'}"
            yield failed(option, cause, f"mailsvc mailhost render {machine.tree} --{option}={setting or ''}")


def _certificate(layout: Layout) -> Iterator[Finding]:
    for path in (layout.certificate, layout.private_key):
        if not Path(path).is_file():
            cause = f"{path} is not there: Dovecot does not start without it, and Postfix does not encrypt"
            make = f"certbot certonly --webroot --webroot-path /var/www/html -d {layout.hostname}"
            yield failed("certificate", cause, f"{make} && systemctl restart postfix dovecot")
            return


def _postfix(machine: Machine) -> Iterator[Finding]:
    ours, theirs = machine.tree / "postfix", machine.postfix
    main, master = theirs / "main.cf", theirs / "master.cf"
    append = f"cat /usr/share/postfix/master.cf.dist {ours}/master.cf > {master} && postfix reload"
    keep = f"cp {master} {master}.before && "
    faults = [
        *_contained(ours / "main.cf", main, f"cp --backup=numbered {ours}/main.cf {main} && postfix reload"),
        *_contained(ours / "master.cf", master, keep + append),
    ]
    yield from faults
    if faults:
        return
    wanted, found = _parameters(ours), _parameters(theirs)
    if isinstance(found, str) or isinstance(wanted, str):
        cause = found if isinstance(found, str) else wanted
        yield failed("main.cf", f"postconf: {cause}", f"postfix -c {theirs} check")
        return
    for name in LOOKED_AT:
        if missing := [word for word in wanted[name] if word not in found[name]]:
            cause = f"{name} is set anew after the rendered part and lacks {', '.join(missing)}"
            # At the end it wins. (`postconf -e` would write into the rendered part.)
            mend = f"echo '{name} = {', '.join(wanted[name])}' >> {main} && postfix reload"
            faults.append(failed("main.cf", cause, mend))
    yield from faults or [ok("main.cf", f"Postfix is configured as rendered, by {theirs}")]


def _contained(rendered_file: Path, installed: Path, mend: str) -> Iterator[Finding]:
    check = installed.name
    try:
        if rendered_file.read_text(encoding="utf-8") not in installed.read_text(encoding="utf-8", errors="replace"):
            cause = f"{installed} does not hold the rendered {rendered_file} as it is now"
            yield failed(check, f"{cause} (what you appended is kept beside it: append it again)", mend)
    except OSError as error:
        yield failed(check, f"{error.filename}: {error.strerror}", mend)


def _parameters(directory: Path) -> dict[str, list[str]] | str:
    """The values, in their parts, that Postfix makes of a configuration directory; or why it makes none."""
    postconf = programs.where("postconf") or "postconf"
    done = programs.run(postconf, "-c", str(directory), "-x", *LOOKED_AT)
    if done.status:
        return done.cause
    lines = (line.partition("=") for line in done.out.splitlines() if "=" in line)
    found = {name.strip(): value.replace(",", " ").split() for name, _, value in lines}
    return {name: _joined(found.get(name, [])) for name in LOOKED_AT}


def _joined(words: list[str]) -> list[str]:
    """``check_policy_service unix:x`` is one part, not two."""
    parts: list[str] = []
    for word in words:
        if parts and parts[-1] in ("check_policy_service", "check_sender_access"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts


def _dovecot(machine: Machine) -> Iterator[Finding]:
    rendered_file = machine.tree / dovecot_tree() / "dovecot.conf"
    mend = f"ln -sf {rendered_file} {machine.dovecot} && doveadm reload"
    try:
        same = machine.dovecot.read_bytes() == rendered_file.read_bytes()
    except OSError as error:
        yield failed("dovecot.conf", f"{error.filename}: {error.strerror}", mend)
        return
    if same:
        yield ok("dovecot.conf", f"{machine.dovecot} is the rendered one")
    else:
        yield failed("dovecot.conf", f"{machine.dovecot} is not the rendered {rendered_file}", mend)
