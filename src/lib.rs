//! dnsbld, an authoritative server for DNS blocklists and allowlists: start reading here.
//!
//! Mail servers ask "is this address listed?" thousands of times a second; operators drop files into a folder. Between them
//! stands a [snapshot](zone::snapshot::Snapshot) of everything served, which is built aside, swapped in by one pointer, and
//! never changed while it is read.
//!
//! # The rooms
//!
//! | module | what it is | uses |
//! |---|---|---|
//! | [`wire`] | DNS messages as bytes; borrows, never allocates | nothing |
//! | [`zone`] | what is served: catalog, zones, access, values, datasets; immutable once built | wire |
//! | [`answer`] | one pure function: snapshot, client, time and request in, reply and outcome out | wire, zone |
//! | [`load`] | text to zone data: formats, remarks with file, line and column | wire, zone |
//! | [`turns`] | how threads share a processor | nothing |
//! | [`net`] | bytes in, bytes out: UDP in batches, by sockets or straight from an interface, TCP; knows no zones | turns, the length of a header, the word `Transport` |
//! | [`metrics`] | counters with one writer each, families of metrics | wire, answer, net |
//! | [`live`] | what changes while running: files, reloader, listings by command, the pointers to what is served, the clock | the above |
//! | [`control`] | the ways to ask and to change a running server: a Unix socket, HTTP, DNS UPDATE, datagrams | answer, load, net, live |
//! | [`config`] | what the server is told, validated | control, live, load, answer, net |
//! | [`server`] | sockets, workers, reloader and signals tied together | all above |
//! | [`cli`] | the commands, those that are alike in one file | all above |
//!
//! Arrows point down only, and a test holds them. `wire`, `zone`, `answer` and `load` have no unsafe code, open no socket or
//! file, read no clock and start no thread.
//!
//! # A query's way
//!
//! A worker ([`net`]) receives a batch; its responder ([`server`]) takes the time and the snapshot once, and calls
//! [`answer`] for each datagram. The [reader](wire::query) parses it or says how to refuse; the
//! [catalog](zone::snapshot::Snapshot::find) finds the zone by its longest suffix; access lists may refuse; the labels
//! [become an address](zone::subject) or stay a name; each [dataset](zone::dataset) is asked for what holds now; the
//! [writer](wire::reply) lays the ready value, or SOA and NXDOMAIN, into the lent buffer. The worker counts, and sends the
//! batch.
//!
//! Nearly all queries are a [plain question](wire::plain) to a [usual zone](zone::usual), and take a short way through all
//! of that; a test asks everything both ways, and the answers are the same to the octet.
//!
//! # An entry's way
//!
//! The [loader](load) splits a line into key, value and parameters, or makes a remark with its place. The
//! [value](zone::values) is kept once, ready for the wire. The builders of [addresses](zone::addresses) and
//! [names](zone::names) sort, resolve overlaps and exclusions, and freeze. The [reloader](live::reloader) assembles a new
//! snapshot aside, publishes it, and frees the old one itself.
//!
//! # A live listing's way
//!
//! A door ([`control`]: the command line's socket and others) makes a [change](live::listings::Change) of what it is told. The
//! [writer](live::listings) decides it by the zone's rule, commits it to the store together with what else came in, and puts it
//! into [what is served by command](zone::live), which stands in front of the snapshot and is published beside it; only then
//! is it acknowledged.

pub mod answer;
pub mod cli;
pub mod config;
pub mod control;
pub mod live;
pub mod load;
pub mod metrics;
pub mod net;
pub mod server;
pub mod turns;
pub mod wire;
pub mod zone;
