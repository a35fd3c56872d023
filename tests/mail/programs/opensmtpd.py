"""OpenSMTPD, which asks the lists through rspamd's filter."""

from pathlib import Path

import smtp
import world as w
from programs import rspamd

PACKAGES = ["opensmtpd", "opensmtpd-filter-rspamd", "rspamd"]


def test(world, report):
    world.start_all()
    aliases = Path("/etc/aliases")
    aliases.write_text(aliases.read_text() if aliases.exists() else "")
    Path("/etc/mailname").write_text("mx.example.net\n")
    w.follow("opensmtpd/README.md")
    rspamd.start(world)
    world.start("opensmtpd", ["smtpd", "-d"])
    world.listens(25)
    smtp.try_clients(report)
    smtp.try_domains(report)
    smtp.try_endings(world, report)
