//! Which of a server's authentication requests waitgate answers. Pure.
//!
//! libpq's `require_auth` limits them, and so does waitgate itself: after a TLS handshake that failed, no password goes
//! out in a readable form.

use anyhow::{Result, bail};

use crate::net::stream::Peer;
use crate::reason::{Code, Reason};

/// The codes of authentication requests (protocol.h: AUTH_REQ_…).
pub(super) const OK: u32 = 0;
pub(super) const CLEARTEXT: u32 = 3;
pub(super) const MD5: u32 = 5;
pub(super) const SASL: u32 = 10;
pub(super) const SASL_FINAL: u32 = 12;
const GSS: u32 = 7;
const GSS_CONTINUE: u32 = 8;
const SSPI: u32 = 9;
const SASL_CONTINUE: u32 = 11;

/// The methods of `require_auth`, each with the requests that belong to it (fe-connect.c: pqConnectOptions2). waitgate
/// has no OAuth, so the word only excludes the other methods.
const METHODS: &[(&str, &[u32])] = &[
    ("password", &[CLEARTEXT]),
    ("md5", &[MD5]),
    ("gss", &[GSS, GSS_CONTINUE]),
    ("sspi", &[SSPI, GSS_CONTINUE]),
    ("scram-sha-256", &[SASL, SASL_CONTINUE, SASL_FINAL]),
    ("oauth", &[]),
    ("none", &[OK]),
];

/// libpq's `require_auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum RequireAuth {
    /// Not given: every method, and none.
    #[default]
    Any,
    /// One of these methods. `none` lets the server ask for nothing.
    Only(Vec<&'static str>),
    /// Any method except these. Without `none`, the server may ask for nothing.
    Except(Vec<&'static str>),
}

impl RequireAuth {
    /// Parses the list: methods, or methods that each have a `!`. libpq refuses a mixture and a method that is there
    /// twice.
    pub(super) fn parse(text: &str, source: &str) -> Result<Self> {
        let negated = text.starts_with('!');
        let mut methods = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let word = part.strip_prefix('!').unwrap_or(part);
            if part.starts_with('!') != negated {
                bail!("{source}= mixes methods with and without '!' (expected one of the two)");
            }
            let Some((word, _)) = METHODS.iter().find(|(known, _)| *known == word) else {
                let words: Vec<&str> = METHODS.iter().map(|(word, _)| *word).collect();
                bail!("{source}= has an unknown method (expected one or more of {})", words.join(", "));
            };
            if methods.contains(word) {
                bail!("{source}= has a method twice (expected each method once)");
            }
            methods.push(*word);
        }
        Ok(if negated { Self::Except(methods) } else { Self::Only(methods) })
    }

    /// Whether the server may send this request. `asked` says whether it has asked for credentials before.
    fn allows(&self, request: u32, asked: bool) -> bool {
        // A server that asked, and is now content, used the method that was allowed then.
        if request == OK && asked {
            return true;
        }
        let listed =
            |words: &[&str]| METHODS.iter().any(|(word, requests)| requests.contains(&request) && words.contains(word));
        match self {
            Self::Any => true,
            Self::Only(words) => listed(words),
            Self::Except(words) => !listed(words),
        }
    }
}

/// What limits the requests of one session.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) required: &'a RequireAuth,
    /// Whether this session is in plain text because the TLS handshake failed.
    pub(super) handshake_failed: bool,
}

impl Rules<'_> {
    /// The reason if waitgate does not answer this request.
    pub(super) fn refusal(&self, peer: &Peer, request: u32, asked: bool) -> Option<Reason> {
        let reason = |text: String| Some(Reason::new(Code::ProtocolAuthMethod, text).with_key(request));
        if !self.required.allows(request, asked) {
            let wants = match request {
                OK => "lets this client in without asking for credentials".to_owned(),
                other => format!("asks for {}", name(other)),
            };
            return reason(format!("the server is there ({peer}), but it {wants}, which require_auth= forbids"));
        }
        match request {
            CLEARTEXT | MD5 if self.handshake_failed => reason(format!(
                "{peer} asks for {}, and waitgate does not send it unencrypted after a TLS handshake that failed",
                name(request)
            )),
            OK | CLEARTEXT | MD5 | SASL | SASL_CONTINUE | SASL_FINAL => None,
            other => reason(format!(
                "the server is there ({peer}), but it asks for {}, which waitgate does not have",
                name(other)
            )),
        }
    }
}

fn name(request: u32) -> &'static str {
    match request {
        CLEARTEXT => "the password in clear text",
        MD5 => "the password as an MD5 hash",
        2 => "a Kerberos V5 login",
        6 => "SCM credentials",
        GSS | GSS_CONTINUE => "a GSSAPI (Kerberos) login",
        SSPI => "an SSPI login",
        SASL | SASL_CONTINUE | SASL_FINAL => "a SCRAM login",
        _ => "an unknown kind of login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &str) -> Vec<u32> {
        let required = RequireAuth::parse(list, "require_auth").unwrap();
        [OK, CLEARTEXT, MD5, GSS, SSPI, SASL].into_iter().filter(|request| required.allows(*request, false)).collect()
    }

    #[test]
    fn require_auth_follows_libpqs_rule() {
        assert_eq!(allowed("scram-sha-256"), [SASL]);
        assert_eq!(allowed("password,md5"), [CLEARTEXT, MD5]);
        assert_eq!(allowed("none"), [OK]);
        assert_eq!(allowed("none,scram-sha-256"), [OK, SASL]);
        assert_eq!(allowed("gss,sspi"), [GSS, SSPI]);
        assert_eq!(allowed("!password"), [OK, MD5, GSS, SSPI, SASL]);
        assert_eq!(allowed("!password,!md5,!none"), [GSS, SSPI, SASL]);
        assert_eq!(allowed("oauth"), [0_u32; 0]);
        // After an exchange, AuthenticationOk is its end.
        assert!(RequireAuth::parse("scram-sha-256", "require_auth").unwrap().allows(OK, true));
    }

    #[test]
    fn a_list_that_libpq_refuses_is_an_error() {
        for bad in ["hunter2", "!", "md5,!password", "!md5,password", "md5,md5", "!none,!none", "md5,", ""] {
            let message = RequireAuth::parse(bad, "require_auth").unwrap_err().to_string();
            assert!(message.starts_with("require_auth= ") && !message.contains("hunter2"), "{bad}: {message}");
        }
    }

    #[test]
    fn what_waitgate_does_not_have_is_named() {
        let peer = Peer::Tcp(([10, 0, 0, 1], 5432).into());
        let rules = Rules { required: &RequireAuth::Any, handshake_failed: false };
        for (request, says) in [(GSS, "GSSAPI"), (SSPI, "SSPI"), (2, "Kerberos V5"), (99, "unknown")] {
            let reason = rules.refusal(&peer, request, false).unwrap();
            assert!(reason.text().contains(says), "{}", reason.text());
        }
        assert!([OK, CLEARTEXT, MD5, SASL].iter().all(|request| rules.refusal(&peer, *request, false).is_none()));
    }
}
