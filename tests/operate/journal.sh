# The journal of a server: systemd-journald, its socket and its files stand on a /run of their own.
# Usage: unshare --map-root-user --net --mount --pid --fork bash journal.sh DNSBLD FOLDER. Prints what the server said, as JSON.
set -eu
dnsbld=$1 zones=$2

# Waits until a command succeeds.
await() {
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.05
    done
    echo "in vain: $*" >&2
    exit 1
}

ip link set lo up
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
export PATH="$PATH:/usr/lib/systemd:/lib/systemd"
systemd-journald 2>/dev/null &
journald=$!
await test -S /run/systemd/journal/socket

echo broken >"$zones/bad.example.ip4set"
"$dnsbld" serve "$zones" --listen 127.0.0.1:5300 --http off --state /run/state --log journald &
server=$!
await test -S /run/state/control
"$dnsbld" querylog on --listed --state /run/state >/dev/null
dig @127.0.0.1 -p 5300 +tries=3 2.0.0.127.bl.example TXT >/dev/null
journal() {
    journalctl --directory=/run/log/journal --no-pager --output=json SYSLOG_IDENTIFIER=dnsbld
}
is_logged() {
    journal | grep -q DNSBLD_NAME
}
await is_logged
journal

# A journal that stands still: more is said than its socket takes, a change goes live, and the end comes.
kill -STOP $journald
for _ in $(seq 100); do
    dig @127.0.0.1 -p 5300 +tries=3 2.0.0.127.bl.example TXT >/dev/null
done
{
    grep '^\$SOA' "$zones/bl.example.ip4set"
    printf '127.0.0.2\n127.0.0.77\nwhat is this?\n'
} >"$zones/new"
mv "$zones/new" "$zones/bl.example.ip4set"
is_live() {
    dig @127.0.0.1 -p 5300 +tries=1 +short 77.0.0.127.bl.example A | grep -q 127.0.0.2
}
await is_live
kill $server
has_ended() {
    ! kill -0 $server 2>/dev/null
}
await has_ended
kill -CONT $journald
kill $journald
