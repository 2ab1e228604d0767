//! The server's first packet: HandshakeV10 (MySQL's manual: Protocol::HandshakeV10). Pure.

use super::packet::Fields;
use crate::text::{cut, printable};

/// Capabilities, of either side (mysql_com.h: CLIENT_…).
pub(super) mod capability {
    pub(in super::super) const LONG_PASSWORD: u32 = 1;
    pub(in super::super) const LONG_FLAG: u32 = 1 << 2;
    pub(in super::super) const CONNECT_WITH_DB: u32 = 1 << 3;
    pub(in super::super) const PROTOCOL_41: u32 = 1 << 9;
    pub(in super::super) const SSL: u32 = 1 << 11;
    pub(in super::super) const TRANSACTIONS: u32 = 1 << 13;
    pub(in super::super) const SECURE_CONNECTION: u32 = 1 << 15;
    pub(in super::super) const PLUGIN_AUTH: u32 = 1 << 19;
}

/// The length of a challenge (mysql_com.h: SCRAMBLE_LENGTH).
pub(super) const NONCE_LEN: usize = 20;

/// What a server says of itself before the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Such as `8.0.36` or `5.5.5-10.11.6-MariaDB`, printable.
    pub(super) version: String,
    pub(super) capabilities: u32,
    /// The challenge for the password.
    pub(super) nonce: Vec<u8>,
    /// How the server expects most users to log in.
    pub(super) plugin: String,
}

impl Greeting {
    /// Parses the body of the first packet.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        if fields.byte()? != 10 {
            return None;
        }
        let version = cut(printable(&String::from_utf8_lossy(fields.text()?)), 64);
        let _thread = fields.bytes(4)?;
        let mut nonce = fields.bytes(8)?.to_vec();
        let _filler = fields.byte()?;
        let low = fields.short()?;
        // Servers before 4.1 end here.
        let (_charset, _status) = (fields.byte()?, fields.short()?);
        let capabilities = u32::from(low) | u32::from(fields.short()?) << 16;
        let length = usize::from(fields.byte()?);
        let _reserved = fields.bytes(10)?;
        let more = fields.bytes(length.saturating_sub(8).max(13))?;
        nonce.extend_from_slice(more);
        nonce.truncate(NONCE_LEN);
        // Some old servers leave out the last NUL (MySQL bug 59453).
        let plugin = if capabilities & capability::PLUGIN_AUTH == 0 {
            Vec::new()
        } else {
            fields.0.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        };
        let plugin = String::from_utf8_lossy(&plugin).into_owned();
        (capabilities & capability::PROTOCOL_41 != 0).then_some(Self { version, capabilities, nonce, plugin })
    }

    pub(super) fn has(&self, capability: u32) -> bool {
        self.capabilities & capability != 0
    }

    /// MariaDB and MySQL have other names for some variables.
    pub(super) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }
}

/// Whether this is the first frame of MySQL's other protocol, the X Protocol: a notice that says hello
/// (mysqlx_notice.proto: `SERVER_HELLO`).
pub(super) fn is_x_protocol(body: &[u8]) -> bool {
    body.starts_with(&[0x0b, 0x08, 0x05])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A greeting as MySQL 8 sends it.
    pub(in super::super) fn mysql8(capabilities: u32, plugin: &str) -> Vec<u8> {
        let [low, high] = [capabilities & 0xffff, capabilities >> 16].map(|half| u16::try_from(half).unwrap());
        let fixed = [b"\x0a8.0.36\0\x01\0\0\0aaaaaaaa\0".as_slice(), &low.to_le_bytes(), b"\xff\x02\0"].concat();
        let rest = [&high.to_le_bytes()[..], b"\x15", &[0; 10], b"bbbbbbbbbbbb\0", plugin.as_bytes(), b"\0"].concat();
        [fixed, rest].concat()
    }

    #[test]
    fn a_greeting_is_read_and_one_that_is_cut_is_not() {
        use capability::{PLUGIN_AUTH, PROTOCOL_41, SSL};
        let body = mysql8(PROTOCOL_41 | PLUGIN_AUTH | SSL, "caching_sha2_password");
        let greeting = Greeting::parse(&body).unwrap();
        assert_eq!((greeting.version.as_str(), greeting.plugin.as_str()), ("8.0.36", "caching_sha2_password"));
        assert_eq!(greeting.nonce, b"aaaaaaaabbbbbbbbbbbb");
        assert!(greeting.has(SSL) && !greeting.is_mariadb());
        let plugin = "caching_sha2_password".len() + 1;
        for cut in 0..body.len() - plugin {
            assert_eq!(Greeting::parse(&body[..cut]), None, "cut at {cut}");
        }
        assert!(Greeting::parse(&mysql8(SSL, "")).is_none(), "before 4.1");
        assert!(Greeting::parse(b"\x09").is_none() && Greeting::parse(b"").is_none());
    }
}
