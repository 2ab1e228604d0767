//! Tokens and keys in files, and that none of them is printed.

use super::*;

fn file(dir: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_token_in_a_file_is_sent_after_one_word() {
    let dir = tempfile::tempdir().unwrap();
    let token = file(&dir, "token", "hunter2\n");
    let server = Server::always(&ok("200 OK"));
    for (expectation, name, value) in [
        (format!("bearer=@{token}"), "authorization", "Bearer hunter2"),
        (format!("header=Authorization:Bearer @{token}"), "authorization", "Bearer hunter2"),
        (format!("header=Authorization: token @{token}"), "authorization", "token hunter2"),
        (format!("header=X-Vault-Token:@{token}"), "x-vault-token", "hunter2"),
        ("header=X-A:two words @home".to_owned(), "x-a", "two words @home"),
        ("header=From:joe@example.org".to_owned(), "from", "joe@example.org"),
    ] {
        probe(&server.url(&format!("/#{expectation}"))).await.unwrap();
        assert_eq!(server.seen().last().unwrap().header(name), [value], "{expectation}");
    }
    let env: Env = [("VALUE", "Bearer @/etc/passwd"), ("WORD", "Bearer")].into_iter().collect();
    for (expectation, value) in [("header=X:$(VALUE)", "Bearer @/etc/passwd"), ("header=X:$(WORD) @/x", "Bearer @/x")] {
        let http = parse_with(&server.url(&format!("/#{expectation}")), &env).unwrap();
        http.probe(&net(), &attempt()).await.unwrap();
        assert_eq!(server.seen().last().unwrap().header("x"), [value], "a variable's '@' is part of its value");
    }
    for (text, says) in [
        ("http://h/#bearer=hunter2", "the '@' is missing"),
        ("http://h/#bearer=@", "found nothing"),
        ("http://u:hunter2@h/#bearer=@/x", "give one of them"),
        ("http://h/#header=Authorization:hunter2#bearer=@/x", "give one of them"),
        ("http://h/#header=Authorization:Bearer @", "is missing after the '@'"),
    ] {
        let message = invalid(text);
        assert!(message.contains(says) && !message.contains("hunter2"), "{text}: {message}");
    }
}

#[tokio::test]
async fn a_reason_names_a_file_as_the_target_does() {
    let env: Env = [("X", "hunter2")].into_iter().collect();
    for (expectation, says) in [
        ("header=Authorization:@$(X)", "#header=authorization:@$(X) cannot be read"),
        ("header=Authorization:Bearer @/run/$(X)", "#header=authorization:Bearer @/run/$(X) cannot be read"),
        ("bearer=@$(X)", "#header=authorization:Bearer @$(X) cannot be read"),
        ("data=@$(X)", "#data=@$(X) cannot be read"),
        ("ca=$(X)", "#ca=$(X) cannot be read"),
        ("cert=$(X)#key=$(X)", "#cert=$(X) cannot be read"),
    ] {
        let tls = expectation.starts_with('c');
        if tls && cfg!(not(feature = "tls")) {
            continue;
        }
        let http =
            parse_with(&format!("http{}://127.0.0.1:1/#{expectation}", if tls { "s" } else { "" }), &env).unwrap();
        let reason = http.probe(&net(), &attempt()).await.unwrap_err();
        assert!(reason.text().starts_with(says) && !reason.text().contains("hunter2"), "{}", reason.text());
    }
}

#[test]
fn a_content_in_the_place_of_a_file_is_invalid() {
    let env: Env =
        [("PEM", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END"), ("TWO", "hunter2\nx")].into_iter().collect();
    for expectation in [
        "ca=$(PEM)",
        "cert=/c#key=$(PEM)",
        "cert=$(TWO)#key=/k",
        "data=@$(TWO)",
        "header=X:@$(PEM)",
        "header=X:Bearer @$(TWO)",
        "bearer=@$(TWO)",
        "cert=/c#key=-----BEGIN hunter2",
    ] {
        if cfg!(not(feature = "tls")) && expectation.starts_with('c') {
            continue;
        }
        let scheme = if cfg!(feature = "tls") { "https" } else { "http" };
        let message = format!("{:#}", parse_with(&format!("{scheme}://h/#{expectation}"), &env).unwrap_err());
        let name = expectation.split('=').next().unwrap();
        assert!(message.contains("it takes the path of a file") && !message.contains("hunter2"), "{message}");
        assert!(message.starts_with(&format!("#{name}")) || expectation.starts_with("cert=/c"), "{message}");
    }
}

#[tokio::test]
async fn a_secret_that_the_server_repeats_is_hidden() {
    let server = Server::always("HTTP/1.1 302 x\r\nLocation: http://Hunter2hunter.example/\r\n\r\n");
    let url = server.url("/").replace("http://", "http://u:Hunter2hunter@");
    let ready = probe(&url).await.unwrap();
    assert!(ready.note.unwrap().ends_with("which redirects to another host, ***.example"));
    let reason = probe(&server.url("/#status=200#header=Authorization:Bearer Hunter2hunter")).await.unwrap_err();
    assert!(reason.text().contains("another host, ***.example"), "{}", reason.text());
    let body = Server::always("HTTP/1.1 200 x\r\n\r\n{\"token\":\"Hunter2hunter\"}");
    let reason = probe(&body.url("/#json=/token=x#header=X-T:Hunter2hunter")).await.unwrap_err();
    assert!(reason.text().ends_with("has \"***\" at /token"), "{}", reason.text());
}

#[test]
fn the_path_of_a_url_is_shown_printable_and_only_if_the_target_has_it() {
    assert_eq!(parse("http://h/\u{202e}x").to_string(), "http://h/\\u{202e}x");
    let env: Env = [
        ("PLAIN", "http://h:81/"),
        ("HOOK", "http://h:81/services/hunter2?a=hunter2"),
        ("PART", "http://u:hunter2@h#access_token=hunter2"),
    ]
    .into_iter()
    .collect();
    for (text, shown) in [
        ("env:PLAIN", "http://h:81"),
        ("env:HOOK", "http://h:81/***"),
        ("env:HOOK#status=200", "http://h:81/***#status=200"),
    ] {
        assert_eq!(parse_with(text, &env).unwrap().to_string(), shown, "{text}");
    }
    if let Err(error) = parse_with("env:PART", &env) {
        assert!(!format!("{error:#}").contains("hunter2"));
    }
    let message = invalid("http://app:1234/hunter2@db/");
    assert!(message.contains("%2F") && !message.contains("hunter2"), "{message}");
    assert_eq!(parse("http://h:1234/%40scope/x").to_string(), "http://h:1234/%40scope/x");
}
