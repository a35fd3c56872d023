"""Exim: dnslists with bit masks and return codes, and the text of the listing in the reply."""

import re
from pathlib import Path

import smtp
from world import LISTED_BIT, follow

PACKAGES = ["exim4-daemon-light"]


def test(world, report):
    world.start_all()
    # What Debian asks at installation: a host on the Internet that takes mail for itself.
    path = Path("/etc/exim4/update-exim4.conf.conf")
    text = path.read_text()
    for key, value in {"configtype": "internet", "other_hostnames": "mx.example.net", "local_interfaces": ""}.items():
        text = re.sub(rf"(?m)^dc_(exim)?{key}=.*$", lambda found, value=value: f"dc_{found[1] or ''}{key}='{value}'", text)
    path.write_text(text)
    follow("exim/README.md")
    world.start("exim", ["exim4", "-bdf", "-q30m"])
    world.listens(25)
    smtp.try_clients(report)
    found = smtp.send(LISTED_BIT)
    report.check("a client with the other bit is refused with its text", found.says(smtp.text_of(LISTED_BIT)), found)
    smtp.try_domains(report)
    log = "allowed by grwhitelist.tee.gr (127.0.11.2)"
    report.check(f"it logs {log!r}", log in world.log("/var/log/exim4/mainlog"), world.log("/var/log/exim4/mainlog"))
    smtp.try_endings(world, report)
