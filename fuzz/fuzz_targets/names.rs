//! resolv.conf, the hosts file, targets, and what a DNS server sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::names(data));
