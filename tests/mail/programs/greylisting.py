"""Greylisting with postgrey behind Postfix: the allowlist is its exemption."""

import time
from pathlib import Path

import smtp
import world as w
from programs import postfix
from report import wait_for

PACKAGES = ["postfix", "postgrey"]
# Debian's is five minutes.
DELAY_S = 4


def waits(client, sender_domain=w.UNLISTED_DOMAIN):
    """The outcome, if the client is asked to come again."""
    found = smtp.send(client, sender_domain)
    return found if found.code == 450 and found.says("Greylisted") else None


def test(world, report):
    world.start_all()
    w.call("postconf", "-e", *postfix.HOST)
    w.follow("postgrey/README.md")
    # As Debian's init script does, but for the delay.
    Path("/run/postgrey").mkdir(exist_ok=True)
    w.call("chown", "postgrey:postgrey", "/run/postgrey")
    world.start("postgrey", ["postgrey", "--inet=10023", f"--delay={DELAY_S}"])
    world.listens(10023)
    postfix.start()
    start = time.monotonic()
    found = smtp.send(w.UNLISTED)
    report.check("an unlisted client has to come again", found.code == 450 and found.says("Greylisted"), found)
    for what, client in {
        "an allowlisted client": w.ALLOWED,
        "an allowlisted client that is listed": w.LISTED_AND_ALLOWED,
        "an allowlisted client that is not trusted": w.ALLOWED_UNTRUSTED,
    }.items():
        found = smtp.send(client, "first.example")
        report.check(f"{what} is accepted at once", found.accepted, found)
    found = smtp.send(w.LISTED)
    good = found.refused and found.says(smtp.text_of(w.LISTED))
    report.check("a listed client is refused with the text of its listing", good, found)
    found = smtp.send(w.EXCLUDED)
    report.check("one that is excluded from an allowlisted network has to come again", found.code == 450, found)
    found = wait_for(lambda: smtp.acceptance(smtp.send, w.UNLISTED), DELAY_S + 5, pause_s=0.5)
    waited_s = time.monotonic() - start
    # postgrey counts whole seconds.
    good = found and waited_s > DELAY_S - 1
    report.check("the unlisted client is accepted when it comes again later, and not before", good, (found, waited_s))
    world.delist(w.ALLOWED, "grwhitelist.tee.gr.ip4trie")
    found = wait_for(lambda: waits(w.ALLOWED, f"n{time.time_ns()}.example"), smtp.SHOWS_IN_S, pause_s=0.5)
    report.check("a client that was taken off the allowlist has to come again", found, "still accepted at once")
    world.delist(w.LISTED)
    found = wait_for(lambda: waits(w.LISTED, "second.example"), smtp.SHOWS_IN_S, pause_s=0.5)
    report.check("a listed client has to come again once its line is gone", found, "still refused")
    found = wait_for(lambda: smtp.send(w.LISTED, "second.example").accepted, DELAY_S + 5, pause_s=0.5)
    report.check("and then it is accepted", found, "not accepted")
    w.call("postfix", "stop")
