"""Programs of Debian 13 on whatever machine runs the tests, out of a root that ``scripts/debian-13-root`` makes.

The root is entered with the machine's own accounts, so that names mean the same user inside and outside.
"""

import os
import shlex
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MAILSVC_DEBIAN_13_ROOT", "/var/cache/mailsvc-tests/debian-13"))


def require_root() -> None:
    """Skip the test that asks unless there is such a root and whoever runs the tests may enter it."""
    if os.geteuid() != 0 or not (ROOT / "usr/sbin/dovecot").exists():
        pytest.skip(f"there is no Debian 13 root {ROOT} (as root: scripts/debian-13-root {ROOT})")


def inside(directory: Path, *arguments: str) -> list[str]:
    """The command that runs ``arguments`` in the root, where ``directory`` is at the same place as outside.

    It sees mounts of its own, which end with it.
    """
    mounts = [f"mount --rbind {path} {ROOT}{path}" for path in (directory, "/etc/passwd", "/etc/group", "/proc")]
    script = " && ".join([f"mkdir -p {ROOT}{directory}", *mounts, f"exec chroot {ROOT} {shlex.join(arguments)}"])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def forget(directory: Path) -> None:
    """Remove what ``inside`` has left of ``directory`` in the root: empty directories."""
    Path(f"{ROOT}{directory}").rmdir()
