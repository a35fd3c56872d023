"""Sendmail: FEATURE(dnsbl), FEATURE(enhdnsbl), and the rulesets of deploy/sendmail for the sender's domain and the allowlist."""

import shutil
from pathlib import Path

import smtp
from world import DEPLOY, LISTED, LISTED_BIT, call, follow

PACKAGES = ["m4", "make", "sendmail-bin", "sendmail-cf"]
FOLDER = Path("/etc/mail")


def start(world):
    """Starts Sendmail in the foreground."""
    world.start("sendmail", ["/usr/libexec/sendmail/sendmail", "-bD", "-q10m"])
    world.listens(25)


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
