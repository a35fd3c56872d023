"""Sendmail: FEATURE(dnsbl), FEATURE(enhdnsbl), and the rulesets of deploy/sendmail for the sender's domain and the allowlist; and a
scanner's notes in a database of its makemap, served by deploy/virbl.md."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import smtp
from report import wait_for
from world import DEPLOY, LISTED, LISTED_BIT, SHORTLY_LISTED, UNLISTED, ZONES, call, follow, shortened

PACKAGES = ["m4", "make", "sendmail-bin", "sendmail-cf"]
FOLDER = Path("/etc/mail")
# The note is older by what is missing to an hour.
NOTED_FOR_S = 15


def start(world):
    """Starts Sendmail in the foreground."""
    world.start("sendmail", ["/usr/libexec/sendmail/sendmail", "-bD", "-q10m"])
    world.listens(25)


def try_notes(report):
    """Notes that makemap wrote and prints again: the client is refused for as long as its note is no hour old."""
    head, dump = re.findall(r"```text\n(.*?)```", (DEPLOY / "virbl.md").read_text(), re.DOTALL)[:2]
    folder = Path("/var/lib/scanner")
    folder.mkdir()
    (folder / "zones").symlink_to(ZONES)
    (folder / "virbl.head").write_text(shortened(head))
    end_s = int(time.time()) + NOTED_FOR_S
    notes = f"{SHORTLY_LISTED}\t{end_s - 3600}\n{UNLISTED}\t{end_s - 7200}\n"
    subprocess.run(["makemap", "btree", "virbl.db"], input=notes, text=True, check=True, cwd=folder)
    call("sh", "-e", "-c", dump, cwd=folder)
    found = wait_for(lambda: smtp.refusal(smtp.send, SHORTLY_LISTED), NOTED_FOR_S, pause_s=0.5)
    says = found and found.says(f"{SHORTLY_LISTED} sent a virus less than an hour ago")
    report.check("a client of whom makemap has a note is refused with its text", says and time.time() < end_s, (found, end_s))
    other = smtp.send(UNLISTED)
    report.check("one whose note is older is accepted", other.accepted, other)
    found = wait_for(lambda: smtp.acceptance(smtp.send, SHORTLY_LISTED), NOTED_FOR_S + smtp.SHOWS_IN_S, pause_s=0.5)
    late_s = time.time() - end_s
    good = found and 0 <= late_s <= smtp.SHOWS_IN_S
    report.check("it is accepted an hour after its note, and not before", good, (found, f"{late_s:.1f} s after its end"))


def test(world, report):
    world.start_all()
    Path("/run/sendmail/mta").mkdir(parents=True, exist_ok=True)
    path = FOLDER / "sendmail.mc"
    # Debian's sendmail lets fifteen clients connect in ten minutes, and greets them after a second: fewer than the tests need.
    leave = ("greet_pause", "conncontrol", "ratecontrol", "CONNECTION_RATE")
    sample = "\n".join(line for line in path.read_text().splitlines() if not any(word in line for word in leave)) + "\n"
    path.write_text(sample)
    (FOLDER / "local-host-names").write_text("mx.example.net\n")
    follow("sendmail/README.md")
    start(world)
    report.note("with FEATURE(enhdnsbl):")
    smtp.try_clients(report, has_v6=False)
    found = smtp.send(LISTED_BIT)
    report.check("a client with the other code is refused with its text", found.says(smtp.text_of(LISTED_BIT)), found)
    smtp.try_domains(report)
    smtp.try_endings(world, report)
    world.stop("sendmail")
    world.relist(LISTED)
    # The page's other file, in place of enhdnsbl.m4.
    shutil.copy(DEPLOY / "sendmail/dnsbl.m4", FOLDER / "m4")
    path.write_text(path.read_text().replace("enhdnsbl.m4", "dnsbl.m4"))
    call("sh", "-c", "m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf")
    start(world)
    report.note("with FEATURE(dnsbl):")
    smtp.try_clients(report, has_v6=False)
    smtp.try_endings(world, report)
    try_notes(report)
