"""SpamAssassin: check_rbl with a sub-test for each return code, the allowlist, the sender's domain, and the text of a listing."""

import re
import subprocess
import time
from pathlib import Path

import smtp
import world as w
from report import wait_for

PACKAGES = ["spamassassin", "spamc", "spamd"]


def scan(client, sender_domain=w.UNLISTED_DOMAIN):
    """SpamAssassin's report on a message that came from a client."""
    sender = f"someone@{sender_domain}"
    message = (
        f"Return-Path: <{sender}>\r\n"
        f"Received: from mail.fine.example (mail.fine.example [{client}]) by mx.example.net with ESMTP id 1"
        f" for <{smtp.RECIPIENT}>; Sun, 22 Nov 2026 12:00:00 +0000\r\n"
        f"From: <{sender}>\r\nTo: <{smtp.RECIPIENT}>\r\nSubject: test\r\nMessage-ID: <1@{sender_domain}>\r\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nHello.\r\n"
    )
    done = subprocess.run(["spamc", "-R"], input=message.encode(), capture_output=True, timeout=60, check=False)
    return " ".join(done.stdout.decode(errors="replace").split())


def spam(client):
    """The report, if the message is spam by its score."""
    found = scan(client)
    score, _, threshold = found.partition(" ")[0].partition("/")
    return found if float(score) >= float(threshold) else None


def test(world, report):
    world.start_all()
    w.follow("spamassassin/README.md")
    local = Path("/etc/spamassassin/local.cf")
    # "example" is a top-level domain of this test's Internet only.
    local.write_text(local.read_text() + "\ntrusted_networks 127.0.0.0/8\nuse_bayes 0\nutil_rb_tld example\n")
    world.start("spamd", ["spamd", "--listen=127.0.0.1", "--max-children=1", "-x", "-u", "nobody"])
    world.listens(783, limit_s=60)
    rows = [
        ("an unlisted client", w.UNLISTED, w.UNLISTED_DOMAIN, []),
        ("a listed client", w.LISTED, w.UNLISTED_DOMAIN, ["RCVD_IN_VIRBL", "RCVD_IN_VIRBL_TEXT"]),
        ("a listed client with the other code", w.LISTED_BIT, w.UNLISTED_DOMAIN, ["RCVD_IN_VIRBL_ONLY", "RCVD_IN_VIRBL_TEXT"]),
        ("a listed IPv6 client", w.LISTED_V6, w.UNLISTED_DOMAIN, ["RCVD_IN_VIRBL", "RCVD_IN_VIRBL_TEXT"]),
        ("an allowlisted client", w.ALLOWED, w.UNLISTED_DOMAIN, ["RCVD_IN_GRWL_HI"]),
        ("a listed and allowlisted client", w.LISTED_AND_ALLOWED, w.UNLISTED_DOMAIN,
         ["RCVD_IN_GRWL_MED", "RCVD_IN_VIRBL", "RCVD_IN_VIRBL_TEXT"]),
        ("a listed sender domain", w.UNLISTED, w.LISTED_DOMAIN, ["FROM_IN_BOGUSMX"]),
    ]
    ours = {name for _, _, _, names in rows for name in names} | {"RCVD_IN_GRWL_LOW"}
    for what, client, domain, expected in rows:
        found = scan(client, domain)
        seen = sorted(name for name in ours if f" {name} " in found)
        report.check(f"{what}: {', '.join(expected) or 'none of the rules'}", seen == expected, found)
    found = scan(w.LISTED)
    # The report breaks lines, brackets each, and marks links.
    plain = re.sub(r"[\s<>\[\]]", "", found)
    report.check("the report has the text of the listing", re.sub(r"\s", "", smtp.text_of(w.LISTED)) in plain, found)
    report.check("an allowlisted client's mail is no spam although it is listed", not spam(w.LISTED_AND_ALLOWED), "spam")
    try_endings(world, report)


def try_endings(world, report):
    """Mail is spam while its client is listed, and is not when the listing has run out or was taken away."""
    end_s = world.list_for(w.SHORTLY_LISTED, smtp.LISTED_FOR_S)
    found = wait_for(lambda: spam(w.SHORTLY_LISTED), smtp.SHOWS_IN_S, pause_s=0.5)
    report.check("a client's mail is spam as soon as the scanner lists it", found and time.time() < end_s, found)
    found = wait_for(lambda: not spam(w.SHORTLY_LISTED), smtp.LISTED_FOR_S + smtp.SHOWS_IN_S, pause_s=0.5)
    late_s = time.time() - end_s
    report.check("it is not when its listing has run out, and not before", found and 0 <= late_s <= smtp.SHOWS_IN_S, late_s)
    found = spam(w.LISTED)
    world.delist(w.LISTED)
    gone = wait_for(lambda: not spam(w.LISTED), smtp.SHOWS_IN_S, pause_s=0.5)
    report.check("a listed client's mail is not once its line is gone", found and gone, (found, gone))
    report.note(f"no spam {late_s:.1f} s after the listing's end")
