//! Servers that speak, close or stay silent, and what is expected of them.

use super::*;
use crate::env::Env;
use crate::net::names::resolv_conf::SystemFiles;

const SPECS: &[Spec] = &[HOLD, SEND, BANNER, BANNER_MATCH];

fn parse(text: &str) -> Result<Accept> {
    let env = Env::default();
    let fill = Fill::from_env(&env);
    Accept::parse(&Expectations::parse(text.split('#').skip(1), "tcp", SPECS, fill)?, fill)
}

fn net() -> Net {
    Net::plain(SystemFiles::default())
}

async fn check(text: &str, pieces: &[&[u8]], ends: bool) -> Result<Accepted, Reason> {
    let bounds = crate::attempt::Bounds { attempt: Duration::from_secs(1), connect: Duration::from_secs(1) };
    let attempt = Attempt::new(bounds, false);
    let (mut server, client) = tokio::io::duplex(64 * 1024);
    let speak = async {
        for piece in pieces {
            server.write_all(piece).await.unwrap();
            time::sleep(Duration::from_millis(20)).await;
        }
        if ends {
            drop(server);
        } else {
            std::future::pending::<()>().await;
        }
        std::future::pending::<()>().await;
    };
    let accept = parse(text).unwrap();
    let net = net();
    tokio::select! {
        () = speak => unreachable!(),
        outcome = time::timeout(bounds.attempt, accept.check(&net, client, Over::Tcp, &"10.0.0.1:22", &attempt)) =>
            outcome.unwrap_or_else(|_| Err(attempt.cut_off())),
    }
}

#[test]
fn invalid_expectations() {
    for (text, says) in [("#banner=", "found nothing"), ("#banner-match=(", "regular expression")] {
        let message = format!("{:#}", parse(text).unwrap_err());
        assert!(message.contains(says), "{text}: {message}");
    }
    assert!(parse(&format!("#banner={}", "x".repeat(4097))).is_err());
}

#[tokio::test]
async fn a_connection_must_stay_open() {
    assert!(check("", &[], false).await.is_ok());
    assert!(check("", &[b"220 mail"], false).await.is_ok());
    assert_eq!(check("", &[], true).await.unwrap_err().code(), Code::ProtocolClosed);
    assert!(check("#hold=0", &[], true).await.is_ok());
    let flood: Vec<&[u8]> = vec![&[b'a'; 4096]];
    assert!(check("", &flood, true).await.is_ok(), "no refusal is that long");
}

#[tokio::test]
async fn words_and_then_the_end_are_a_refusal() {
    for (said, text) in [
        (&b"-ERR max number of clients reached\r\n"[..], "said \"-ERR max number of clients reached\""),
        (b"\x17\0\0\x01\xff\x10\x04Too many connections", "said \"Too many connections\""),
        (b"421 busy\r\nbye\r\n", "said \"421 busy\""),
        (b"no\n", "said \"no\""),
        (b"\0\x01\xff", "sent 3 bytes"),
    ] {
        let reason = check("", &[said], true).await.unwrap_err();
        assert_eq!(reason.text(), format!("10.0.0.1:22 accepted the connection, {text} and closed it at once"));
        assert_eq!(reason.code(), Code::ProtocolClosed);
    }
    // After the banner too.
    let reason = check("#banner=220", &[b"220 mail\r\n"], true).await.unwrap_err();
    assert_eq!(reason.code(), Code::ProtocolClosed);
    assert!(reason.text().contains("said \"220 mail\""), "{}", reason.text());
    assert!(check("#banner=220#hold=0", &[b"220 mail\r\n"], true).await.is_ok());
    let late = check("#hold=900ms", &[b"421 busy", b"", b"", b"", b"", b"", b"", b"", b"", b"", b"", b""], true);
    let late = late.await.unwrap_err();
    assert!(late.text().contains("and closed it after "), "{}", late.text());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_closed_is_watched_four_times_as_long() {
    let bounds = crate::attempt::Bounds { attempt: Duration::from_secs(1), connect: Duration::from_secs(1) };
    let held = async |accept: &Accept| {
        let attempt = Attempt::new(bounds, false);
        let (_server, client) = tokio::io::duplex(64);
        accept.check(&net(), client, Over::Tcp, &"10.0.0.1:22", &attempt).await.unwrap();
        attempt.started().elapsed().as_millis()
    };
    for (text, first, then) in [("", 50, 200), ("#hold=400ms", 400, 900), ("#hold=950ms", 950, 950)] {
        let accept = parse(text).unwrap();
        assert_eq!(held(&accept).await, first, "{text}");
        let attempt = Attempt::new(bounds, false);
        let (server, client) = tokio::io::duplex(64);
        drop(server);
        assert!(accept.check(&net(), client, Over::Tcp, &"10.0.0.1:22", &attempt).await.is_err());
        assert_eq!(held(&accept).await, then, "{text}");
    }
}

#[tokio::test]
async fn the_banner_must_hold_the_text_and_match_the_pattern() {
    let ssh: &[&[u8]] = &[b"SSH-2.0-", b"OpenSSH_9.2\r\n"];
    assert!(check("#banner=SSH-2.0-OpenSSH", ssh, false).await.is_ok());
    assert!(check("#banner-match=^SSH-2\\.0-\\w+_9", ssh, false).await.is_ok());
    assert!(check("#banner=SSH#banner-match=9\\.2\\r\\n$", ssh, false).await.is_ok());
    let reason = check("#banner=220 ", ssh, false).await.unwrap_err();
    assert_eq!(reason.code(), Code::ExpectBanner);
    assert_eq!(reason.text(), "10.0.0.1:22 says \"SSH-2.0-OpenSSH_9.2\" first, which is not what is expected");
    assert_eq!(check("#banner=220 ", ssh, true).await.unwrap_err().code(), Code::ExpectBanner);
    assert_eq!(check("#banner=220 ", &[], true).await.unwrap_err().code(), Code::ProtocolClosed);
    assert_eq!(check("#banner=220 ", &[], false).await.unwrap_err().code(), Code::ProtocolTimeout);
    let endless: Vec<&[u8]> = vec![&[b'a'; 512]; 12];
    assert_eq!(check("#banner=b", &endless, false).await.unwrap_err().code(), Code::ExpectBanner);
    let hostile = check("#banner=b", &[b"\x1b[2J\xff\n"], true).await.unwrap_err();
    assert!(hostile.text().contains("\\u{1b}[2J"), "{}", hostile.text());
}
