"""Postfix: reject_rbl_client with return codes, permit_dnswl_client, reject_rhsbl_sender; then postscreen's weights."""

import smtp
from world import LISTED, call, follow

PACKAGES = ["postfix"]
# What Debian asks at installation, and a log of its own, since nobody takes the system's.
HOST = ["myhostname=mx.example.net", "mydestination=mx.example.net", "inet_interfaces=all", "maillog_file=/var/log/mail.log"]


def start():
    """Starts Postfix as its unit does."""
    call("/usr/lib/postfix/configure-instance.sh", "-")
    call("postfix", "start")


def test(world, report):
    world.start_all()
    call("postconf", "-e", *HOST)
    follow("postfix/README.md", "Refuse and allow")
    start()
    smtp.try_clients(report)
    smtp.try_domains(report)
    call("postfix", "stop")
    follow("postfix/README.md", "No longer than the TTL")
    start()
    smtp.try_endings(world, report)
    call("postfix", "stop")
    world.relist(LISTED)
    follow("postfix/README.md", "postscreen")
    # A client that says nothing for six seconds has passed; the tests are less patient.
    call("postconf", "-e", "postscreen_greet_wait=1s")
    start()
    smtp.try_clients(report, with_text=False)
    rank = f"DNSBL rank 3 for [{LISTED}]"
    report.check(f"postscreen logs {rank!r}", rank in world.log("/var/log/mail.log"), "not in its log")
    smtp.try_endings(world, report)
    call("postfix", "stop")
