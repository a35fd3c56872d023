"""unbound: with the stub zones of deploy/unbound, and by plain delegation; all three ways of QNAME minimisation."""

from pathlib import Path

import lists
from world import follow

PACKAGES = ["rbldnsd", "unbound"]
MODES = {
    "QNAME minimisation off": "qname-minimisation: no",
    "QNAME minimisation relaxed": "qname-minimisation: yes",
    "QNAME minimisation strict": "qname-minimisation: yes\n    qname-minimisation-strict: yes",
}
FOLDER = Path("/etc/unbound/unbound.conf.d")


def test(world, report):
    world.serve_lists()
    expected = lists.expectations(world)
    Path("/var/lib/unbound/root.key").write_text(world.start_internet() + "\n")
    for way in ("stub zones", "delegation"):
        if way == "stub zones":
            follow("unbound/README.md")
        else:
            (FOLDER / "dnsbld.conf").unlink()
            # The Internet of this test is on this machine.
            (FOLDER / "local.conf").write_text("server:\n    do-not-query-localhost: no\n")
        for mode, lines in MODES.items():
            (FOLDER / "mode.conf").write_text(f"server:\n    {lines}\n")
            world.start("unbound", ["unbound", "-d", "-p"])
            world.answers("127.0.0.1", "mx.example.net")
            lists.compare(report, f"{way}, {mode}", expected)
            lists.validates(report, f"{way}, {mode}")
            world.stop("unbound")
