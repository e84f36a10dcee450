"""Taking homes off the disk: everything of one home, nothing of any other, whatever its owner has put in the way."""

from pathlib import Path

import pytest

from mailsvc.mailhost import removal
from mailsvc.mailhost.homes import home, maildir

GONE, OTHER = "0f" * 16, "0f" * 15 + "aa"


def fill(root: Path, incarnation: str) -> None:
    for name in ("new", "cur", "tmp", ".Sent/cur"):
        (maildir(root, incarnation) / name).mkdir(parents=True)
    (maildir(root, incarnation) / "new" / "1.mail").write_text("Subject: here\n")
    (home(root, incarnation) / ".dovecot.sieve").write_text("keep;\n")


def test_one_home_is_removed_and_no_other(tmp_path: Path) -> None:
    fill(tmp_path, GONE)
    fill(tmp_path, OTHER)
    assert sorted(removal.homes_below(tmp_path)) == sorted([GONE, OTHER])
    removal.remove(tmp_path, GONE)
    assert list(removal.homes_below(tmp_path)) == [OTHER]
    assert (maildir(tmp_path, OTHER) / "new" / "1.mail").exists()
    removal.remove(tmp_path, GONE)
    removal.remove(tmp_path, "ff" * 16)


@pytest.mark.parametrize("name", ["", ".", "..", "../" + "0f" * 16, "0F" * 16, "0f" * 15, "0f" * 16 + "\n", "/" * 32])
def test_what_is_no_incarnation_is_never_touched(tmp_path: Path, name: str) -> None:
    fill(tmp_path, GONE)
    with pytest.raises(ValueError, match="not an incarnation"):
        removal.remove(tmp_path, name)
    assert list(removal.homes_below(tmp_path)) == [GONE]


def test_no_symbolic_link_is_followed(tmp_path: Path) -> None:
    root, precious = tmp_path / "root", tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine\n")
    fill(root, GONE)
    (home(root, GONE) / "link").symlink_to(precious)
    (maildir(root, GONE) / ".Folder").symlink_to(precious)
    removal.remove(root, GONE)
    assert not home(root, GONE).exists()

    home(root, OTHER).symlink_to(precious)
    with pytest.raises(OSError):
        removal.remove(root, OTHER)
    (root / "ab").symlink_to(precious.parent)
    (precious.parent / ("ab" * 16)).mkdir()
    with pytest.raises(OSError):
        removal.remove(root, "ab" * 16)
    assert list(removal.homes_below(root)) == []
    assert (precious / "file").read_text() == "mine\n"
    assert (precious.parent / ("ab" * 16)).is_dir()


def test_only_what_looks_like_a_home_is_listed(tmp_path: Path) -> None:
    fill(tmp_path, GONE)
    for other in ("lost+found", "0f/lost+found", "0f/" + "aa" * 16, "aa/" + "0f" * 16, "example.com/info"):
        (tmp_path / other).mkdir(parents=True)
    (tmp_path / "0f" / ("0f" * 15 + "bb")).write_text("a file\n")
    assert list(removal.homes_below(tmp_path)) == [GONE]


def test_the_last_change_is_seen_however_deep(tmp_path: Path) -> None:
    fill(tmp_path, GONE)
    before = removal.last_change(tmp_path, GONE)
    deep = maildir(tmp_path, GONE) / ".Sent" / "cur" / "2.mail"
    deep.write_text("Subject: later\n")
    assert removal.last_change(tmp_path, GONE) == max(deep.stat().st_ctime, deep.parent.stat().st_ctime) >= before


def test_a_mail_root_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        removal.refuse_missing(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        removal.refuse_missing(tmp_path / "file")
    removal.refuse_missing(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
