"""Where mail for an address goes: forwards with and without local copy, several targets, chains; the catch-all."""

from tests.mailhost.host import Host


def test_a_forward_without_local_copy_and_one_with(host: Host) -> None:
    host.add("away@example.org", "both@example.org", "target@example.org")
    host.forward("away@example.org", "target@example.org")
    host.forward("both@example.org", "target@example.org", keep_local=True)
    host.forward("no-box@example.org", "away@example.org", "both@example.org")

    host.send("away@example.org", "away")
    host.send("both@example.org", "both")
    assert (host.inbox("away@example.org"), host.inbox("both@example.org")) == ([], ["both"])
    assert host.inbox("target@example.org") == ["away", "both"]

    host.send("no-box@example.org", "chain")
    assert (host.inbox("away@example.org"), host.inbox("both@example.org")) == ([], ["both", "chain"])
    assert host.inbox("target@example.org") == ["away", "both", "chain"]

    assert host.call("delforward", source="away@example.org") == 0
    host.send("away@example.org", "back")
    assert host.inbox("away@example.org") == ["back"]


def test_a_sub_address_follows_the_forward_of_its_address(host: Host) -> None:
    host.add("sub@example.org")
    host.forward("list@example.org", "sub@example.org")
    host.send("list+bank@example.org", "forwarded")
    assert host.inbox("sub@example.org") == ["forwarded"]


def test_a_forward_that_ends_is_refused_from_the_0_on(host: Host) -> None:
    host.add("end@example.org")
    host.forward("short@example.org", "end@example.org")
    assert host.recipient("short@example.org")[0] == 250
    assert host.call("delforward", source="short@example.org", target="end@example.org") == 0
    assert host.recipient("short@example.org")[0] == 550


def test_a_catch_all_gets_what_nobody_else_takes(host: Host) -> None:
    host.add("keeper@example.org")
    host.command("domain add caught.example --owner alice")
    host.add("real@caught.example", "kept@caught.example")
    host.forward("moved@caught.example", "real@caught.example")
    host.forward("kept@caught.example", "real@caught.example", keep_local=True)
    assert host.recipient("anybody@caught.example")[0] == 550

    host.command("domain catch-all caught.example keeper@example.org")
    for name in ("anybody", "anybody+tag", "real", "real+tag", "moved", "moved+tag", "kept"):
        host.send(f"{name}@caught.example", name)
    assert host.inbox("keeper@example.org") == ["anybody", "anybody+tag"]
    assert host.inbox("real@caught.example") == ["real", "real+tag", "moved", "moved+tag", "kept"]
    assert host.inbox("kept@caught.example") == ["kept"]
    assert host.recipient("anybody@example.org")[0] == 550

    host.command("domain catch-all caught.example --off")
    assert host.recipient("anybody@caught.example")[0] == 550


def test_a_dead_target_keeps_no_mail_from_the_living_and_is_reported_alone(host: Host) -> None:
    host.add("hugo@example.org", "ida@example.org", "gone@example.org")
    host.forward("crew@example.org", "ida@example.org", "gone@example.org")
    assert host.call("delmail", email="gone@example.org") == 0
    with host.submission("hugo@example.org") as connection:
        message = "From: hugo@example.org\r\nSubject: to all\r\n\r\n"
        connection.sendmail("hugo@example.org", ["crew@example.org"], message)
    host.wait_for_delivery()
    assert host.inbox("ida@example.org") == ["to all"]
    [notice] = host.messages("hugo@example.org")
    assert b"gone@example.org" in notice and b"ida@example.org" not in notice
