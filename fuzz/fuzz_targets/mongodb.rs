//! What a MongoDB server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::mongodb(data));
