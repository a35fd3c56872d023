divert(-1)
The blocklist: whoever is on it, whatever the code. Needs lists.m4 for the text. Change the zone names, both.
divert(0)dnl
FEATURE(`dnsbl', `virbl.tee.gr', `"550 Client refused: " $(listtext $&{client_reversed}.virbl.tee.gr. $: $&{client_addr} is listed $)')dnl
