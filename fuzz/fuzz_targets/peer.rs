//! What a server of any kind may say to an attempt.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::peer(data));
