#!/bin/sh
# fail2ban as Debian packages it, with its own action nsupdate as it comes, against a server on port 53 of a network and mount
# namespace of its own: nsupdate finds zone and server through /etc/resolv.conf, as it does at home.
#
# Usage: unshare --map-root-user --net --mount --pid --fork sh fail2ban.sh FOLDER, with dnsbld.toml and fail2ban/ in FOLDER;
# $DNSBLD is the program.
set -eu
cd "$1"
ip link set lo up
echo 'nameserver 127.0.0.1' >resolv.conf
mount --bind resolv.conf /etc/resolv.conf

fail() {
    echo "FAILED: $*"
    tail -n 20 dnsbld.log fail2ban.log fail2ban.out 2>/dev/null || true
    exit 1
}

# Asks until the answer is as expected, ten seconds at most.
until_answer() {
    tries=0
    while [ "$(dig +short +tries=1 +time=1 @127.0.0.1 "$1" "$2" 2>/dev/null)" != "$3" ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || fail "$1 $2 is not '$3'"
        sleep 0.1
    done
}

"$DNSBLD" serve --config dnsbld.toml >dnsbld.log 2>&1 &
until_answer 2.0.0.127.virbl.example A 127.0.0.2

: >mail.log
fail2ban-server -c "$1/fail2ban" -s "$1/fail2ban.sock" -p "$1/fail2ban.pid" -xf start >fail2ban.out 2>&1 &
server=$!
tries=0
while ! fail2ban-client -s "$1/fail2ban.sock" status virus >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 150 ] || fail "fail2ban does not start"
    sleep 0.1
done

# One line in the log bans.
echo "$(date '+%b %d %H:%M:%S') mx mimedefang.pl[7]: virus Eicar-Test-Signature from 192.0.2.55" >>mail.log
until_answer 55.2.0.192.virbl.example A 127.0.0.2
until_answer 55.2.0.192.virbl.example TXT '"Your IP has been banned"'
ttl=$(dig +noall +answer @127.0.0.1 55.2.0.192.virbl.example A | awk '{print $2}')
[ "$ttl" -le 3600 ] && [ "$ttl" -gt 2000 ] || fail "TTL $ttl"
echo "BANNED"

fail2ban-client -s "$1/fail2ban.sock" set virus unbanip 192.0.2.55 >/dev/null
until_answer 55.2.0.192.virbl.example A ''
echo "UNBANNED"

kill $server
