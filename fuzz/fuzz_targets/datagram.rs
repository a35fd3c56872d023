//! One of rspamd's datagrams.
#![no_main]

#[path = "../functions.rs"]
mod functions;

libfuzzer_sys::fuzz_target!(|input: &[u8]| functions::datagram(input));
