//! The body of an HTTP request that changes listings, one or many.
#![no_main]

#[path = "../functions.rs"]
mod functions;

libfuzzer_sys::fuzz_target!(|input: &[u8]| functions::body(input));
