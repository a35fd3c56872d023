//! A file of the dataset type that the target is named after.
#![no_main]

#[path = "../functions.rs"]
mod functions;

libfuzzer_sys::fuzz_target!(|input: &[u8]| functions::load(functions::kind_of_target(env!("CARGO_BIN_NAME")), input));
