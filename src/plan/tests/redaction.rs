//! No secret of any target is in anything that the plan shows: the targets, the plan of --dry-run, warnings, errors and
//! what Debug prints. The secret has signs that could end a piece of a target, and so has what is around it.

use super::*;
use crate::numbers::Numbers;

const LETTERS: &str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Where a secret may be written into a target.
const WRITTEN: &[&str] = &[
    "http://u:SECRET@h/",
    "https://u:SECRET@h:8443/x?y=z#status=200",
    "http://h/?token=SECRET",
    "http://h/x?a=b&token=SECRET&c=d#follow",
    "http://h/#header=Authorization:Bearer SECRET",
    "http://h/#header=X-Key:SECRET#method=POST",
    "http://h/#data=pw=SECRET",
    "postgres://u:SECRET@h/d",
    "postgres://u:SECRET@h:5432,i:5433/d?sslmode=require#query=SELECT 1",
    "postgresql+asyncpg://h/d?user=u&password=SECRET",
    "redis://:SECRET@h",
    "redis://u:SECRET@h:6380/1#role=primary",
    "rediss://u:SECRET@h",
    "mysql://u:SECRET@h/d",
    "amqp://u:SECRET@h/v",
    "mongodb://u:SECRET@h/d",
    "kafka://u:SECRET@h:9092",
    "tcp:amqp://u:SECRET@h:5672/v",
    "tcp:nats://u:SECRET@h:4222",
];

/// Where it may come from a variable: nothing of the variable is shown but a host and a port.
const FILLED: &[&str] = &[
    "http://u:$(T)@h/",
    "http://h/$(T)",
    "http://h/a?b=$(T)",
    "http://h/#header=X:$(T)",
    "http://h/#body=$(T)",
    "http://h/#json=/a=$(T)",
    "http://h/#data=$(T)",
    "postgres://$(T):x@h/d",
    "postgres://u:$(T)@h/$(T)",
    "postgres://u:p@h/d#query=SELECT '$(T)'",
    "redis://$(T):$(T)@h",
    "tcp:h:1#banner=$(T)",
    "tcp:h:1#send=$(T)#banner-match=$(T)",
    "file:/f#json=/a=$(T)",
    "unix:/s#banner=$(T)",
    "env:URL",
    "env:URL#timeout=1s",
];

/// Everything that a plan of this target shows, or the message that refuses it.
fn shown(env: &[(&str, &str)], target: &str) -> String {
    let mut all = Vec::new();
    for line in [&[target][..], &["--dry-run", "--parallel", target, "tcp:other:1"]] {
        match plan_in(env, line) {
            Err(error) => all.push(format!("{error:#}")),
            Ok(plan) => {
                all.push(plan.describe());
                all.extend(plan.warnings.iter().cloned());
                for planned in &plan.targets {
                    all.extend([planned.shown.clone(), planned.target.to_string()]);
                    // What a person writes into a banner is no secret, except if it comes from a variable.
                    if env.is_empty() {
                        all.push(format!("{:?}", planned.target));
                    }
                }
            }
        }
    }
    all.join("\n")
}

/// The target with one slip in it that a person makes, outside the secret. A slip that makes another thing of the secret, such
/// as a path or a host, is none of these.
fn slipped(numbers: &mut Numbers, target: &str, secret: &str) -> String {
    let at = target.find(secret).unwrap();
    let free: Vec<usize> = (0..=target.len()).filter(|place| *place <= at || *place >= at + secret.len()).collect();
    let place = numbers.one_of(&free);
    let sign = numbers
        .one_of(&[" ", "\t", "%", "%4", "$", "${", "$(", "\"", "'", "\\", "^", "ü", "\u{202e}", "x", "#", "@", "#x="]);
    format!("{}{sign}{}", &target[..place], &target[place..])
}

#[test]
fn a_written_secret_is_never_shown() {
    let mut numbers = Numbers::seeded();
    for round in 0..2000 {
        // The letters alone are looked for: signs may be decoded or escaped on the way out.
        let letters = numbers.text(LETTERS, 12);
        let signs = ["", "%23", "%40", "%2F", "%25", "%24(", "!", "~", "*"];
        let secret = format!("{}{letters}{}", numbers.one_of(&signs), numbers.one_of(&signs));
        let target = numbers.one_of(WRITTEN).replace("SECRET", &secret);
        let target = if round % 3 == 0 { target } else { slipped(&mut numbers, &target, &secret) };
        let shown = shown(&[], &target);
        assert!(!shown.is_empty() && !shown.contains(&letters), "{target}: {shown}");
        if round % 3 == 0 {
            assert!(plan(&[&target]).is_ok(), "{target}: {shown}");
        }
    }
}

#[test]
fn a_secret_from_a_variable_is_never_shown() {
    let mut numbers = Numbers::seeded();
    for _ in 0..2000 {
        let letters = numbers.text(LETTERS, 12);
        let signs = "#@:/?&=%$(){}[]\\\"' !*,;|<>~^.-_\u{202e}ü\n";
        let (before, after) = (numbers.below(4), numbers.below(4));
        let secret = format!("{}{letters}{}", numbers.text(signs, before), numbers.text(signs, after));
        let url = numbers.one_of(WRITTEN).replace("SECRET", &secret);
        let shown = shown(&[("T", &secret), ("URL", &url)], numbers.one_of(FILLED));
        assert!(!shown.is_empty() && !shown.contains(&letters), "T={secret:?} URL={url:?}: {shown}");
    }
}
