//! What a Redis server may send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::redis(data));
