//! One argument: whatever it holds, waitgate parses it or refuses it, and shows none of its secrets.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| waitgate::door::target(text));
