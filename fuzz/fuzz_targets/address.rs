//! Hosts and ports: the form in which waitgate shows one is accepted again, and means the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| waitgate::door::address(text));
