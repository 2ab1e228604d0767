//! What is invalid, and what no message and no output repeats.

use super::*;

#[test]
fn an_error_names_the_cause_and_the_form_and_no_secret() {
    // Each with a part of its message.
    let rows = [
        ("postgres:", "the port is missing"),
        ("postgres://", "host is missing"),
        ("postgres:///shop", "host is missing"),
        ("postgres://u:hunter2@/shop", "host is missing"),
        ("postgres://a,,b/shop", "host is missing"),
        ("postgres://u:hun@ter2@db/shop", "is written %40"),
        ("postgres://u:hunter2@x@y@db", "is written %40"),
        ("postgres://u:hun/ter2@db/shop", "'/' is written %2F"),
        ("postgres://u:hun?ter2@db/shop", "'?' is written %3F"),
        ("postgres://u:a@b?hunter2=x@h/d", "'?' is written %3F"),
        ("postgres://u:hun#ter2@db/shop", "%23"),
        ("postgres://u:hun%ter2@db/shop", "%25"),
        ("postgres://u:hunter2%@db/shop", "%25"),
        ("postgres://u:hunter2%0@db", "%25"),
        ("postgres://u:hunter2%00@db", "NUL"),
        ("postgres://u:hunter2%ff@db", "UTF-8"),
        ("postgres://u:hunter 2@db/shop", "%20"),
        ("postgres://u:hunter2@db:hunter2/shop", "not a number"),
        ("postgres://u:hunter2@db:0/shop", "within 1 to 65535"),
        ("postgres://u:hunter2@db:99999/shop", "within 1 to 65535"),
        ("postgres://u:hunter2@db:/shop", "the port is missing"),
        ("postgres://u:hunter2@d!b/shop", "a name has letters"),
        ("postgres://u:hunter2@$HOST/shop", "no shell runs here"),
        ("postgres://u:hunter2@127.1/shop", "write 127.0.0.1"),
        ("postgres://u:$(HUNTER2_UNSET)@db", "is not set"),
        ("postgres:host=db password=hunter2", "keywords"),
        ("postgres:user=u password='hunter2' host=db", "keywords"),
        ("postgres:u:hunter2@db", "the form with //"),
        ("postgres:db:5432/shop", "the form with //"),
        ("postgres://db?hunter2", "has no '='"),
        ("postgres://db?password=%hunter2", "%25"),
        ("postgres://db?sslmode=disable&channel_binding=require", "needs TLS"),
        ("postgres://db?sslmode=hunter2", "disable, allow, prefer, require, verify-ca, verify-full"),
        ("postgres://db?target_session_attrs=hunter2", "read-write"),
        ("postgres://db?channel_binding=hunter2", "prefer, require"),
        ("postgres://db?connect_timeout=hunter2", "seconds"),
        ("postgres://db?port=hunter2", "port"),
        ("postgres://a,b?port=1,2,3", "one for each host"),
        ("postgres://a,b?hostaddr=10.0.0.1", "one address for each host"),
        ("postgres://?host=@hunter2", "a name has letters"),
        ("postgres://u:hunter2@db#password=hunter2", "expected @FILE"),
        ("postgres://u:hunter2@db#hunter2", "expectation 1"),
    ];
    for (text, says) in rows {
        let message = invalid(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.to_lowercase().contains("hunter2") || text.contains("$(HUNTER2"), "{text}: {message}");
        assert!(!message.contains("ter2"), "{text}: {message}");
        assert!(
            message.contains(&format!("({FORM})"))
                || message.starts_with("#password: ")
                || message.starts_with("found ")
                || message.starts_with("expectation ")
                || message.contains("expectation"),
            "{text}: {message}"
        );
    }
    // A password that begins with '@' is not a file's name.
    let error = parse_with("postgres://u@db#password=$(PASS)", &[("PASS", "@hunter2")], false).unwrap_err();
    assert!(format!("{error:#}").starts_with("#password: expected @FILE"));
    let env = &[("PGSSLMODE", "hunter2")];
    let message = format!("{:#}", parse_with("postgres://db", env, false).unwrap_err());
    assert!(message.contains("PGSSLMODE=") && !message.contains("hunter2"));
}

#[test]
fn the_password_is_never_shown() {
    let target = parse("postgres://app:hunter2@db/shop?password=hunter2&application_name=x#successes=2");
    for shown in [target.to_string(), format!("{target:?}"), format!("{target:#?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(target.to_string(), "postgres://app@db:5432/shop#successes=2");
}
