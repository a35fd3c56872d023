"""BIND without forwarders: with the static-stub zones of deploy/bind, and by plain delegation; QNAME minimisation off,
relaxed and strict."""

from pathlib import Path

import lists
from world import follow

PACKAGES = ["bind9", "rbldnsd"]
FOLDER = Path("/etc/bind")
MODES = {"off": "disabled", "relaxed": "relaxed", "strict": "strict"}


def test(world, report):
    world.serve_lists()
    expected = lists.expectations(world)
    tag, algorithm, kind, digest = world.start_internet().split("DS ")[1].split(maxsplit=3)
    anchor = f'. initial-ds {tag} {algorithm} {kind} "{digest.replace(" ", "")}";'
    (FOLDER / "bind.keys").write_text(f"trust-anchors {{ {anchor} }};\n")
    Path("/run/named").mkdir(mode=0o777)
    options = (FOLDER / "named.conf.options").read_text()
    follow("bind/README.md")
    for way in ("static-stub zones", "delegation"):
        for mode, word in MODES.items():
            changed = options.replace("options {", f"options {{\n\tqname-minimization {word};", 1)
            (FOLDER / "named.conf.options").write_text(changed)
            what = f"{way}, QNAME minimisation {mode}"
            lists.try_resolver(world, report, what, expected, ["named", "-f", "-u", "bind"])
        (FOLDER / "named.conf.local").write_text("")
