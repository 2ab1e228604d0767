//! Hosts and ports: what is accepted is shown in a form that is accepted again, and means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waitgate::target::address::{Host, host_port, port, split};
use waitgate::vars::{Env, Fill};

fuzz_target!(|text: &str| {
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()).ok(), Some(host));
    }
    if let Ok(number) = port(text) {
        assert!(number > 0);
    }
    let (host, number) = split(text);
    assert!(host.len() + number.map_or(0, |number| number.len() + 1) == text.len());
    let env = Env::default();
    if let Ok((host, number)) = host_port(text, "tcp:HOST:PORT", Fill::from_env(&env)) {
        assert_eq!(host_port(&format!("{host}:{number}"), "", Fill::none()).ok(), Some((host, number)));
    }
});
