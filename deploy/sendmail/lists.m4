divert(-1)
The domain list, the allowlist, and the texts of listings: rulesets of our own. See README.md. Change the zone names.

Local_check_mail refuses senders of listed domains. Local_check_relay lets clients pass that are trusted at least a little, and
notes the client's address in reverse, from which the FEATUREs below it take the text of a listing when there is one.
divert(0)dnl
LOCAL_CONFIG
Klistcode dns -R A -r5
Klisttext dns -R TXT -r5
Kset macro

LOCAL_RULESETS
SLocal_check_mail
R$*		$: <?> $>CanonAddr $1
R<?> $* <@ $+ . >		$: <?> <@ $2 >
R<?> $* <@ $+ >		$: $2 $| $(listcode $2.bogusmx.rfc-ignorant.org. $: NO $)
R$+ $| 127.0.0.8		$#error $@ 5.7.1 $: "550 Sender refused: " $(listtext $1.bogusmx.rfc-ignorant.org. $: $1 is listed $)

SLocal_check_relay
R$*		$: $&{client_addr}
R$-.$-.$-.$-		$: $4.$3.$2.$1
R$-.$-.$-.$-		$: $(set {client_reversed} $@ $1.$2.$3.$4 $) $1.$2.$3.$4
R$-.$-.$-.$-		$: $(listcode $1.$2.$3.$4.grwhitelist.tee.gr. $: NO $)
R127.0.$-.0		$: NO
R127.0.$-.$-		$#OK
