//! URLs of PostgreSQL's JDBC driver, where they differ from libpq's (jdbc.postgresql.org: Connecting to the Database). Pure.

use std::borrow::Cow;

use anyhow::Result;

use super::params::Params;

/// What `ssl=true` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ssl {
    /// TLS, with a certificate of a trusted CA for this host.
    Verified,
    /// TLS, with any certificate.
    Unverified,
}

/// The address in libpq's form. The driver also takes the database alone, of a server on this machine.
pub(super) fn address(address: &str) -> Cow<'_, str> {
    match address {
        _ if address.starts_with("//") => address.into(),
        _ => format!("//localhost/{}", address.strip_prefix('/').unwrap_or(address)).into(),
    }
}

/// `ssl=`, which counts if there is no `sslmode=` (pgjdbc: SslMode.of): whether it asks for TLS, and then whether the
/// certificate is verified.
pub(super) fn ssl(params: &Params<'_>) -> Result<Option<Ssl>> {
    if params.in_url("sslmode").is_some() {
        return Ok(None);
    }
    let yes = params.choice("ssl", &[("true", true), ("false", false)], false)?;
    let unverified = params.in_url("sslfactory").is_some_and(|name| name.ends_with(".NonValidatingFactory"));
    Ok(match (yes, unverified) {
        (false, _) => None,
        (true, true) => Some(Ssl::Unverified),
        (true, false) => Some(Ssl::Verified),
    })
}

#[cfg(test)]
mod tests {
    use crate::kind::postgres::session::Session;
    #[cfg(feature = "tls")]
    use crate::kind::postgres::sslmode::SslMode;
    use crate::kind::postgres::uri::tests::parse;

    #[test]
    fn addresses_of_the_jdbc_driver() {
        for (text, shown, login) in [
            ("jdbc:postgresql://db/shop?user=app&password=hunter2", "postgres://app@db:5432/shop", true),
            ("jdbc:postgresql://one:5433,two/shop?user=app", "postgres://app@one:5433,two:5432/shop", false),
            ("JDBC:postgresql://db/shop?currentSchema=app&ApplicationName=x", "postgres://db:5432/shop", false),
            ("jdbc:postgresql:shop", "postgres://localhost:5432/shop", false),
            ("jdbc:postgresql:/", "postgres://localhost:5432", false),
            ("jdbc:postgresql:shop?user=app&password=hunter2", "postgres://app@localhost:5432/shop", true),
        ] {
            let target = parse(text);
            assert_eq!((target.to_string().as_str(), target.login), (shown, login), "{text}");
        }
    }

    #[test]
    fn parameters_of_the_jdbc_driver() {
        #[cfg(feature = "tls")]
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("ssl=true", SslMode::VerifyFull),
            ("ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", SslMode::Require),
            ("ssl=true&sslmode=require", SslMode::Require),
            ("ssl=false", SslMode::Prefer),
            ("sslmode=verify-ca&sslrootcert=/ca.pem", SslMode::VerifyCa),
        ] {
            assert_eq!(parse(&format!("jdbc:postgresql://db/shop?{query}")).info.ssl_mode, mode, "{query}");
        }
        for (word, session) in
            [("primary", Session::ReadWrite), ("secondary", Session::ReadOnly), ("preferSecondary", Session::Any)]
        {
            let text = format!("jdbc:postgresql://a,b/shop?targetServerType={word}");
            assert_eq!(parse(&text).info.session, session, "{word}");
        }
    }
}
