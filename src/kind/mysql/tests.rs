//! Addresses: every spelling of an application's URL, what it means, and what is wrong input.

use super::*;
use crate::env::Env;
use crate::kind::{Given, Target};
use uri::Server;

fn env() -> Env {
    [("PW", "hunter2 @:/?#%zw0lf"), ("HOST", "db"), ("URL", "mysql://app:hunter2@db/shop?ssl-mode=REQUIRED")]
        .into_iter()
        .collect()
}

fn parse_in(text: &str, env: &Env, ca_file: bool) -> Result<MySql> {
    let (target, _) = Target::parse(text, Given { env, ca_file })?;
    let Target::MySql(mysql) = target else { bail!("{target} is of another kind") };
    Ok(*mysql)
}

fn parse(text: &str) -> MySql {
    parse_in(text, &env(), false).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

fn invalid(text: &str) -> String {
    match parse_in(text, &env(), false) {
        Ok(target) => panic!("{text} is accepted as {target}"),
        Err(error) => format!("{error:#}"),
    }
}

#[cfg(feature = "tls")]
#[test]
fn spellings_of_an_address() {
    for (text, shown, login) in [
        ("mysql:db:3307", "mysql:db:3307", false),
        ("mariadb:[::1]:3306", "mysql:[::1]:3306", false),
        ("mysql://db", "mysql://db:3306", false),
        ("mysql://db/shop", "mysql://db:3306/shop", false),
        ("mysql://app@db/shop", "mysql://app@db:3306/shop", false),
        ("mysql://app@db/shop#login", "mysql://app@db:3306/shop#login", true),
        ("mysql://app:hunter2@db:3307/shop", "mysql://app@db:3307/shop", true),
        ("mysql2://app:hunter2@db/shop?encoding=utf8mb4", "mysql://app@db:3306/shop", true),
        ("mysql+pymysql://app:hunter2@db/shop?charset=utf8mb4", "mysql://app@db:3306/shop", true),
        ("mariadb+mariadbconnector://app:hunter2@db/shop", "mysql://app@db:3306/shop", true),
        ("MYSQL+asyncmy://app:hunter2@db/shop", "mysql://app@db:3306/shop", true),
        ("mysql://app:$(PW)@$(HOST)/shop", "mysql://app@db:3306/shop", true),
        ("mysql://app:hunter2@tcp(db:3307)/shop?tls=true", "mysql://app@db:3307/shop", true),
        ("mysql://app:hunter2@one,two:3307/shop", "mysql://app@one:3306,two:3307/shop", true),
        (
            "mysql://root@localhost/shop?unix_socket=/run/mysqld/mysqld.sock",
            "mysql://root@%2Frun%2Fmysqld%2Fmysqld.sock/shop",
            false,
        ),
        ("mysql://root@%2Frun%2Fmysqld.sock/shop", "mysql://root@%2Frun%2Fmysqld.sock/shop", false),
        ("jdbc:mysql://db/shop?user=app&password=hunter2", "mysql://app@db:3306/shop", true),
        ("jdbc:mysql://app:hunter2@db/shop", "mysql://app@db:3306/shop", true),
        ("jdbc:mariadb://db:3307/shop?user=app&password=hunter2&sslMode=trust", "mysql://app@db:3307/shop", true),
        ("jdbc:mysql:replication://one,two/shop?user=app&password=hunter2", "mysql://app@one:3306,two:3306/shop", true),
        ("JDBC:MySQL://db/shop", "mysql://db:3306/shop", false),
        ("env:URL", "mysql://***@db:3306/***", true),
        ("mysql://app@db#password=@/run/pw", "mysql://app@db:3306#password=@/run/pw", true),
        ("mysql://app@db?ssl_cert=/c&ssl_key=/k", "mysql://app@db:3306", true),
        ("mysql://db?ssl_cert=/c&ssl_key=/k", "mysql://db:3306", false),
        ("mysql://app:hunter2@db#role=replica#query=SELECT 1", "mysql://app@db:3306#role=replica#query=SELECT 1", true),
    ] {
        let mysql = parse(text);
        assert_eq!((mysql.to_string().as_str(), mysql.login), (shown, login), "{text}");
        assert!(!format!("{mysql:?}").contains("hunter2"), "{text}: {mysql:?}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn wrong_input_is_named_and_never_repeated() {
    for (text, says) in [
        ("mysql:", "the port is missing"),
        ("mysql:db", "the port is missing"),
        ("mysql:db:x", "the port is not a number"),
        ("mysql://app:a@b@db/shop", "more than one '@'"),
        ("mysql://app:a/b@db/shop", "%2F"),
        ("mysql://app:a?b@db/shop", "%3F"),
        ("mysql://app:%00@db/shop", "NUL"),
        ("mysql://", "the host is missing"),
        ("mysql://app:hunter2@/shop", "the host is missing"),
        ("mysql://db:tcp://10.0.0.1:3306/shop", "NAME_SERVICE_PORT"),
        ("mysql://app:hunter2@address=(host=db)(port=3306)/shop", "parenthesis"),
        ("mysql://db/shop#login", "user of the login is missing"),
        ("mysql://db/shop#role=primary", "user of the login is missing"),
        ("mysql://db/shop#password=@/run/pw", "user of the login is missing"),
        ("mysql://app@db#role=standby", "#role=replica"),
        ("mysql://app@db#query=", "a SELECT"),
        ("mysql://app@db#gone#login", "#gone excludes"),
        ("mysql://app@db?ssl-mode=zw0lf", "unknown value"),
        ("mysql://app@db?tls=custom", "unknown value"),
        ("mysql://app@db?ssl_capath=/x", "#ca=FILE"),
        ("mysql://app@db?ssl_crl=/x", "revocation"),
        ("mysql://app@db?tls-version=TLSv1.1", "neither TLSv1.2 nor TLSv1.3"),
        ("mysql://app@db?allowNativePasswords=false", "cannot be honoured"),
        ("mysql://app@db?trustCertificateKeyStoreUrl=file:/x", "key store"),
        ("mysql://app@db?ssl={\"ca\":\"zw0lf\"}", "#ca=FILE"),
        ("mysql://app@db?ssl_cert=/c", "needs ssl_key"),
        ("mysql://app@db?ssl-mode=DISABLED#ca=/ca", "turns TLS off"),
        ("mysql://db?socket=run", "begins with '/'"),
        ("mysql://app@db#ssl-mode=REQUIRED", "belongs into the address"),
        ("jdbc:oracle:thin:@db", "jdbc:mysql://HOST/DATABASE"),
        ("jdbc:", "jdbc:mysql://HOST/DATABASE"),
        ("mysql://app@db#insecure#ca=/ca", "#insecure"),
    ] {
        let message = invalid(text);
        assert!(message.contains(says), "{text}: {message}");
        let fix = ["xpected", "write", "give", "leave"].iter().any(|word| message.contains(word));
        assert!(fix, "{text}: {message}");
        for secret in ["hunter2", "zw0lf"] {
            assert!(!message.contains(secret), "{text}: {message}");
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn modes_in_the_words_of_many_drivers() {
    use Mode::{Disabled, Preferred, Required, VerifyCa, VerifyIdentity};
    for (query, mode) in [
        ("", Preferred),
        ("?ssl-mode=DISABLED", Disabled),
        ("?ssl_mode=preferred", Preferred),
        ("?sslmode=require", Required),
        ("?ssl-mode=VERIFY_CA", VerifyCa),
        ("?sslMode=VERIFY_IDENTITY", VerifyIdentity),
        ("?sslMode=verify-full", VerifyIdentity),
        ("?tls=true", VerifyIdentity),
        ("?tls=skip-verify", Required),
        ("?tls=preferred", Preferred),
        ("?tls=false", Disabled),
        ("?ssl=true", Required),
        ("?ssl=false", Disabled),
        ("?ssl={\"rejectUnauthorized\":true}", VerifyCa),
        ("?ssl={\"rejectUnauthorized\":%20false}", Required),
        ("?useSSL=true", Preferred),
        ("?useSSL=true&requireSSL=true", Required),
        ("?useSSL=true&verifyServerCertificate=true", VerifyCa),
        ("?useSSL=false&requireSSL=true", Disabled),
        ("?useSSL=false&allowPublicKeyRetrieval=true", Disabled),
        ("?ssl_ca=/ca.pem", VerifyIdentity),
        ("?ssl_ca=/ca.pem&ssl-mode=REQUIRED", VerifyCa),
        ("?ssl_ca=/ca.pem&ssl_verify_cert=true", VerifyCa),
        ("?ssl_ca=/ca.pem&ssl_verify_cert=true&ssl_verify_identity=true", VerifyIdentity),
        ("?ssl_disabled=true", Disabled),
        ("?sslaccept=strict", VerifyIdentity),
        ("?sslaccept=strict&sslcert=/ca.pem", VerifyIdentity),
        ("?ssl-mode=DISABLED&tls=true", VerifyIdentity),
        ("#ca=/ca.pem", VerifyIdentity),
        ("#servername=db.example", VerifyIdentity),
        ("#insecure", Preferred),
        ("?ssl-mode=REQUIRED#ca=/ca.pem", VerifyCa),
    ] {
        assert_eq!(parse(&format!("mysql://app:pw@db/shop{query}")).info.mode, mode, "{query}");
    }
    for (query, mode) in [
        ("useSsl=true", VerifyIdentity),
        ("useSsl=true&trustServerCertificate=true", Required),
        ("useSsl=true&disableSslHostnameVerification=true", VerifyCa),
        ("sslMode=trust", Required),
    ] {
        assert_eq!(parse(&format!("jdbc:mariadb://db/shop?{query}")).info.mode, mode, "{query}");
    }
    assert_eq!(parse_in("mysql://db", &env(), true).unwrap().info.mode, VerifyIdentity, "--ca-file");
    assert!(parse("mysql://db?tls-version=TLSv1.3").info.tls13_only);
    assert!(!parse("mysql://db?enabledTLSProtocols=TLSv1.2,TLSv1.3").info.tls13_only);
}

/// The variables of MySQL's own client. A password alone asks for no login.
#[test]
fn variables_of_the_client() {
    let client: Env =
        [("MYSQL_HOST", "elsewhere"), ("MYSQL_TCP_PORT", "3310"), ("MYSQL_PWD", "hunter2")].into_iter().collect();
    let of = |text: &str| parse_in(text, &client, false).unwrap();
    let here = |host: &str, port| vec![Server::Tcp { host: crate::net::address::Host::Name(host.into()), port }];
    assert_eq!(of("mysql://db:1/shop").info.servers, here("db", 1));
    assert_eq!(of("mysql://db/shop").info.servers, here("db", 3310));
    assert_eq!(of("mysql:///shop").info.servers, here("elsewhere", 3310));
    assert!(!of("mysql:db:3306").login && !of("mysql://db/shop").login);
    assert!(of("mysql://app@db/shop").login);
    assert_eq!(of("mysql://app:own@db").info.password.unwrap().expose(), "own");
    let link: Env = [("MYSQL_TCP_PORT", "tcp://10.96.0.7:3306")].into_iter().collect();
    assert_eq!(parse_in("mysql://db", &link, false).unwrap().info.servers, here("db", 3306));
}

#[test]
fn what_is_ignored_is_said_without_repeating_it() {
    let warnings = parse("mysql://app@db?charset=utf8&zw0lf=hunter2&serverTimezone=UTC").warnings();
    assert_eq!(warnings, ["waitgate does not know parameter 2 after the '?' and ignores it"]);
}
