"""As much of DNS as the tests ask: A, AAAA and TXT questions over UDP, many at a time."""

import ipaddress
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field

KINDS = {"A": 1, "NS": 2, "SOA": 6, "TXT": 16, "AAAA": 28}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
# How many questions may be under way: a resolver's list of running requests is not endless.
AT_ONCE = 50
TRIES = 3
TRY_S = 5


@dataclass(frozen=True)
class Answer:
    """What came back: the code's name, and the records as text, sorted; whether the resolver took it for authentic."""

    code: str
    records: tuple = field(default=())
    ttl_s: int = 0
    authentic: bool = False


def reversed_name(address):
    """The labels of an address as a list is asked for it (RFC 5782 sections 2.1 and 2.4)."""
    pointer = ipaddress.ip_address(address).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def ask(server, name, kind="A", port=53):
    """Asks one question."""
    return ask_all(server, [(name, kind)], port)[(name, kind)]


def ask_all(server, questions, port=53):
    """Asks many questions and returns a dictionary of the answers; one that never came has the code TIMEOUT."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    answers, under_way = {}, {}
    waiting = [(question, 1) for question in reversed(list(dict.fromkeys(questions)))]
    with socket.socket(family, socket.SOCK_DGRAM) as sock, selectors.DefaultSelector() as selector:
        sock.connect((server, port))
        selector.register(sock, selectors.EVENT_READ)
        number = 0
        while waiting or under_way:
            while waiting and len(under_way) < AT_ONCE:
                question, tried = waiting.pop()
                number = (number + 1) & 0xFFFF
                under_way[number] = (question, tried, time.monotonic() + TRY_S)
                sock.send(_request(number, *question))
            if selector.select(timeout=0.2):
                octets = sock.recv(65535)
                known = under_way.pop(struct.unpack_from("!H", octets)[0], None)
                if known:
                    answers[known[0]] = _read(octets)
            for late in [key for key, (_, _, end) in under_way.items() if end < time.monotonic()]:
                question, tried, _ = under_way.pop(late)
                if tried < TRIES:
                    waiting.append((question, tried + 1))
                else:
                    answers[question] = Answer("TIMEOUT")
    return answers


def _request(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label)
    # Recursion desired, and "tell me if it is authentic" (RFC 6840 section 5.7).
    return struct.pack("!6H", number, 0x0120, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", KINDS[kind], 1)


def _read(octets):
    _, flags, _, answer_count, _, _ = struct.unpack_from("!6H", octets)
    at = _skip_name(octets, 12) + 4
    wanted = struct.unpack_from("!H", octets, at - 4)[0]
    records, ttls = [], [0]
    for _ in range(answer_count):
        at = _skip_name(octets, at)
        kind, _, ttl, size = struct.unpack_from("!2HIH", octets, at)
        data = octets[at + 10 : at + 10 + size]
        at += 10 + size
        if kind == wanted:
            records.append(_text(kind, data))
            ttls.append(ttl)
    code = flags & 0xF
    return Answer(CODES.get(code, str(code)), tuple(sorted(records)), max(ttls), bool(flags & 0x20))


def _skip_name(octets, at):
    while octets[at]:
        if octets[at] >= 0xC0:
            return at + 2
        at += octets[at] + 1
    return at + 1


def _text(kind, data):
    if kind in (KINDS["A"], KINDS["AAAA"]):
        return str(ipaddress.ip_address(data))
    if kind == KINDS["TXT"]:
        text, at = b"", 0
        while at < len(data):
            text += data[at + 1 : at + 1 + data[at]]
            at += data[at] + 1
        return text.decode(errors="replace")
    return data.hex()
