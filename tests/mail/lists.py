"""What the sample zones list, and whether a resolver finds it.

Asked for are all addresses of the networks that the samples speak of, and names and IPv6 addresses at and around each entry.
What the answers must be is what rbldnsd says when it is asked directly, from the same files. There is one difference: a name
that is not listed but has listed ones below it exists (RFC 8020), where rbldnsd says NXDOMAIN.
"""

import ipaddress
import re

import dns
from world import ZONES

V4_ZONES = ["virbl.tee.gr", "grwhitelist.tee.gr"]
NETWORKS = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "127.0.0.0/30")]
# Nothing above this name is in the zones; a label that no sample has.
BELOW = "any"
REFERENCE_PORT = 5400


def keys_of(name):
    """The keys of a sample zone's entries, without values, exclusion marks and comments."""
    lines = (ZONES / name).read_text().splitlines()
    entries = [line for line in lines if line and not re.match(r"[#$]|:[^:]", line)]
    return [entry.split()[0].lstrip("!") for entry in entries]


def questions():
    """All names to ask for, each for A and TXT."""
    names = set()
    for zone in V4_ZONES:
        for network in NETWORKS:
            names |= {f"{dns.reversed_name(str(address))}.{zone}" for address in network}
    for zone in V4_ZONES:
        file = next(path.name for path in ZONES.glob(f"{zone}.ip4*"))
        for key in keys_of(file):
            first = ipaddress.ip_address(re.split("[-/]", key)[0])
            assert any(first in network for network in NETWORKS), f"{key} of {file} is not asked for"
    for file in sorted(path.name for path in ZONES.glob("*.ip6trie")):
        for key in keys_of(file):
            network = ipaddress.ip_network(key)
            first, last = int(network[0]), int(network[-1])
            around = {first - 1, first, (first + last) // 2, last, last + 1}
            names |= {f"{dns.reversed_name(str(ipaddress.IPv6Address(n)))}.{file.removesuffix('.ip6trie')}" for n in around}
    for key in keys_of("bogusmx.rfc-ignorant.org.dnset"):
        key = key.lstrip("*.")
        for name in (key, f"{BELOW}.{key}", f"a.b.{key}", f"no{key}"):
            names.add(f"{name}.bogusmx.rfc-ignorant.org")
    names |= {f"{name}.virbl.tee.gr" for name in ("www", "ns1", "no", "no.www")}
    return sorted((name, kind) for name in names for kind in ("A", "TXT"))


def start_rbldnsd(world, port):
    """Starts rbldnsd on the sample zones."""
    specifications = [f"{zone}:{kind}:{path}" for zone, kind, path in specified()]
    world.start("rbldnsd", ["rbldnsd", "-n", "-u", "rbldns", "-b", f"127.0.0.1/{port}", *specifications])
    world.answers("127.0.0.1", "2.0.0.127.virbl.tee.gr", port=port)


def expectations(world):
    """What each answer must be: of each question its code and records."""
    start_rbldnsd(world, REFERENCE_PORT)
    answers = dns.ask_all("127.0.0.1", questions(), REFERENCE_PORT)
    world.stop("rbldnsd")
    listed = {name for (name, _), answer in answers.items() if answer.records}
    above = {name.split(".", dots)[-1] for name in listed for dots in range(1, name.count("."))}
    expected = {}
    for (name, kind), answer in answers.items():
        code = "NOERROR" if name in listed or name in above else "NXDOMAIN"
        expected[(name, kind)] = (code, answer.records)
    return expected


def specified():
    """Zone, type and path of each file of the sample zones, as rbldnsd wants to be told."""
    for path in sorted(ZONES.iterdir()):
        if path.is_file():
            zone, kind = path.name.rsplit(".", 1)
            yield zone, kind, path


def wrong_answers(expected):
    """Asks the resolver on port 53 for everything, and returns what is not as it should be."""
    answers = dns.ask_all("127.0.0.1", list(expected))
    return [
        f"{name} {kind}: {answers[(name, kind)]}, not {code} {records}"
        for (name, kind), (code, records) in expected.items()
        if (answers[(name, kind)].code, answers[(name, kind)].records) != (code, records)
    ]


def compare(report, what, expected):
    """A row about all answers of the resolver on port 53."""
    wrong = wrong_answers(expected)
    listed = sum(1 for (_, kind), (_, records) in expected.items() if records and kind == "A")
    missing = sum(1 for (_, kind), (code, _) in expected.items() if code == "NXDOMAIN" and kind == "A")
    report.check(f"{what}: {listed} listed found, {missing} others NXDOMAIN", not wrong, f"{len(wrong)} wrong: {wrong[:5]}")


def validates(report, what):
    """The resolver on port 53 validates: a signed name is authentic, one below a DS that fits no key is not believed, and
    the lists, which are not signed, are believed all the same."""
    signed = dns.ask("127.0.0.1", ".", "SOA")
    broken = dns.ask("127.0.0.1", "www.broken.", "A")
    listed = dns.ask("127.0.0.1", "2.0.0.127.virbl.tee.gr", "A")
    good = signed.authentic and broken.code == "SERVFAIL" and listed.records and not listed.authentic
    report.check(f"{what}: validates, and takes the lists for unsigned", good, (signed, broken, listed))


def try_resolver(world, report, what, expected, command):
    """Starts a resolver on port 53, asks it for everything, and ends it."""
    world.start("resolver", command)
    try:
        world.answers("127.0.0.1", "mx.example.net")
        compare(report, what, expected)
        validates(report, what)
    finally:
        world.stop("resolver")
