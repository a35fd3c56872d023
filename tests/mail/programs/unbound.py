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
    try_rbldnsd(world, report, expected)
    (FOLDER / "dnsbld.conf").unlink()
    # The Internet of this test is on this machine.
    (FOLDER / "internet.conf").write_text("server:\n    do-not-query-localhost: no\n")
    for mode, lines in MODES.items():
        (FOLDER / "mode.conf").write_text(f"server:\n    {lines}\n")
        lists.try_resolver(world, report, f"delegation, QNAME minimisation {mode}", expected, ["unbound", "-d", "-p"])


def try_rbldnsd(world, report, expected):
    """That the strict way is a hard one, and that this test would see it: with rbldnsd in our place, listings vanish."""
    world.stop("dnsbld")
    lists.start_rbldnsd(world, 5300)
    world.start("resolver", ["unbound", "-d", "-p"])
    world.answers("127.0.0.1", "mx.example.net")
    wrong = lists.wrong_answers(expected)
    report.check("the same, strict, with rbldnsd in our place: listings vanish", wrong, "nothing is wrong")
    report.note(f"{len(wrong)} of {len(expected)} answers are wrong then")
    world.stop("resolver")
    world.stop("rbldnsd")
    world.start_dnsbld()
