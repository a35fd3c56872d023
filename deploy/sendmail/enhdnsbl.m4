divert(-1)
The blocklist: these codes, and no other. Needs lists.m4 for the text. Change the zone names, both. The codes end in a dot.
divert(0)dnl
FEATURE(`enhdnsbl', `virbl.tee.gr', `"550 Client refused: " $(listtext $&{client_reversed}.virbl.tee.gr. $: $&{client_addr} is listed $)', `', `127.0.0.2.', `127.0.0.3.')dnl
