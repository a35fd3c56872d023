"""Knot Resolver: with the stub policy of deploy/knot-resolver, and by plain delegation; QNAME minimisation off and on (it has
no stricter way)."""

from pathlib import Path

import lists
from world import follow

PACKAGES = ["knot-resolver", "rbldnsd"]
CONFIG = Path("/etc/knot-resolver/kresd.conf")
MODES = {"off": "option('NO_MINIMIZE', true)", "on": "option('NO_MINIMIZE', false)"}


def test(world, report):
    world.serve_lists()
    expected = lists.expectations(world)
    Path("/usr/share/dns/root.key").write_text(world.start_internet() + "\n")
    Path("/run/knot-resolver/control").mkdir(parents=True)
    sample = CONFIG.read_text()
    follow("knot-resolver/README.md")
    for way, config in (("stub policy", CONFIG.read_text()), ("delegation", sample)):
        for mode, line in MODES.items():
            # The Internet of this test is on this machine.
            CONFIG.write_text(f"{config}\n{line}\noption('ALLOW_LOCAL', true)\ncache.clear()\n")
            preconfig = next(Path("/usr/lib").glob("*/knot-resolver/distro-preconfig.lua"))
            command = ["kresd", "-n", "-c", preconfig, "-c", CONFIG, "/var/cache/knot-resolver"]
            lists.try_resolver(world, report, f"{way}, QNAME minimisation {mode}", expected, command)
