//! Which targets are valid and how they are shown, and the messages for invalid ones.

use super::*;

#[test]
fn valid_targets_and_how_they_are_shown() {
    let env: Env = [("HOST", "api"), ("PORT", "8080"), ("ID", "a/b c?d#e%"), ("TOKEN", "s3cret&x=1"), ("V6", "::1")]
        .into_iter()
        .collect();
    for (text, url, shown) in [
        ("http://api", "http://api/", "http://api"),
        ("HTTP://API:80/x", "http://api/x", "http://API:80/x"),
        ("http://$(HOST):$(PORT)/v1", "http://api:8080/v1", "http://api:8080/v1"),
        ("http://api?ready", "http://api/?ready", "http://api?***"),
        ("http://api/?a=1&b&c=2", "http://api/?a=1&b&c=2", "http://api/?a=***&***&c=***"),
        ("http://api/$(ID)/x", "http://api/a/b%20c%3Fd%23e%25/x", "http://api/$(ID)/x"),
        (
            "http://api/?token=$(TOKEN)&$(TOKEN)=1",
            "http://api/?token=s3cret%26x%3D1&s3cret%26x%3D1=1",
            "http://api/?token=***&***",
        ),
        ("http://api/%24(HOST)", "http://api/%24(HOST)", "http://api/%24(HOST)"),
        ("http://user:p%40ss@api/", "http://api/", "http://***@api/"),
        ("http://[::1]:8080/", "http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://[$(V6)]/", "http://[::1]/", "http://[::1]/"),
        (
            "http://db.ns.svc.cluster.local.:81/",
            "http://db.ns.svc.cluster.local:81/",
            "http://db.ns.svc.cluster.local.:81/",
        ),
        ("http://my_service/a@b", "http://my_service/a@b", "http://my_service/a@b"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        (
            "http://api/#status=200,300-399#header=Authorization: Bearer x#data=hunter2",
            "http://api/",
            "http://api/#status=200,300-399#header=***#data=***",
        ),
    ] {
        let http = parse_with(text, &env).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        assert_eq!(http.request.url().as_str(), url, "{text}");
        assert_eq!(http.to_string(), shown, "{text}");
        assert!(!format!("{http:?}").contains("s3cret"), "{text}");
    }
}

#[test]
fn an_error_names_the_cause_and_no_secret() {
    for (text, says) in [
        ("http:host", "the two slashes after http: are missing (expected http://HOST[:PORT]/PATH)"),
        ("http:/host", "two slashes"),
        ("http://", "the host is missing"),
        ("http://a:hunter2@b@c/", "written %40"),
        ("http://u:hunter2@", "the host is missing"),
        ("http://u:hunter2@host:port/", "not a number"),
        ("http://u:hunter2/x@host/", "not a number"),
        ("http://u:hunter%zz@host/", "two hex digits"),
        ("http://a%3ab:hunter2@host/", "a ':' in the user"),
        ("http://host:0/", "not within"),
        ("http://host:/", "the port is missing"),
        ("http://::1/", "brackets"),
        ("http://${HOST}/", "no shell runs here"),
        ("http://$(NOPE)/", "$(NOPE) is not set"),
        ("http://host/$(NOPE)", "$(NOPE) is not set"),
        ("http://host/%4", "two hex digits"),
        ("http://host/?t=hunter2%g", "two hex digits"),
        ("http://127.1/", "write 127.0.0.1"),
        ("http://bücher.de/", "xn--"),
        ("http://host/ x", "blank"),
        ("http://host/#status=", "three digits"),
        ("http://host/#status=20", "three digits"),
        ("http://host/#status=099", "from 100"),
        ("http://host/#status=1000", "three digits"),
        ("http://host/#status=200-", "three digits"),
        ("http://host/#status=300-200", "the lower one"),
        ("http://host/#status=200,,204", "three digits"),
        ("http://host/#status=+20", "three digits"),
        ("http://host/#status=ok", "three digits"),
        ("http://host/#method=get", "write GET"),
        ("http://host/#method=", "one word"),
        ("http://host/#method=A B", "one word"),
        ("http://host/#method=CONNECT", "tunnel"),
        ("http://host/#header=hunter2", "the colon is missing"),
        ("http://host/#header=A b:hunter2", "no blank before"),
        ("http://host/#header=:hunter2", "a header's name"),
        ("http://host/#header=X:$(UNSAFE)", "line break"),
        ("http://host/#header=X:hunter2%00", "control character"),
        ("http://host/#header=Content-Length:5", "waitgate sets content-length itself"),
        ("http://host/#header=Host:a#header=host:b", "given twice"),
        ("http://u:hunter2@host/#header=Authorization:x", "one of them"),
        ("http://host/#follw", "did you mean #follow?"),
        ("http://host/#follow#status=200,302", "give one of them"),
        ("http://host/#body=", "found nothing"),
        ("http://host/#match=(", "expected a regular expression"),
        ("http://host/#match=(a{0,90}){0,90}", "too large"),
        ("http://host/#match=", "found nothing"),
        ("http://host/#json=status=UP", "begins with '/'"),
        ("http://host/#json=/~2", "~0"),
        ("http://host/#method=HEAD#body=x", "no body to look at"),
        ("http://host/#gone#status=404", "#gone excludes"),
        ("http://host/#data=@", "'@' alone"),
        ("http://host/#header=X:@", "is missing after the '@'"),
        ("http://host/#insecure", "does not speak TLS"),
        ("http://host/#ca=/x", "does not speak TLS"),
        ("https://host/#ca=", "found nothing"),
        ("https://host/#cert=/x", "its key is missing"),
        ("https://host/#key=/x", "its certificate is missing"),
        ("https://host/#servername=10.0.0.1", "found an address"),
        ("https://host/#ca=/x#insecure", "give one of them"),
        ("https://host/#proxy#servername=x", "give one of them"),
        ("http://host/#statsu=200", "did you mean #status?"),
        ("http://u:p#hunter2@host/", "%23"),
    ] {
        if cfg!(not(feature = "tls")) && text.starts_with("https:") {
            continue;
        }
        let message = invalid(text);
        assert!(message.contains(says), "{text}: {message}");
        assert!(!message.contains("hunter2"), "{text}: {message}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_is_invalid_in_a_build_without_tls() {
    assert!(invalid("https://host/").contains("no TLS"));
}
