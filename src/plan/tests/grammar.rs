//! Round trips: what a target without secrets shows is the same target again, and an escaped value is the value.

use crate::env::Env;
use crate::kind::{Given, Target};
use crate::numbers::Numbers;

const HOSTS: &[&str] =
    &["db", "db.ns.svc.cluster.local.", "10.0.0.1", "[::1]", "[fe80::1%25eth0]", "xn--bcher-kva.example", "a_b.c-d"];
const COMMON: &[&str] =
    &["#timeout=1m30s", "#attempt-timeout=700ms", "#connect-timeout=1s", "#max-pause=24h", "#successes=3"];

/// An address of each kind with its own expectations. None excludes another.
const KINDS: &[(&str, &[&str])] = &[
    ("dns:NAME", &["#has=10.0.0.1", "#min=2"]),
    ("dns:NAME?type=SRV", &["#min=3"]),
    ("dns://10.0.0.1:5353/NAME?type=A", &["#min=1"]),
    ("tcp:HOST:5432", &["#hold=1s", "#banner=220 x", "#send=ping", "#all"]),
    ("tls:HOST:443", &["#valid-for=30d", "#servername=x.y", "#insecure"]),
    ("unix:/run/x y/s", &["#hold=0s", "#banner=a"]),
    ("file:/a/b", &["#min-size=1", "#type=file", "#body=x", "#json=/a/0>=1.5"]),
    ("http://HOST:8080/a/b", &["#status=200,300-399", "#method=HEAD", "#answer-header=x:y"]),
    ("https://HOST/", &["#json=/~0~1/x!=a,b", "#match=^a+$", "#servername=x.y"]),
    ("postgres:HOST:5432", &[]),
    ("postgres://HOST/shop", &["#role=primary", "#login"]),
    ("redis:HOST:6379", &["#role=replica"]),
    ("rediss://HOST/2", &["#cluster"]),
];

/// A random target, and the same with the shown host.
fn target(numbers: &mut Numbers) -> String {
    let (address, own) = numbers.one_of(KINDS);
    let mut target =
        address.replace("HOST", numbers.one_of(HOSTS)).replace("NAME", numbers.one_of(&["db", "a.b.c.", "_x._tcp.db"]));
    let mut rest: Vec<&str> = own.iter().chain(COMMON).copied().collect();
    for _ in 0..numbers.below(rest.len() + 1) {
        target += rest.swap_remove(numbers.below(rest.len()));
    }
    target
}

#[test]
fn what_is_shown_is_the_same_target_again() {
    let mut numbers = Numbers::seeded();
    let env = Env::default();
    let given = Given { env: &env, ca_file: false };
    let mut parsed = 0;
    for _ in 0..10_000 {
        let text = target(&mut numbers);
        // Some combinations mean nothing, such as #all for one address.
        let Ok((first, overrides)) = Target::parse(&text, given) else { continue };
        parsed += 1;
        let shown = first.to_string();
        let (again, same) = Target::parse(&shown, given).unwrap_or_else(|error| panic!("{text}: {shown}: {error:#}"));
        assert_eq!((again.to_string(), same), (shown, overrides), "{text}");
        assert_eq!(format!("{again:?}"), format!("{first:?}"), "{text}");
    }
    assert!(parsed > 5000, "{parsed} of 10,000");
}

/// `%23`, `%25` and `%24` stand for what would end the value, and any other octet may be written so.
#[test]
fn an_escaped_value_is_the_value() {
    let mut numbers = Numbers::seeded();
    let env = Env::default();
    let given = Given { env: &env, ca_file: false };
    let parse = |text: &str| Target::parse(text, given).map(|(target, _)| target);
    for _ in 0..5000 {
        let length = 1 + numbers.below(8);
        let value = numbers.text("ab#%$=&?/:@(){}[]+~^|<>,;!'\"\\ ü€", length);
        let escape = |c: char, all: bool| {
            if all || matches!(c, '#' | '%' | '$') {
                c.to_string().bytes().fold(String::new(), |out, byte| out + &format!("%{byte:02x}"))
            } else {
                c.to_string()
            }
        };
        let all = |all: bool| value.chars().map(|c| escape(c, all)).collect::<String>();
        let (few, many) =
            (parse(&format!("file:/f#body={}", all(false))), parse(&format!("file:/f#body={}", all(true))));
        let (few, many) = (few.unwrap(), many.unwrap());
        // The text to find is a part of Debug; how it was written is another.
        let needle = |target: &Target| {
            let text = format!("{target:?}");
            text.split("text: ").nth(2).map(|rest| rest.split("fallback:").next().unwrap_or_default().to_owned())
        };
        assert!(needle(&few).is_some(), "{few:?}");
        assert_eq!(needle(&few), needle(&many), "{value:?}");
        let wanted: Vec<String> = value.bytes().map(|byte| byte.to_string()).collect();
        assert!(needle(&few).unwrap().contains(&wanted.join(", ")), "{value:?}: {few:?}");
    }
}
