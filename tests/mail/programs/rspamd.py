"""rspamd: the rbl module with return codes, the allowlist, the sender's domain; and how it watches over the lists."""

import json
import re
import urllib.request
from pathlib import Path

import smtp
import world as w
from report import wait_for

PACKAGES = ["rspamd"]
# How often it looks after the lists: once a minute, were it not for this test.
WATCH_S = 2


def scan(client, sender_domain=w.UNLISTED_DOMAIN):
    """rspamd's reply on a message that came from a client: its symbols, action and message."""
    sender = f"someone@{sender_domain}"
    message = (
        f"From: <{sender}>\r\nTo: <{smtp.RECIPIENT}>\r\nSubject: test\r\nMessage-ID: <1@{sender_domain}>\r\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nHello.\r\n"
    )
    headers = {"IP": client, "From": sender, "Rcpt": smtp.RECIPIENT, "Helo": "mail.fine.example", "Queue-Id": "1"}
    request = urllib.request.Request("http://127.0.0.1:11333/checkv2", message.encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def ours(found):
    """The symbols of our lists."""
    return sorted(name for name in found["symbols"] if re.search("VIRBL|GRWL|BOGUSMX", name))


def start(world):
    """Starts rspamd as its unit does, with the page followed, and waits until it answers."""
    w.follow("rspamd/README.md")
    # Half a minute goes by at each start while it compiles all suffixes of the Internet; ours has few.
    Path("/etc/rspamd/suffixes").write_text("example\ngr\nnet\norg\n")
    options = f'monitoring_watch_interval = {WATCH_S}s;\nurl_tld = "/etc/rspamd/suffixes";\n'
    Path("/etc/rspamd/local.d/options.inc").write_text(options)
    Path("/etc/rspamd/local.d/logging.inc").write_text('type = "console";\ndebug_modules = ["monitored"];\n')
    w.call("install", "-d", "-o", "_rspamd", "/run/rspamd", "/var/lib/rspamd", "/var/log/rspamd")
    world.start("rspamd", ["rspamd", "-c", "/etc/rspamd/rspamd.conf", "-f", "-u", "_rspamd", "-g", "_rspamd"])
    world.listens(11333, limit_s=150)


def test(world, report):
    world.start_all()
    start(world)
    rows = [
        ("an unlisted client", w.UNLISTED, w.UNLISTED_DOMAIN, []),
        ("a listed client", w.LISTED, w.UNLISTED_DOMAIN, ["RBL_VIRBL"]),
        ("a listed client with the other code", w.LISTED_BIT, w.UNLISTED_DOMAIN, ["RBL_VIRBL_ONLY"]),
        ("a listed IPv6 client", w.LISTED_V6, w.UNLISTED_DOMAIN, ["RBL_VIRBL"]),
        ("an allowlisted client", w.ALLOWED, w.UNLISTED_DOMAIN, ["RWL_GRWL_HI"]),
        ("an allowlisted client that is not trusted", w.ALLOWED_UNTRUSTED, w.UNLISTED_DOMAIN, ["RWL_GRWL_NONE"]),
        ("a listed and allowlisted client", w.LISTED_AND_ALLOWED, w.UNLISTED_DOMAIN, ["RWL_GRWL_MED"]),
        ("a listed sender domain", w.UNLISTED, w.LISTED_DOMAIN, ["RBL_BOGUSMX"]),
    ]
    for what, client, domain, expected in rows:
        found = scan(client, domain)
        report.check(f"{what}: {', '.join(expected) or 'no symbol'}", ours(found) == expected, found)
        refused = any(name.startswith("RBL") for name in expected)
        report.check(f"{what}: {'refused' if refused else 'not refused'}", (found["action"] == "reject") == refused, found)
    found = scan(w.LISTED)
    report.check("the reply has the text of the listing", smtp.text_of(w.LISTED) in str(found.get("messages")), found)
    try_watching(world, report)


def try_watching(world, report):
    """rspamd takes our lists for sound; one that lists the world it leaves out, until it is mended."""
    for zone in ("virbl.tee.gr", "grwhitelist.tee.gr", "bogusmx.rfc-ignorant.org"):
        sound = f"dns callback for {zone} in"
        found = wait_for(lambda sound=sound: [line for line in world.log("rspamd").splitlines() if sound in line], 10 * WATCH_S)
        good = found and all("no records with this name" in line for line in found)
        report.check(f"its watch finds {zone} sound", good, found)
    # A file that lists the world is not served by dnsbld, which says so.
    path = w.ZONES / "virbl.tee.gr.ip4set"
    sample = path.read_text()
    w.drop(path.name, sample.replace("!127.0.0.1\n", "") + "0.0.0.0/1 The world\n128.0.0.0/1 The world\n")
    found = wait_for(lambda: "refused: it lists 100 %" in world.log("dnsbld"), 10)
    report.check("dnsbld does not take a file that lists the world", found and not ours(scan(w.UNLISTED)), world.log("dnsbld"))
    # Told to do so, it does, and rspamd notices.
    w.call(world.binary, "reload", "--accept", "virbl.tee.gr", "--state", w.ZONES / ".dnsbld")
    bad = "while 'no records with this name' was expected when querying for '1.0.0.127.virbl.tee.gr'"
    found = wait_for(lambda: bad in world.log("rspamd") and not ours(scan(w.UNLISTED)), 20 * WATCH_S, pause_s=0.5)
    report.check("a list of the world that was accepted is left out by rspamd", found, world.log("rspamd")[-2000:])
    w.drop(path.name, sample)
    found = wait_for(lambda: ours(scan(w.LISTED)) == ["RBL_VIRBL"] and not ours(scan(w.UNLISTED)), 60 * WATCH_S, pause_s=0.5)
    report.check("and is asked again when it is mended", found, world.log("rspamd")[-2000:])
