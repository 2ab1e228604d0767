//! What a MySQL server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::mysql(data));
