"""The other Dovecot: what the installed one is asked elsewhere is asked of Debian 13's, from its own template."""

from collections.abc import Callable, Iterator

import pytest

from tests.mailhost import test_quotas, test_receiving, test_sending, test_sieve
from tests.mailhost.arrangement import complaints, running_host
from tests.mailhost.host import Host
from tests.servers import debian_13

Check = Callable[[Host], None]

CHECKS: list[Check] = [
    test_receiving.test_a_mailbox_receives_and_lets_in_from_the_0_of_addmail_on,
    test_receiving.test_what_follows_a_plus_belongs_to_the_box_before_it_unless_it_has_a_box,
    test_receiving.test_a_deleted_mailbox_is_refused_and_a_new_one_in_its_place_is_empty,
    test_receiving.test_a_disabled_mailbox_receives_and_lets_nobody_in,
    test_receiving.test_a_changed_password_acts_at_once_and_the_old_one_no_more,
    test_receiving.test_more_than_a_hundred_are_connected_at_once,
    test_receiving.test_nobody_gives_his_password_away,
    test_receiving.test_each_login_is_noted_in_a_database_of_dovecots_own,
    test_quotas.test_over_quota_is_refused_at_once_and_zero_is_no_limit,
    test_quotas.test_a_full_mailbox_is_refused_without_an_announced_size_too,
    test_quotas.test_a_mail_program_sees_the_quota_and_room_made_counts_at_once,
    test_quotas.test_what_finds_no_room_at_delivery_waits_for_it,
    test_quotas.test_a_mail_program_cannot_store_more_than_the_quota,
    test_sending.test_a_user_sends_after_login_and_only_in_his_own_name,
    test_sending.test_nobody_sends_with_a_wrong_password_or_from_a_disabled_mailbox,
    test_sieve.test_a_script_sorts_mail_from_its_activation_on,
    test_sieve.test_a_vacation_reply_goes_out_once_to_each_sender,
    test_sieve.test_a_script_redirects,
    test_sieve.test_a_script_cannot_notify_anybody_in_anybodys_name,
    test_sieve.test_a_broken_script_and_a_wrong_password_are_refused,
]


@pytest.fixture(scope="module")
def newer_host() -> Iterator[Host]:
    """All servers running, Dovecot being 2.4."""
    debian_13.require_root()
    with running_host(newer=True) as host:
        yield host


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("test_"))
def test_dovecot_2_4(newer_host: Host, check: Check) -> None:
    before = len(complaints(newer_host.site))
    check(newer_host)
    assert complaints(newer_host.site)[before:] == []
    assert newer_host.queued() == []
