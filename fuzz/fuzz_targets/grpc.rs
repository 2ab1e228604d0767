//! What a server of gRPC may send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::grpc(data));
