"""From Debian's rbldnsd to dnsbld and back, by the page deploy/from-rbldnsd.md word for word, under a running mail server.

Two instances of rbldnsd serve the sample zones from Debian's defaults file, by its init script, as the two name servers that the
zones above delegate to. Mail goes on all the time.
"""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import dns
import lists
import smtp
import world as w
from programs import postfix
from report import wait_for

PACKAGES = ["lsb-base", "postfix", "rbldnsd", "sysvinit-utils"]
FOLDER = Path("/var/lib/rbldns")
SERVERS = ["192.0.2.53", "203.0.113.53"]
# The page's own example, beside the sample zones.
EXAMPLE = {"hosts": ":2:$ is open\n127.0.0.2\n192.0.2.1\n", "relays": "192.0.2.2 :3:$ relays\n", "clients": "192.0.2.99 :refuse\n"}


class Mail(threading.Thread):
    """Sends mail from a listed and from an unlisted client, again and again, and keeps what is not as it should be."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.sent, self.wrong = 0, []

    def run(self):
        while not self.ended.wait(0.1):
            listed, unlisted = smtp.send(w.LISTED), smtp.send(w.UNLISTED)
            self.sent += 2
            if not (listed.refused and listed.says("sent a virus") and unlisted.accepted):
                self.wrong.append((time.monotonic(), listed, unlisted))


def set_up():
    """Files, defaults file and the service manager of a host that has rbldnsd."""
    for path in w.ZONES.iterdir():
        shutil.copy(path, FOLDER)
    for name, text in EXAMPLE.items():
        (FOLDER / name).write_text(text)
    zones = " ".join(f"{zone}:{kind}:{path.name}" for zone, kind, path in lists.specified())
    zones += " bl.example.org:ip4set:hosts,relays bl.example.org:acl:clients"
    instances = "\n".join(f"ns{n + 1} -u rbldns -r {FOLDER} -b {server} {zones}" for n, server in enumerate(SERVERS))
    Path("/etc/default/rbldnsd").write_text(f'RBLDNSD="{instances}\n"\n')
    # There is no systemd in a namespace; the init script does the same for all instances, one after the other.
    systemctl = Path("/usr/bin/systemctl")
    systemctl.unlink(missing_ok=True)
    systemctl.write_text('#!/bin/sh\nexec "/etc/init.d/$2" "$1" >/dev/null 2>&1 </dev/null\n')
    systemctl.chmod(0o755)


def answers():
    """What both servers say to all questions, directly."""
    found = [dns.ask_all(server, lists.questions()) for server in SERVERS]
    return found if all(answer.code != "TIMEOUT" for each in found for answer in each.values()) else None


def who(server):
    """What a server says it is."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"rbldnsd" in command[0] and server.encode() in command:
                return Path(os.readlink(f"/proc/{pid}/exe")).name
        except OSError:
            continue
    return "nobody"


def both_are(program):
    """Both servers are that program, and answer."""
    return wait_for(lambda: [who(server) for server in SERVERS] == [program] * 2 and answers(), 20)


def differences(before, after):
    """Answers that changed, but for the page's first: a name with listed names below it exists."""
    changed = {question: (old, after[question]) for question, old in before.items() if old != after[question]}
    listed = [name for (name, _), answer in before.items() if answer.records]

    def now_exists(name, old, new):
        has_below = any(other.endswith(f".{name}") for other in listed)
        return (old.code, new.code, new.records) == ("NXDOMAIN", "NOERROR", ()) and has_below

    named = [question for question, (old, new) in changed.items() if now_exists(question[0], old, new)]
    return {question: change for question, change in changed.items() if question not in named}, len(named)


def test(world, report):
    world.make_zones()
    set_up()
    w.call("/etc/init.d/rbldnsd", "start")
    world.start_resolver(world.start_internet(), with_stub_zones=False)
    w.call("postconf", "-e", *postfix.HOST)
    w.follow("postfix/README.md", "Refuse and allow")
    w.follow("postfix/README.md", "No longer than the TTL")
    postfix.start()
    look, beside, place, back = w.console_blocks(w.DEPLOY / "from-rbldnsd.md", "Tonight")
    Path("/usr/local/bin/dnsbld").symlink_to(world.binary)
    before = both_are("rbldnsd")
    report.check("two instances of Debian's rbldnsd are running", before, w.call("ps", "ax"))
    mail = Mail()
    mail.start()
    w.call("sh", "-e", "-c", "\n".join(look))
    report.check("step 1: the check of the running files finds no fault", True)
    (command,) = beside
    world.start("beside", command.split())
    found = wait_for(lambda: w.try_to_ask("127.0.0.1", "2.0.0.127.bl.example.org", "TXT", 5300).records, 20)
    report.check("step 2: dnsbld answers beside it", found == ("127.0.0.2 is open",), found)
    world.stop("beside")
    w.call("sh", "-e", "-c", "\n".join(place), cwd=world.binary.parent)
    after = both_are("dnsbld")
    report.check("step 3: dnsbld is in its place, as both instances", after, w.call("ps", "ax"))
    if before and after:
        for server, old, new in zip(SERVERS, before, after):
            wrong, named = differences(old, new)
            what = f"{len(old)} questions to {server}: the same answers, but for {named} names that now exist"
            report.check(what, not wrong, wrong)
    try_notify(world, report)
    w.call("sh", "-e", "-c", "\n".join(back))
    again = both_are("rbldnsd")
    report.check("the way back: rbldnsd is in its place, with the answers it had", again == before, again)
    mail.ended.set()
    mail.join(timeout=60)
    report.check(f"{mail.sent} messages meanwhile: the mail server notices nothing", mail.sent > 20 and not mail.wrong, mail.wrong)
    w.call("postfix", "stop")


def try_notify(world, report):
    """The script that Debian's systemd unit runs, with systemd's socket for the news that the server is ready."""
    path = "/run/notify"
    text = Path("/etc/default/rbldnsd").read_text().replace("ns1 ", "- ", 1).replace(f"-b {SERVERS[0]}", "-b 127.0.0.3")
    Path("/etc/default/rbldnsd").write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)
        manager.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": path}
        world.start("unit", ["/usr/sbin/rbldnsd.wrapper"], env=environment)
        try:
            news = manager.recv(4096).decode()
        except TimeoutError:
            news = "nothing"
    found = dns.ask("127.0.0.3", "2.0.0.127.virbl.tee.gr").records
    report.check("started by its systemd unit's script, it says when it is ready", "READY=1" in news and found, (news, found))
    world.stop("unit")
    Path("/etc/default/rbldnsd").write_text(text.replace("- ", "ns1 ", 1).replace("-b 127.0.0.3", f"-b {SERVERS[0]}"))
