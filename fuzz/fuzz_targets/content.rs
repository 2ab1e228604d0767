//! Expectations of a content, and a document.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::content(data));
