"""A mail client, and what every mail server is tried with."""

import smtplib
import time
from dataclasses import dataclass

import dns
import world as w
from report import wait_for

RECIPIENT = "root@mx.example.net"
# What may pass from the drop of a file, or the end of a listing, until a client notices: the server's own second or two, one
# TTL in the resolver, and a session.
SHOWS_IN_S = 2 + w.TTL_S + 6
# How long an entry of the scanner is listed in the tests.
LISTED_FOR_S = 12


@dataclass(frozen=True)
class Outcome:
    """What became of a message: where it ended, the reply's code, and its text."""

    stage: str
    code: int
    text: str

    @property
    def accepted(self):
        """The server has taken it."""
        return self.stage == "data" and self.code == 250

    @property
    def refused(self):
        """For good (RFC 5321 section 4.2.1)."""
        return self.code >= 500

    def says(self, text):
        """The reply has that text in it, whatever blanks and line breaks a server puts where."""
        return "".join(text.split()) in "".join(self.text.split())


def send(client, sender_domain=w.UNLISTED_DOMAIN, port=25, body="Hello.\r\n"):
    """Sends a message from an address of a client, as far as the server lets it come."""
    server = "::1" if ":" in client else "127.0.0.1"
    sender = f"someone@{sender_domain}"
    message = f"From: <{sender}>\r\nTo: <{RECIPIENT}>\r\nSubject: test\r\nMessage-ID: <{time.time_ns()}@{sender_domain}>\r\n"
    message += f"Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n{body}"
    smtp = smtplib.SMTP(local_hostname=f"mail.{w.UNLISTED_DOMAIN}", timeout=30, source_address=(client, 0))
    try:
        steps = [
            ("connect", lambda: smtp.connect(server, port)),
            ("ehlo", smtp.ehlo),
            ("mail", lambda: smtp.mail(sender)),
            ("rcpt", lambda: smtp.rcpt(RECIPIENT)),
            ("data", lambda: smtp.data(message)),
        ]
        for stage, step in steps:
            try:
                code, text = step()
            except smtplib.SMTPDataError as error:
                code, text = error.smtp_code, error.smtp_error
            except (smtplib.SMTPServerDisconnected, OSError) as error:
                return Outcome(stage, 0, repr(error))
            if code >= 400:
                return Outcome(stage, code, text.decode(errors="replace"))
        return Outcome(stage, code, text.decode(errors="replace"))
    finally:
        smtp.close()


def text_of(client, zone="virbl.tee.gr"):
    """The text of a client's listing."""
    return dns.ask("127.0.0.1", f"{dns.reversed_name(client)}.{zone}", "TXT").records[0]


def try_clients(report, with_text=True, has_v6=True):
    """Who is refused and who is accepted; the reply has the listing's text, if the program asks for one."""
    families = [("", w.UNLISTED, w.LISTED)] + ([("IPv6 ", w.UNLISTED_V6, w.LISTED_V6)] if has_v6 else [])
    for family, unlisted, listed in families:
        found = send(unlisted)
        report.check(f"an unlisted {family}client is accepted", found.accepted, found)
        found = send(listed)
        says = found.says(text_of(listed)) if with_text else found.says("virbl.tee.gr")
        what = "with the text of its listing" if with_text else "with the list's name"
        report.check(f"a listed {family}client is refused {what}", found.refused and says, found)
    found = send(w.LISTED_AND_ALLOWED)
    report.check("an allowlisted client is accepted although it is listed", found.accepted, found)
    found = send(w.ALLOWED)
    report.check("an allowlisted client is accepted", found.accepted, found)


def try_domains(report):
    """A listed domain of the sender is refused, from whatever client."""
    text = dns.ask("127.0.0.1", f"{w.LISTED_DOMAIN}.bogusmx.rfc-ignorant.org", "TXT").records[0]
    found = send(w.UNLISTED, w.LISTED_DOMAIN)
    report.check("a listed sender domain is refused with the text of its listing", found.refused and found.says(text), found)
    found = send(w.UNLISTED, f"www.{w.LISTED_DOMAIN}")
    report.check("a host of that domain, which is not listed, is accepted", found.accepted, found)


def try_endings(world, report, try_to_send=send):
    """Listings that run out, or are taken away by a file or a command: the client is accepted soon after, and not before."""
    end_s = world.list_for(w.SHORTLY_LISTED, LISTED_FOR_S)
    found = wait_for(lambda: refusal(try_to_send, w.SHORTLY_LISTED), SHOWS_IN_S, pause_s=0.5)
    report.check("a client is refused as soon as the scanner lists it", found and time.time() < end_s, (found, end_s))
    found = wait_for(lambda: acceptance(try_to_send, w.SHORTLY_LISTED), LISTED_FOR_S + SHOWS_IN_S, pause_s=0.5)
    late_s = time.time() - end_s
    good = found and 0 <= late_s <= SHOWS_IN_S
    report.check("it is accepted when its listing has run out, and not before", good, (found, f"{late_s:.1f} s after its end"))
    found = refusal(try_to_send, w.LISTED)
    start = time.monotonic()
    world.delist(w.LISTED)
    accepted = wait_for(lambda: acceptance(try_to_send, w.LISTED), SHOWS_IN_S, pause_s=0.5)
    report.check("a listed client is accepted once its line is gone", found and accepted, (found, accepted))
    seconds = time.monotonic() - start
    w.call(world.binary, "list", "virbl.tee.gr", w.SHORTLY_LISTED, "--for", "1h", "--state", w.ZONES)
    found = wait_for(lambda: refusal(try_to_send, w.SHORTLY_LISTED), SHOWS_IN_S, pause_s=0.5)
    w.call(world.binary, "delist", "virbl.tee.gr", w.SHORTLY_LISTED, "--state", w.ZONES)
    accepted = wait_for(lambda: acceptance(try_to_send, w.SHORTLY_LISTED), SHOWS_IN_S, pause_s=0.5)
    report.check("listed by command it is refused, delisted by command it is accepted", found and accepted, (found, accepted))
    report.note(f"accepted {late_s:.1f} s after the listing's end, {seconds:.1f} s after the drop without it")


def refusal(try_to_send, client):
    """The outcome, if the client's message is refused."""
    found = try_to_send(client)
    return found if found.refused else None


def acceptance(try_to_send, client):
    """The outcome, if the client's message is accepted."""
    found = try_to_send(client)
    return found if found.accepted else None
