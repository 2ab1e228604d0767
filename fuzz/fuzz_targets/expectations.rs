//! The `#name=value` grammar, behind the address of the kind that the first byte picks.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waitgate::target::expect::{Zero, count, distance, duration};
use waitgate::target::{Given, Target};
use waitgate::vars::{Env, percent_decode};

const ADDRESSES: [&str; 6] = ["http://h/", "https://h/", "tcp:h:1", "unix:/s", "dns:h", "postgres://h/d"];

fuzz_target!(|text: &str| {
    let Some(which) = text.chars().next() else { return };
    let text = &text[which.len_utf8()..];
    let address = ADDRESSES[which as usize % ADDRESSES.len()];
    let env = Env::default();
    let whole = format!("{address}#{text}");
    if let Ok((target, own)) = Target::parse(&whole, Given { env: &env, ca_file: false }) {
        assert!(own.timeout.is_none_or(|timeout| !timeout.is_zero()));
        assert!(own.successes != Some(0));
        let _ = target.to_string();
    }
    for zero in [Zero::Allowed, Zero::Refused] {
        if let Ok(parsed) = duration(text, zero) {
            assert!(parsed.as_secs() <= 24 * 60 * 60);
            assert!(zero == Zero::Allowed || !parsed.is_zero());
        }
    }
    assert!(count(text).is_ok_and(|number| number > 0) || count(text).is_err());
    let _ = percent_decode(text);
    assert_eq!(distance(text, text), 0);
});
