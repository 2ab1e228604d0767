//! The ways to log in (SASL): PLAIN, AMQPLAIN and EXTERNAL. Pure.

use super::frame::Out;
use crate::net::stream::Peer;
use crate::reason::{Code, Reason};
use crate::secret::Secret;

/// The capability of a server that says why it refuses a login, and of a client that can read it.
pub(super) const FAILURE_CLOSE: &str = "authentication_failure_close";

/// The user of RabbitMQ's first start, and of a client whose URL has no user.
pub(super) const GUEST: &str = "guest";

/// One way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    /// PLAIN with a table in place of the NULs, of AMQP 0-8.
    AmqPlain,
    /// The server knows the client by its certificate.
    External,
}

impl Mechanism {
    /// By its name, as a URL or a server writes it.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Plain, Self::AmqPlain, Self::External].into_iter().find(|it| it.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// Who logs in, and how.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a Secret,
    /// What the target allows, the best one first.
    pub(super) allowed: &'a [Mechanism],
    /// Whether the session publishes a message.
    pub(super) publishes: bool,
}

impl Login<'_> {
    /// The first mechanism that the target allows and that is one of `offered`, and the answer in it.
    pub(super) fn answer(&self, offered: &str) -> Option<(&'static str, Vec<u8>)> {
        let mechanism = *self.allowed.iter().find(|it| offered.split(' ').any(|name| name == it.name()))?;
        let (user, password) = (self.user.as_bytes(), self.password.expose().as_bytes());
        let response = match mechanism {
            // RFC 4616: no other identity, the user, the password.
            Mechanism::Plain => [b"\0", user, b"\0", password].concat(),
            Mechanism::AmqPlain => {
                let mut table = Out::default();
                table.text("LOGIN").bytes(b"S").long_text(user);
                table.text("PASSWORD").bytes(b"S").long_text(password);
                table.0
            }
            Mechanism::External => Vec::new(),
        };
        Some((mechanism.name(), response))
    }

    /// Adds to a refused login what a server does not say. RabbitMQ lets `guest` in from its own host only
    /// (<https://www.rabbitmq.com/docs/access-control#loopback-users>).
    pub(super) fn explain(&self, reason: Reason, peer: &Peer) -> Reason {
        let elsewhere = matches!(peer, Peer::Tcp(address) if !address.ip().to_canonical().is_loopback());
        if reason.code() != Code::ProtocolPassword || self.user != GUEST || !elsewhere {
            return reason;
        }
        reason.with_text(format!("{} (RabbitMQ lets guest log in from its own host only)", reason.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_allowed_mechanism_that_is_offered_is_taken() {
        let password = Secret::new("pw");
        let with =
            |allowed: &'static [Mechanism]| Login { user: "app", password: &password, allowed, publishes: false };
        let both = with(&[Mechanism::Plain, Mechanism::AmqPlain]);
        assert_eq!(both.answer("AMQPLAIN PLAIN"), Some(("PLAIN", b"\0app\0pw".to_vec())));
        let table = b"\x05LOGINS\0\0\0\x03app\x08PASSWORDS\0\0\0\x02pw".to_vec();
        assert_eq!(both.answer("AMQPLAIN"), Some(("AMQPLAIN", table)));
        for none in ["", "EXTERNAL", "PLAINER XPLAIN", "ANONYMOUS"] {
            assert_eq!(both.answer(none), None, "{none}");
        }
        assert_eq!(with(&[Mechanism::External]).answer("PLAIN EXTERNAL"), Some(("EXTERNAL", Vec::new())));
        assert_eq!(Mechanism::named("amqplain"), Some(Mechanism::AmqPlain));
    }

    #[test]
    fn a_guest_from_elsewhere_hears_why() {
        let password = Secret::new(GUEST);
        let login = |user| Login { user, password: &password, allowed: &[], publishes: false };
        let refused = || Reason::new(Code::ProtocolPassword, "no");
        let remote = Peer::Tcp(([10, 0, 0, 1], 5672).into());
        assert!(login(GUEST).explain(refused(), &remote).text().contains("its own host only"));
        let local = Peer::Tcp(([127, 0, 0, 1], 5672).into());
        assert_eq!(login(GUEST).explain(refused(), &local).text(), "no");
        assert_eq!(login("app").explain(refused(), &remote).text(), "no");
    }
}
