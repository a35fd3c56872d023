//! The differences from rbldnsd that are meant, each with its reason.

use std::collections::BTreeMap;

macro_rules! rules {
    ($($rule:ident: $reason:literal,)*) => {
        /// A difference that is meant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Rule { $($rule,)* }

        impl Rule {
            /// All of them, with the reason for each.
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$rule, $reason),)*];
        }
    };
}

rules! {
    EmptyNonTerminal: "something is listed below the name, so it exists (RFC 8020); rbldnsd says NXDOMAIN",
    MappedInV6Sets: "IPv6 lists that cover ::ffff:0:0/96 count there also beside IPv4 lists; rbldnsd then asks only the latter",
    Ip4TrieOfBoth: "ip4trie holds both families, as in rspamd's fork: a client for whom all is listed finds IPv6 there too",
    MappedAsDotted: "`$` shows mapped addresses as ::ffff:192.0.2.1 (RFC 5952 section 5); rbldnsd as ::ffff:c000:201",
    IgnoredLater: "a request that cannot be read gets its code before a zone's list is asked who may ask; rbldnsd asks first",
    Glue: "every server's address is told; rbldnsd leaves out those that another server has too, and some names in capitals, and tells the least TTL",
    GlueOfUnserved: "a zone that is not served gives no addresses; rbldnsd answers SERVFAIL for it and yet takes them from it",
    DosText: "a byte order mark and carriage returns at line ends are no text (rbldnsd is given the files without them)",
    SpecialComments: "a comment may follow on $SOA, $NS, $TTL and their like (rbldnsd is given the files without it)",
    LenientCombined: "what stands outside of a section, or in one of unknown type, costs itself; rbldnsd gives up the zone",
    QuotedStrings: "`\"a\" \"b\"` are two strings of a TXT record; rbldnsd takes off the outer quotes only",
    ValueComments: "a comment may follow on an A value, as on an address (rbldnsd is given the files without it)",
    Duplicates: "a record is in an answer once (RFC 2181 section 5); rbldnsd repeats plain texts of 255 octets",
    LeadingZeros: "octets have one spelling; to rbldnsd 010.0.0.127 is 10.0.0.127 under another name",
    AclEmptyKeepsGeneric: "plain records stay where a client is told that nothing, or everything, is listed, as rbldnsd(8) says",
    LongText: "a text of any length is answered as several strings; rbldnsd cuts it after 254 octets",
    Truncation: "what does not fit sets TC, and TCP has it all; rbldnsd drops records and clears AA",
    RoomForServers: "our replies are at most 1232 octets with OPT included, so the zone's servers fit at other times",
    MinimalAny: "ANY is answered with one RRset (RFC 8482)",
    AnyAtApex: "ANY at the apex of a zone without SOA or NS is answered with what there is; rbldnsd refuses",
    NsOnlyInAnswer: "servers that are the answer are not repeated as authority",
    NegativeTtl: "the SOA of a negative answer has the lesser of its TTL and its minimum (RFC 2308 section 3)",
    OptEcho: "a query with OPT gets one back (RFC 6891 section 6.1.1); rbldnsd's comes only with large replies",
    EdnsVersion: "versions beyond 0 get BADVERS (RFC 6891 section 6.1.3); rbldnsd does not look",
    StrictEdns: "malformed options get FORMERR; rbldnsd does not look",
    CookieOnly: "no question and a cookie asks for a cookie (RFC 7873 section 5.4)",
    NoFormerr: "unreadable requests get FORMERR, or NOTIMP if the opcode can be read; rbldnsd is silent",
    OpcodeEchoed: "NOTIMP has the opcode of its request (RFC 1035 section 4.1.1); rbldnsd clears it",
    StrayFlags: "AA, TC and an rcode mean nothing in a query; rbldnsd says NOTIMP, and copies the rcode into its version",
    CheckingDisabled: "CD is copied (RFC 4035 section 3.1.6)",
    UnknownTypes: "types of 256 and more are types like any other (RFC 3597); rbldnsd says NOTIMP",
    MetaTypes: "TKEY asks for an operation (RFC 2930); rbldnsd takes it for a type",
    ChaosVersion: "the server's own name and version",
    ChaosIdentity: "id.server and hostname.bind are answered if an identity is configured (RFC 4892), and ANY as TXT",
    ServerOrder: "the first of several name servers varies, and the order of a set means nothing",
    AnswerOrder: "the first of several plain records varies, and the order of a set means nothing",
}

/// How often each rule was needed.
pub(crate) type Uses = BTreeMap<Rule, usize>;
