//! The `#name=value` grammar, after an address of the kind that the first character picks.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| waitgate::door::expectations(text));
