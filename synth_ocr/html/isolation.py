"""How the browser is cut off from the network, below everything that a page or the browser itself could do.

Intercepting requests is not enough: Chromium prefetches, prerenders, preconnects and uses WebRTC without asking whoever
intercepts. Two layers hold for those as well:

* A network namespace of its own has no interface but a loopback that is down, so no packet leaves it.
* Settings: a proxy whose name cannot be resolved takes all TCP connections, WebRTC may use only the proxy, and no name is
  ever looked up. They are always given, because a name service that listens on a file (nscd, systemd-resolved) can be
  reached from inside a network namespace.

Where a namespace is not allowed, the settings alone must do, and ``probe`` checks at each start that they do.
"""

import shlex
import shutil
import subprocess
from enum import StrEnum
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

# the first one draws no windows: a page costs a third less CPU time
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# --proxy-bypass-list: addresses of this machine go through the proxy too. Of the last two flags each is read by another
# build of Chromium
SETTINGS = (
    "--proxy-server=http://no-proxy.invalid:1", "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)  # fmt: skip
# as root; then as any user, where the system lets users create namespaces
UNSHARE = (("--net",), ("--map-current-user", "--net"))
SECONDS = 10


class Isolation(StrEnum):
    """What keeps an untrusted page off the network. The ledger and ``qvl doctor`` have these names."""

    NAMESPACE = "network namespace"
    SETTINGS = "browser settings"


class NotIsolated(Exception):
    """The browser can reach the network, so it must not show untrusted pages."""


def executable() -> str | None:
    """The path of the installed browser, or None. It is never downloaded."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def write_launcher(folder: Path, program: str, options: tuple[str, ...]) -> Path:
    """A script that runs the program in a network namespace of its own, because Playwright starts a file and not a command.

    The script is replaced by the program, so signals reach it and the pipe to Playwright stays open.
    """
    path = folder / Path(program).name
    path.write_text(f'#!/bin/sh\nexec unshare {shlex.join(options)} -- {shlex.quote(program)} "$@"\n', "utf-8")
    path.chmod(0o700)
    return path


@cache
def unshare_options() -> tuple[str, ...] | None:
    """The options with which ``unshare`` creates a network namespace here, or None if this is not possible.

    Tried with the same kind of script that starts the browser, which also fails if temporary files must not be executed.
    """
    program = shutil.which("readlink")
    if program is None or shutil.which("unshare") is None:
        return None
    ours = str(Path("/proc/self/ns/net").readlink())
    with TemporaryDirectory(prefix="qvl-browser-") as folder:
        return next((each for each in UNSHARE if _namespace(Path(folder), program, each) not in (ours, "")), None)


def _namespace(folder: Path, readlink: str, options: tuple[str, ...]) -> str:
    """The name of the network namespace that the options give; empty if they fail."""
    command = [str(write_launcher(folder, readlink, options)), "/proc/self/ns/net"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    except (subprocess.SubprocessError, OSError):
        return ""
    return done.stdout.strip()
