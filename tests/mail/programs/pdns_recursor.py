"""PowerDNS Recursor: with the forwarded zones of deploy/pdns-recursor, and by plain delegation; QNAME minimisation off and on."""

from pathlib import Path

import lists
from world import follow

PACKAGES = ["pdns-recursor", "rbldnsd"]
FOLDER = Path("/etc/powerdns")
MODES = {"off": "no", "on": "yes"}


def test(world, report):
    world.serve_lists()
    expected = lists.expectations(world)
    Path("/usr/share/dns/root.key").write_text(world.start_internet() + "\n")
    Path("/run/pdns-recursor").mkdir()
    lua = (FOLDER / "recursor.lua").read_text()
    follow("pdns-recursor/README.md")
    for way in ("forwarded zones", "delegation"):
        for mode, word in MODES.items():
            # The Internet of this test is on addresses that are not asked otherwise.
            (FOLDER / "recursor.d/test.conf").write_text(f"qname-minimization={word}\ndont-query=\n")
            what = f"{way}, QNAME minimisation {mode}"
            lists.try_resolver(world, report, what, expected, ["pdns_recursor", "--daemon=no", "--disable-syslog"])
        (FOLDER / "recursor.d/dnsbld.conf").unlink(missing_ok=True)
        (FOLDER / "recursor.lua").write_text(lua)
