"""The world around the program under test: a small Internet, the lists, and a mail host's resolver.

| address | who |
|---|---|
| the root servers' own | NSD with a signed root zone, and unsigned `gr`, `org`, `example` and `arpa` |
| 192.0.2.53, 203.0.113.53, 127.0.0.2, 127.0.0.1 port 5300 | dnsbld with the sample zones; `gr` and `org` delegate to two |
| 127.0.0.1 | the resolver, and the mail server under test |

Clients connect from addresses of their own, all of them on the loopback device of the namespace.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import dns
from report import wait_for

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEPLOY = REPOSITORY / "deploy"
ZONES = Path("/etc/dnsbld/zones")
LOGS = Path("/var/log/world")

# Who a client of the mail servers may be; the sample zones say so, but for the last three.
UNLISTED = "203.0.113.50"
LISTED = "203.0.113.7"
LISTED_BIT = "203.0.113.64"
LISTED_AND_ALLOWED = "198.51.100.25"
ALLOWED = "203.0.113.25"
ALLOWED_UNTRUSTED = "198.51.100.70"
EXCLUDED = "198.51.100.99"
SHORTLY_LISTED = "203.0.113.60"
LISTED_V6 = "2001:db8:dead::25"
UNLISTED_V6 = "2001:db8:beef::25"
CLIENTS = [UNLISTED, LISTED, LISTED_BIT, LISTED_AND_ALLOWED, ALLOWED, ALLOWED_UNTRUSTED, EXCLUDED]
CLIENTS += [SHORTLY_LISTED, LISTED_V6, UNLISTED_V6]
LISTED_DOMAIN = "bogus.example"
UNLISTED_DOMAIN = "fine.example"

# How long caches may keep what they were told, found or not.
TTL_S = 2


class World:
    """What was started, and where its logs are."""

    def __init__(self, binary):
        self.binary = binary
        self.running = {}
        LOGS.mkdir(parents=True, exist_ok=True)
        self._make_network()

    def _make_network(self):
        call("ip", "link", "set", "lo", "up")
        for address in [*root_servers(), "192.0.2.53", "203.0.113.53", *CLIENTS]:
            length = 128 if ":" in address else 32
            call("ip", "address", "add", f"{address}/{length}", "dev", "lo", *(["nodad"] if length == 128 else []))
        # The name of this host: some servers want one that has a dot, and find it in here.
        call("hostname", "mx.example.net")
        Path("/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n127.0.0.1 mx.example.net mx\n")
        Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:3 attempts:2\n")

    def start(self, name, command, **more):
        """Starts a program that stays in the foreground; its output is its log."""
        with open(LOGS / name, "ab") as log:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **more
            )

    def stop(self, name):
        """Ends a program that was started here."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)

    def end(self):
        """Ends all of them."""
        for name in list(self.running):
            self.stop(name)

    def _ended(self):
        return [name for name, process in self.running.items() if process.poll() is not None]

    def log(self, name):
        """What a program has logged so far."""
        path = Path(name) if name.startswith("/") else LOGS / name
        return path.read_text(errors="replace") if path.exists() else ""

    def print_logs(self):
        """The ends of all logs, for a test that failed."""
        for path in sorted([*LOGS.iterdir(), Path("/var/log/mail.log"), Path("/var/log/syslog")]):
            if path.is_file() and path.stat().st_size:
                lines = path.read_text(errors="replace").splitlines()[-25:]
                print(f"--- {path}", *lines, sep="\n", flush=True)

    # The lists.

    def make_zones(self):
        """Writes the sample zones, with short TTLs."""
        ZONES.mkdir(parents=True)
        # A server that was tried there has left its state folder.
        for path in sorted(path for path in (REPOSITORY / "zones").iterdir() if path.is_file()):
            (ZONES / path.name).write_text(shortened(path.read_text()))
        # The sample has no IPv6 in the blocklist.
        drop("virbl.tee.gr.ip6trie", f"$TTL {TTL_S}\n2001:db8:dead::/64 :127.0.0.2:$ sent a virus. See https://virbl.tee.gr/?$\n")

    def serve_lists(self):
        """Starts dnsbld with the configuration file of deploy/ on the sample zones."""
        self.make_zones()
        shutil.copy(DEPLOY / "dnsbld.toml", "/etc/dnsbld/dnsbld.toml")
        self.start_dnsbld()

    def start_dnsbld(self):
        """Starts dnsbld on the files that are there."""
        addresses = ["127.0.0.1:5300", "127.0.0.2:53", "192.0.2.53:53", "203.0.113.53:53"]
        listen = [word for address in addresses for word in ("--listen", address)]
        self.start("dnsbld", [self.binary, "serve", "--config", "/etc/dnsbld/dnsbld.toml", *listen])
        self.answers("127.0.0.1", "2.0.0.127.virbl.tee.gr", port=5300)

    def answers(self, server, name, kind="A", port=53, limit_s=20):
        """Waits until a server answers a question with a record."""
        found = wait_for(lambda: try_to_ask(server, name, kind, port).records or self._ended(), limit_s)
        if self._ended():
            raise RuntimeError(f"{self._ended()} ended by itself")
        if not found:
            raise RuntimeError(f"{server} port {port} does not find {name}")
        return found

    def listens(self, port, limit_s=30):
        """Waits until something listens on a TCP port of 127.0.0.1."""

        def connects():
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        if not wait_for(lambda: connects() or self._ended(), limit_s) or self._ended():
            raise RuntimeError(f"nothing listens on TCP port {port}")

    def list_for(self, address, seconds):
        """Lists an address for so long, the way a scanner does: by a file. Returns the second when it ends."""
        end_s = int(time.time()) + seconds
        drop("virbl.tee.gr.ip4set.scanner", f"$TTL {TTL_S}\n{address} :2:$ sent a virus in the last hour @ until={end_s}\n")
        return end_s

    def delist(self, address, file="virbl.tee.gr.ip4set"):
        """Takes an address out of a list's file."""
        path = ZONES / file
        text = path.read_text()
        without = re.sub(rf"(?m)^{re.escape(address)}\b.*\n", "", text)
        assert without != text, f"{address} is not a line of {path}"
        drop(path.name, without)

    def relist(self, address):
        """Puts the blocklist's file back as it was, with that address, and waits until it shows."""
        path = REPOSITORY / "zones/virbl.tee.gr.ip4set"
        drop(path.name, shortened(path.read_text()))
        self.answers("127.0.0.1", f"{dns.reversed_name(address)}.virbl.tee.gr")

    # The Internet, and the mail host's resolver.

    def start_internet(self):
        """Serves a signed root zone and what hangs below it. Returns the trust anchor, as a DS record."""
        folder = Path("/etc/nsd/internet")
        folder.mkdir(parents=True)
        head = "@ 3600 SOA ns.internet. nobody.invalid. 1 1800 900 604800 60\n@ 3600 NS ns.internet.\n"
        tops = ["gr", "org", "example", "arpa", "net", "broken"]
        root = head + "ns.internet. 3600 A 198.41.0.4\nns.internet. 3600 AAAA 2001:503:ba3e::2:30\n"
        root += "".join(f"{top}. 3600 NS ns.internet.\n" for top in tops)
        # A DS of no key: nothing below is to be believed by a resolver that validates.
        root += f"broken. 3600 DS 1 13 2 {'00' * 32}\n"
        bodies = {
            "gr": delegation("virbl.tee", "ns1.virbl.tee", "ns2.virbl.tee") + delegation("grwhitelist.tee", "ns1.tee", "ns2.tee"),
            "org": delegation("bogusmx.rfc-ignorant", "ns.rfc-ignorant", "ns2.rfc-ignorant"),
            "example": "* A 192.0.2.99\n* MX 10 mx.fine\n",
            "net": "mx.example A 127.0.0.1\n",
            "arpa": "",
            "broken": "www A 192.0.2.99\n",
        }
        for zone, body in bodies.items():
            (folder / zone).write_text(f"$ORIGIN {zone}.\n$TTL 3600\n{head}{body}")
        (folder / "root").write_text(f"$ORIGIN .\n$TTL 3600\n{root}")
        keygen = call("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", str(folder), ".")
        call("dnssec-signzone", "-q", "-S", "-z", "-o", ".", "-f", "root.signed", "root", cwd=folder)
        anchor = call("dnssec-dsfromkey", "-2", str(folder / f"{keygen.strip()}.key"))
        zones = [(".", "root.signed"), *((zone, zone) for zone in bodies)]
        config = "server:\n  server-count: 1\n  zonesdir: /etc/nsd/internet\n  pidfile: /run/internet.pid\n"
        config += "".join(f"  ip-address: {address}\n" for address in root_servers())
        config += "remote-control:\n  control-enable: no\n"
        config += "".join(f'zone:\n  name: "{name}"\n  zonefile: {file}\n' for name, file in zones)
        (folder / "nsd.conf").write_text(config)
        self.start("nsd", ["nsd", "-d", "-c", folder / "nsd.conf"])
        self.answers("198.41.0.4", "mx.example.net")
        return anchor.strip()

    def start_resolver(self, anchor, with_stub_zones=True):
        """Starts Debian's unbound as the resolver of a mail host: with the file of deploy/unbound, or by delegation."""
        Path("/var/lib/unbound/root.key").write_text(anchor + "\n")
        shutil.chown("/var/lib/unbound/root.key", "unbound")
        if with_stub_zones:
            shutil.copy(DEPLOY / "unbound/dnsbld.conf", "/etc/unbound/unbound.conf.d/dnsbld.conf")
        self.start("unbound", ["unbound", "-d", "-p"])
        self.answers("127.0.0.1", "2.0.0.127.virbl.tee.gr")

    def start_all(self):
        """All that a mail server needs around it."""
        self.serve_lists()
        self.start_resolver(self.start_internet())


def call(*command, **more):
    """Runs a command, and returns what it printed; what it said is part of the error if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def delegation(zone, first, second):
    """The lines that delegate a list to the addresses of dnsbld."""
    servers = {first: "192.0.2.53", second: "203.0.113.53"}
    return "".join(f"{zone} NS {name}\n{name} A {address}\n" for name, address in servers.items())


def root_servers():
    """The addresses of the Internet's root servers, which every resolver knows."""
    return re.findall(r"(?m)\s(?:A|AAAA)\s+(\S+)$", Path("/usr/share/dns/root.hints").read_text())


def try_to_ask(server, name, kind, port):
    """One question to a server that may not be up yet."""
    try:
        return dns.ask(server, name, kind, port)
    except ConnectionError:
        return dns.Answer("TIMEOUT")


def shortened(text):
    """A sample zone with all TTLs shortened, so that the tests need not wait for caches."""
    text = re.sub(r"(?m)^\$TTL .*$", f"$TTL {TTL_S}", text)
    return re.sub(r"(?m)^\$SOA \S+ (.*) \S+$", rf"$SOA {TTL_S} \1 {TTL_S}", text)


def drop(name, text):
    """Puts a file into the zones folder, whole or not at all."""
    part = Path("/etc/dnsbld") / f".{name}.{os.getpid()}"
    part.write_text(text)
    part.rename(ZONES / name)


def console_blocks(page, section=None):
    """The commands for root in a page's console blocks, one list a block; of one section only, if its title is given."""
    blocks, title, inside = [], None, False
    for line in map(str.strip, page.read_text().splitlines()):
        if line.startswith("```"):
            inside = line == "```console"
            if inside and section in (None, title):
                blocks.append([])
        elif not inside and line.startswith("#"):
            title = line.lstrip("#").strip()
        elif inside and section in (None, title) and line.startswith("# "):
            blocks[-1].append(line[2:].split("  #")[0].rstrip())
    return [block for block in blocks if block]


def follow(page, section=None):
    """Does what a page of deploy/ tells root to do, word for word, in the folder deploy/; it must succeed."""
    blocks = console_blocks(DEPLOY / page, section)
    assert blocks, f"{page} tells nothing to do in {section or 'it'}"
    for block in blocks:
        call("sh", "-e", "-c", "\n".join(block), cwd=DEPLOY)
