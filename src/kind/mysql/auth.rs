//! How a password is proven to a server: by a hash over the server's challenge, or, in a session that cannot be read, by
//! the password itself. Pure.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use crate::text::{cut, printable};

/// A way to log in, which the server names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// `mysql_native_password`.
    Native,
    /// `caching_sha2_password`: a hash, if the server remembers the password since an earlier login, otherwise the password.
    CachingSha2,
    /// `sha256_password`: the password itself.
    Sha256,
    /// `mysql_clear_password`: the password itself, for servers that hand it on (LDAP, PAM).
    Clear,
    /// Any other.
    Other(String),
}

impl Plugin {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"mysql_native_password" => Self::Native,
            b"caching_sha2_password" => Self::CachingSha2,
            b"sha256_password" => Self::Sha256,
            b"mysql_clear_password" => Self::Clear,
            other => Self::Other(cut(printable(&String::from_utf8_lossy(other)), 64)),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Native => "mysql_native_password",
            Self::CachingSha2 => "caching_sha2_password",
            Self::Sha256 => "sha256_password",
            Self::Clear => "mysql_clear_password",
            Self::Other(name) => name,
        }
    }

    /// An answer that proves nothing, in a form that the server takes for a wrong password. What has another form than it
    /// expects counts as an error of the host. `more` says that it is not the first answer.
    ///
    /// A server may ask in any of these ways: for a user that it does not have, MariaDB takes the way of another one
    /// (sql_acl.cc: find_mpvio_user).
    pub(super) fn nothing(&self, more: bool) -> Vec<u8> {
        match self {
            Self::Native => Vec::new(),
            // An empty text with its NUL.
            Self::CachingSha2 | Self::Sha256 | Self::Clear => vec![0],
            Self::Other(name) => match (name.as_str(), more) {
                // A signature (mariadb: plugin/auth_ed25519), and one after the client's own challenge (plugin/auth_parsec).
                ("client_ed25519", _) => vec![0; 64],
                ("parsec", true) => vec![0; 96],
                ("parsec" | "mysql_old_password", _) => Vec::new(),
                // A question for a text, such as PAM's.
                _ => vec![0],
            },
        }
    }

    /// The answer to a challenge.
    pub(super) fn answer(&self, password: &str, nonce: &[u8], channel: Channel) -> Result<Vec<u8>, Refused> {
        if password.is_empty() {
            return match self {
                Self::Other(_) => Err(Refused::Unknown),
                known => Ok(known.nothing(false)),
            };
        }
        match self {
            Self::Native => Ok(native(password.as_bytes(), nonce)),
            Self::CachingSha2 => Ok(caching_sha2(password.as_bytes(), nonce)),
            // MySQL's own client sends it over any TLS too (sql-common/client_authentication.cc).
            Self::Sha256 if matches!(channel, Channel::Encrypted | Channel::Verified) => Ok(readable(password)),
            Self::Sha256 => Err(Refused::NeedsTls),
            // Whoever answers gets it: only a server whose certificate was verified does.
            Self::Clear if channel == Channel::Verified => Ok(readable(password)),
            Self::Clear => Err(Refused::NeedsVerifiedTls),
            Self::Other(_) => Err(Refused::Unknown),
        }
    }

    /// The answer when the server of `caching_sha2_password` does not remember the password, and asks for it.
    pub(super) fn full_answer(password: &str, channel: Channel) -> Result<Vec<u8>, Refused> {
        match channel {
            Channel::Plain => Err(Refused::NeedsTls),
            Channel::Local | Channel::Encrypted | Channel::Verified => Ok(readable(password)),
        }
    }
}

/// Who can read what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Anyone on the way.
    Plain,
    /// The machine itself: a unix socket.
    Local,
    /// The server, or whoever is in its place.
    Encrypted,
    /// The server, whose certificate was verified.
    Verified,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The password itself is asked for, and the session is not encrypted.
    NeedsTls,
    /// The password itself is asked for, and the server's certificate was not verified.
    NeedsVerifiedTls,
    /// waitgate does not have this way to log in.
    Unknown,
}

fn readable(password: &str) -> Vec<u8> {
    [password.as_bytes(), &[0]].concat()
}

fn hash(algorithm: &'static ring::digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// SHA1(password) XOR SHA1(nonce, SHA1(SHA1(password))) (MySQL's manual: Native Authentication).
fn native(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha1 = |parts: &[&[u8]]| hash(&SHA1_FOR_LEGACY_USE_ONLY, parts);
    let once = sha1(&[password]);
    let twice = sha1(&[&once]);
    xor(&once, &sha1(&[nonce, &twice]))
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)), nonce) (MySQL's manual: Caching SHA-2 authentication).
fn caching_sha2(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let sha256 = |parts: &[&[u8]]| hash(&SHA256, parts);
    let once = sha256(&[password]);
    let twice = sha256(&[&once]);
    xor(&once, &sha256(&[&twice, nonce]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    /// The values are those of PyMySQL (pymysql/_auth.py: scramble_native_password, scramble_caching_sha2).
    #[test]
    fn hashes_are_those_of_another_client() {
        let nonce = b"abcdefghij0123456789";
        assert_eq!(hex(&native(b"hunter2", nonce)), "24ed83d0a50dfaad8061c527f644ea187ecf998d");
        assert_eq!(
            hex(&caching_sha2(b"hunter2", nonce)),
            "642bc8f5d810c62e3cf5abec18d5eb66ff86d152067b965ffadcca32642abf1f"
        );
    }

    #[test]
    fn the_password_itself_goes_only_where_it_cannot_be_read() {
        use Channel::{Encrypted, Local, Plain, Verified};
        let readable_in = |plugin: &Plugin| {
            let all = [Plain, Local, Encrypted, Verified];
            let sent = |channel: &Channel| plugin.answer("hunter2", &[0; 20], *channel) == Ok(b"hunter2\0".to_vec());
            all.into_iter().filter(sent).collect::<Vec<_>>()
        };
        assert_eq!(readable_in(&Plugin::Clear), [Verified]);
        assert_eq!(readable_in(&Plugin::Sha256), [Encrypted, Verified]);
        for never in [Plugin::Native, Plugin::CachingSha2, Plugin::of(b"client_ed25519"), Plugin::of(b"dialog")] {
            assert_eq!(readable_in(&never), []);
        }
        assert_eq!(Plugin::full_answer("hunter2", Plain), Err(Refused::NeedsTls));
        assert_eq!(Plugin::full_answer("hunter2", Local), Ok(b"hunter2\0".to_vec()));
        assert_eq!(Plugin::Clear.answer("", &[], Plain), Ok(vec![0]));
    }
}
