//! Password files and certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::mounted(data));
