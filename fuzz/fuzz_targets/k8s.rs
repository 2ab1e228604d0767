//! What the Kubernetes API sends, and a kubeconfig.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| waitgate::door::k8s(data));
