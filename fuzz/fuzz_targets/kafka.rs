//! What a Kafka broker may answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::kafka(data));
