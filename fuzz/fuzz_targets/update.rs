//! An UPDATE message, its signature and what it means for listings.
#![no_main]

#[path = "../functions.rs"]
mod functions;

libfuzzer_sys::fuzz_target!(|input: &[u8]| functions::update(input));
