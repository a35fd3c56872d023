"""unbound: with the stub zones of deploy/unbound, and by plain delegation; QNAME minimisation off, relaxed and strict."""

from pathlib import Path

import lists
from world import follow

PACKAGES = ["rbldnsd", "unbound"]
FOLDER = Path("/etc/unbound/unbound.conf.d")
MODES = {
    "off": "qname-minimisation: no",
    "relaxed": "qname-minimisation: yes",
    "strict": "qname-minimisation: yes\n    qname-minimisation-strict: yes",
}


def test(world, report):
    world.serve_lists()
    expected = lists.expectations(world)
    Path("/var/lib/unbound/root.key").write_text(world.start_internet() + "\n")
    follow("unbound/README.md")
    for mode, lines in MODES.items():
        (FOLDER / "mode.conf").write_text(f"server:\n    {lines}\n")
        lists.try_resolver(world, report, f"stub zones, QNAME minimisation {mode}", expected, ["unbound", "-d", "-p"])
    (FOLDER / "dnsbld.conf").unlink()
    # The Internet of this test is on this machine.
    (FOLDER / "internet.conf").write_text("server:\n    do-not-query-localhost: no\n")
    for mode, lines in MODES.items():
        (FOLDER / "mode.conf").write_text(f"server:\n    {lines}\n")
        lists.try_resolver(world, report, f"delegation, QNAME minimisation {mode}", expected, ["unbound", "-d", "-p"])
