"""A root folder and namespaces of its own for the test of one program: layer.py PROGRAM BINARY CACHE.

Debian's mail servers exclude one another, and their daemons want the usual ports. So this machine's root folder is laid under
an empty one in memory (overlayfs), the program's packages are installed into that, and its test runs inside, in network and
process namespaces of its own: what is written, listens or runs there is gone when it ends. Installed packages are kept as a
tar file in CACHE, which is good as long as this machine's own packages stay the same.

To be called as root, in mount and process namespaces of its own.
"""

import hashlib
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# What the world of every program is made of; see world.py.
COMMON_PACKAGES = ["bind9-utils", "dns-root-data", "iproute2", "nsd", "unbound"]
# Where the root folder is made; only the processes of this mount namespace see it.
BASE = Path("/mnt")
# How much of the memory a root folder may take.
SIZE = "1536m"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# With the marks of overlayfs.
TAR_OPTIONS = ["--numeric-owner", "--xattrs", "--xattrs-include=*"]


def call(*command, **more):
    """Runs a command; what it prints is shown if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout.decode(errors='replace')[-4000:]}\nexit code {done.returncode}")


def make_root(kept):
    """Lays a folder in memory over this machine's root folder, with what was kept of an earlier run, if anything.

    Returns the new root folder, and the folder of the changes.
    """
    call("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", BASE)
    root, changes, work = (BASE / name for name in ("root", "changes", "work"))
    for folder in (root, changes, work):
        folder.mkdir()
    if kept.exists():
        call("tar", "--extract", f"--file={kept}", f"--directory={changes}", *TAR_OPTIONS)
    call("mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={changes},workdir={work}", "overlay", root)
    for folder in ("dev", "proc", "sys"):
        call("mount", "--rbind", f"/{folder}", root / folder)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    # The resolver's address often stands in a file below /run.
    resolvers = Path("/etc/resolv.conf").read_text()
    (root / "etc/resolv.conf").unlink()
    (root / "etc/resolv.conf").write_text(resolvers)
    return root, changes


def install(root, packages):
    """Installs Debian packages into a root folder, and lets no daemon start."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    environment = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "HOME": "/root"}
    get = ["chroot", str(root), "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    wanted = [*get, "install", "-y", "--no-install-recommends", *packages]
    first = subprocess.run(wanted, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if first.returncode != 0:
        call(*get, "update", env=environment)
        call(*wanted, env=environment)
    call(*get, "clean", env=environment)


def keep(changes, kept):
    """Keeps the changes for the next run: whole or not at all, since two may be at it."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    for old in kept.parent.glob("*.tar"):
        old.unlink()
    part = kept.with_suffix(f".{os.getpid()}")
    try:
        leave = ["./run", "./tmp", "./var/tmp", "./var/lib/apt/lists", "./etc/resolv.conf"]
        excluded = [f"--exclude={name}" for name in leave]
        call("tar", "--create", f"--file={part}", f"--directory={changes}", *TAR_OPTIONS, *excluded, ".")
        part.rename(kept)
    finally:
        part.unlink(missing_ok=True)


def main():
    program, binary, cache = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    sys.path.insert(0, str(HERE))
    packages = sorted({*COMMON_PACKAGES, *importlib.import_module(f"programs.{program}").PACKAGES})
    status = Path("/var/lib/dpkg/status").read_bytes()
    kept = cache / program / f"{hashlib.sha256(' '.join(packages).encode() + status).hexdigest()[:16]}.tar"
    root, changes = make_root(kept)
    if not kept.exists():
        start = time.monotonic()
        install(root, packages)
        seconds = time.monotonic() - start
        print(f"{program:<13}                installed in {seconds:.0f} s; kept for the next time", flush=True)
        keep(changes, kept)
    # As after a start of the machine.
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    for folder in {REPOSITORY, binary.parent}:
        (root / folder.relative_to("/")).mkdir(parents=True, exist_ok=True)
        call("mount", "--bind", "-o", "ro", folder, root / folder.relative_to("/"))
    # When the first process of the inner namespace ends, the kernel ends all that were started in it.
    inner = ["unshare", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
    inner += [f"--root={root}", "--wd=/root", "--mount-proc"]
    environment = {"PATH": f"{PATH}:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run([*inner, sys.executable, str(HERE / "inside.py"), program, str(binary)], env=environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
