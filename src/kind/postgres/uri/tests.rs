//! Tables of valid and invalid URLs.

use super::*;
use crate::env::Env;
use crate::kind::postgres::Postgres;
#[cfg(feature = "tls")]
use crate::kind::postgres::sslmode::RootCert;
use crate::kind::{Given, Kind as _, Target};

mod invalid;

const NO_VARIABLES: &[(&str, &str)] = &[];

fn parse_with(text: &str, vars: &[(&str, &str)], ca_file: bool) -> Result<Postgres> {
    let env: Env = vars.iter().copied().collect();
    match Target::parse(text, Given { env: &env, ca_file })? {
        (Target::Postgres(postgres), _) => Ok(*postgres),
        _ => bail!("another kind"),
    }
}

pub(in crate::kind::postgres) fn parse(text: &str) -> Postgres {
    parse_with(text, NO_VARIABLES, false).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

/// A server's words as a reason shows them.
fn quoted(text: &str, vars: &[(&str, &str)], words: &str) -> String {
    let env: Env = vars.iter().copied().collect();
    let (_, mask) = Target::parse_masking(text, Given { env: &env, ca_file: false }).unwrap();
    mask.quote(words, 1000)
}

fn invalid(text: &str) -> String {
    match parse_with(text, NO_VARIABLES, false) {
        Ok(target) => panic!("{text} was accepted as {target}"),
        Err(error) => format!("{error:#}"),
    }
}

fn password(info: &ConnectionInfo) -> Option<&str> {
    info.password.as_ref().map(Secret::expose)
}

#[test]
fn urls_are_parsed_and_shown() {
    // The text, how it is shown, the user, the password, the database.
    type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);
    let rows: &[Row] = &[
        ("postgres:db:5433", "postgres:db:5433", "postgres", None, None),
        ("postgres://db", "postgres://db:5432", "postgres", None, None),
        ("postgres:[::1]:5433", "postgres:[::1]:5433", "postgres", None, None),
        ("postgres://db", "postgres://db:5432", "postgres", None, None),
        ("postgresql://db/", "postgres://db:5432", "postgres", None, None),
        ("POSTGRES://db/shop", "postgres://db:5432/shop", "postgres", None, Some("shop")),
        ("postgres://app@db:6432/shop", "postgres://app@db:6432/shop", "app", None, Some("shop")),
        ("postgresql+psycopg2://app:pw@db/shop", "postgres://app@db:5432/shop", "app", Some("pw"), Some("shop")),
        ("postgresql+asyncpg://app:pw@db/shop", "postgres://app@db:5432/shop", "app", Some("pw"), Some("shop")),
        ("postgres://app:p%40ss%23%25@db/shop", "postgres://app@db:5432/shop", "app", Some("p@ss#%"), Some("shop")),
        ("postgres://app:a:b:c@db", "postgres://app@db:5432", "app", Some("a:b:c"), None),
        ("postgres://app:@db", "postgres://app@db:5432", "app", None, None),
        ("postgres://:pw@db", "postgres://db:5432", "postgres", Some("pw"), None),
        ("postgres://@db", "postgres://db:5432", "postgres", None, None),
        ("postgres://app@[2001:db8::1]:5433/x", "postgres://app@[2001:db8::1]:5433/x", "app", None, Some("x")),
        ("postgres://a:5433,b,c:5435/x", "postgres://a:5433,b:5432,c:5435/x", "postgres", None, Some("x")),
        (
            "postgres://db?user=app&password=p%26w&dbname=shop",
            "postgres://app@db:5432/shop",
            "app",
            Some("p&w"),
            Some("shop"),
        ),
        ("postgres:///shop?host=db&port=5433", "postgres://db:5433/shop", "postgres", None, Some("shop")),
        ("postgres://:5433/shop?host=db", "postgres://db:5433/shop", "postgres", None, Some("shop")),
        ("postgres://?host=a,b&port=1,2", "postgres://a:1,b:2", "postgres", None, None),
        ("postgres://?hostaddr=10.0.0.1", "postgres://10.0.0.1:5432", "postgres", None, None),
        ("postgres://db?host=other", "postgres://other:5432", "postgres", None, None),
        (
            "postgres://db/x?user=me@tenant&password=p@w",
            "postgres://me@tenant@db:5432/x",
            "me@tenant",
            Some("p@w"),
            Some("x"),
        ),
        ("postgres:///shop?host=/run/pg&port=5433", "postgres://%2Frun%2Fpg:5433/shop", "postgres", None, Some("shop")),
        ("postgres://%2Frun%2Fpg/shop", "postgres://%2Frun%2Fpg:5432/shop", "postgres", None, Some("shop")),
        ("postgres://b%C3%BCro@db/l%C3%A4den", "postgres://büro@db:5432/läden", "büro", None, Some("läden")),
        ("postgres://db/shop?schema=public&pgbouncer=true", "postgres://db:5432/shop", "postgres", None, Some("shop")),
    ];
    for (text, shown, user, secret, database) in rows {
        let target = parse(text);
        assert_eq!(target.to_string(), *shown, "{text}");
        assert_eq!(target.info.user, *user, "{text}");
        assert_eq!(password(&target.info), *secret, "{text}");
        assert_eq!(target.info.database.as_deref(), *database, "{text}");
        assert_eq!(target.login, secret.is_some(), "{text}");
        assert!(target.info.ignored.is_empty(), "{text}");
    }
}

#[test]
fn parameters_are_parsed() {
    let info = parse(
        "postgres://db?application_name=a%20b&connect_timeout=7&target_session_attrs=read-write&options=-c%20x%3D1",
    )
    .info;
    assert_eq!(info.application_name.as_deref(), Some("a b"));
    assert_eq!(info.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(info.session, Session::ReadWrite);
    assert_eq!(info.options.as_deref(), Some("-c x=1"));
    #[cfg(feature = "tls")]
    assert_eq!(parse("postgres://db?channel_binding=require").info.binding, Binding::Require);
    assert_eq!(parse("postgres://db?connect_timeout=0").info.connect_timeout, None);
    assert_eq!(parse("postgres://db?connect_timeout=-1").info.connect_timeout, None);
    assert!(parse("postgres://db?target_session_attrs=primary").login, "only a login tells a primary from a standby");
    assert!(!parse("postgres://db?target_session_attrs=any").login);
    assert!(parse("postgres://db#login").login);
    let ignored = parse("postgres://db?hunter2=x&sslmode=disable&hunter3=y");
    assert_eq!(ignored.warnings().len(), 2);
    assert!(!ignored.warnings().join(" ").contains("hunter"));
}

#[test]
fn the_environment_fills_in_what_a_url_leaves_out() {
    let env = &[
        ("PGUSER", "app"),
        ("PGPASSWORD", "s3cret"),
        ("PGDATABASE", "shop"),
        ("PGHOST", "db"),
        ("PGPORT", "5433"),
        ("PGSSLMODE", "disable"),
        ("EMPTY", ""),
        ("PW", "a@b/c?d#e%41:$(EMPTY)"),
    ];
    let with = |text| parse_with(text, env, false).unwrap();
    let target = with("postgres://");
    assert_eq!(target.to_string(), "postgres://app@db:5433/shop");
    assert_eq!((password(&target.info), target.login), (Some("s3cret"), true));
    assert_eq!(target.info.ssl_mode, SslMode::Disable);
    let target = with("postgres://me:mine@other:1/x");
    assert_eq!((target.to_string().as_str(), password(&target.info)), ("postgres://me@other:1/x", Some("mine")));
    let target = with("postgres://me:$(PW)@other/$(PGDATABASE)");
    assert_eq!(password(&target.info), Some("a@b/c?d#e%41:$(EMPTY)"));
    assert_eq!(target.info.database.as_deref(), Some("shop"));
    assert_eq!(target.to_string(), "postgres://me@other:5433/$(PGDATABASE)");
    let target = parse_with("postgres://db", &[("PGPASSWORD", ""), ("PGUSER", "")], false).unwrap();
    assert_eq!((target.login, target.info.user.as_str()), (false, "postgres"));
    // A user without a password is not a reason to log in.
    assert!(!parse_with("postgres://db", &[("PGUSER", "app")], false).unwrap().login);
    let whole = &[("URL", "postgres://u:p#w%23@db/x?sslmode=disable\n")];
    let target = parse_with("env:URL#successes=2", whole, false).unwrap();
    assert_eq!(password(&target.info), Some("p#w#"));
    assert_eq!(target.to_string(), "postgres://***@db:5432/***#successes=2");
    assert_eq!(quoted("env:URL", whole, "database \"x\" of u, p#w#"), "database \"***\" of ***, ***");
    let some = &[("CREDS", "app:hunter2"), ("PGPASSWORD", "zw0lf"), ("PGUSER", "app"), ("SQL", "s3cr3t")];
    let address = &[("IP", "10.0.0.1")];
    assert_eq!(quoted("postgres://db?hostaddr=$(IP)", address, "at 10.0.0.1"), "at 10.0.0.1");
    let words = "app, app:hunter2, zw0lf, s3cr3t, db";
    assert_eq!(quoted("postgres://db/$(CREDS)#query=SELECT $(SQL)", some, words), "app, ***, ***, ***, db");
    let target = with("postgres://db?user=$(PW)&dbname=$(PGDATABASE)");
    assert_eq!(target.to_string(), "postgres://$(PW)@db:5433/$(PGDATABASE)");
}

#[test]
#[cfg(feature = "tls")]
fn the_default_sslmode_depends_on_the_ca() {
    let mode = |text: &str, ca| parse_with(text, NO_VARIABLES, ca).unwrap().info.ssl_mode;
    assert_eq!(mode("postgres://db", false), SslMode::Prefer);
    assert_eq!(mode("postgres://db", true), SslMode::VerifyFull);
    assert_eq!(mode("postgres://db?sslmode=require", true), SslMode::VerifyCa);
    assert_eq!(mode("postgres://db?sslmode=require", false), SslMode::Require);
    assert_eq!(mode("postgres://db?sslmode=prefer", true), SslMode::Prefer);
    assert_eq!(mode("postgres://db?sslmode=allow", false), SslMode::Allow);
    let env = &[("PGSSLMODE", "disable")];
    assert_eq!(parse_with("postgres://db?sslmode=require", env, false).unwrap().info.ssl_mode, SslMode::Require);
    assert_eq!(mode("postgres://db?ssl=true", false), SslMode::Require);
    assert_eq!(mode("postgres://db?sslrootcert=/ca.pem", false), SslMode::VerifyFull);
    assert_eq!(mode("postgres://db?sslrootcert=/ca.pem&sslmode=require", false), SslMode::VerifyCa);
    assert_eq!(mode("postgres://db?sslrootcert=system", false), SslMode::VerifyFull);
    let info = parse_with("postgres://db", &[("PGSSLROOTCERT", "/ca.pem")], false).unwrap().info;
    assert!(
        info.ssl_mode == SslMode::VerifyFull
            && matches!(info.root_cert, RootCert::File(file) if file.path == "/ca.pem")
    );
    assert!(invalid("postgres://db?sslrootcert=system&sslmode=require").contains("verify-full only"));
    assert!(parse("postgres://db").uses_tls() && !parse("postgres://db?sslmode=disable").uses_tls());
}

#[test]
#[cfg(not(feature = "tls"))]
fn sslmodes_that_need_tls_are_invalid_without_it() {
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(invalid(&format!("postgres://db?sslmode={mode}")).contains("no TLS"));
    }
    assert_eq!(parse("postgres://db").info.ssl_mode, SslMode::Disable);
}

#[test]
#[cfg(feature = "tls")]
fn spellings_of_drivers_mean_what_they_mean_there() {
    let mode = |more: &str| parse(&format!("postgres://db/shop?{more}")).info.ssl_mode;
    let rows = [
        ("ssl=require", SslMode::Require),
        ("ssl=verify-full", SslMode::VerifyFull),
        ("ssl=verify-ca", SslMode::VerifyCa),
        ("ssl=prefer", SslMode::Prefer),
        ("ssl=1", SslMode::Require),
        ("ssl=true", SslMode::Require),
        ("ssl=no-verify", SslMode::Require),
        ("ssl=0", SslMode::Disable),
        ("ssl=false", SslMode::Disable),
        ("sslmode=no-verify", SslMode::Require),
        ("sslmode=disable&ssl=verify-full", SslMode::VerifyFull),
        ("ssl=false&sslmode=require", SslMode::Require),
        ("requiressl=1", SslMode::Require),
        ("sslaccept=strict", SslMode::VerifyFull),
        ("sslmode=require&sslaccept=accept_invalid_certs", SslMode::Require),
    ];
    for (more, expected) in rows {
        assert_eq!(mode(more), expected, "{more}");
    }
    // Prisma's sslcert= is the server's CA.
    let info = parse("postgres://db/shop?sslmode=require&sslaccept=strict&sslcert=/ca.pem").info;
    assert!(info.identity.is_none() && matches!(info.root_cert, RootCert::File(file) if file.path == "/ca.pem"));
    let info = parse("postgres://db/shop?sslmode=require&sslaccept=accept_invalid_certs&sslcert=/ca.pem").info;
    assert_eq!((info.ssl_mode, info.root_cert, info.identity), (SslMode::Require, RootCert::Unset, None));
    assert!(parse("postgres://db?ssl_min_protocol_version=TLSv1.3").info.tls13_only);
    assert!(!parse("postgres://db?ssl_min_protocol_version=TLSv1.1").info.tls13_only);
}

/// libpq's parameters that restrict, in the URL and as a variable, with a part of the message.
#[test]
fn what_restricts_is_honoured_or_refused() {
    let refused: &[(&str, &str, &str, &str)] = &[
        ("sslnegotiation", "PGSSLNEGOTIATION", "direct", "own way"),
        ("gssencmode", "PGGSSENCMODE", "require", "no Kerberos"),
        ("sslcrl", "PGSSLCRL", "/hunter2", "revocation lists"),
        ("sslcrldir", "PGSSLCRLDIR", "/hunter2", "revocation lists"),
        ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", "TLSv1.2", "TLS 1.2 and 1.3"),
        ("min_protocol_version", "PGMINPROTOCOLVERSION", "3.2", "protocol 3.0"),
        ("sslcertmode", "PGSSLCERTMODE", "require", "sslcertmode=allow"),
        ("require_auth", "PGREQUIREAUTH", "hunter2", "unknown method"),
        ("require_auth", "PGREQUIREAUTH", "!md5,password", "mixes"),
        ("sslnegotiation", "PGSSLNEGOTIATION", "hunter2", "unknown value"),
        ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", "hunter2", "unknown value"),
        ("requiressl", "PGREQUIRESSL", "hunter2", "unknown value"),
    ];
    for (name, variable, value, says) in refused {
        let message = invalid(&format!("postgres://db?{name}={value}"));
        assert!(message.contains(&format!("{name}=")) && message.contains(says), "{message}");
        assert!(!message.contains("hunter2") && message.contains("(expected "), "{message}");
        let message = format!("{:#}", parse_with("postgres://db", &[(variable, value)], false).unwrap_err());
        let says = says.replace("sslcertmode=", "PGSSLCERTMODE=");
        assert!(message.contains(&format!("{variable}=")) && message.contains(&says), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    for (text, says) in [
        ("postgres:///d?host=/run/pg&requirepeer=postgres", "unix socket"),
        ("postgres://db?service=hunter2", "service file"),
        ("postgres://db?ssl=hunter2", "unknown value"),
        ("postgres://db?ssl=", "host"),
        ("postgres://db?sslidentity=/x.p12", "PKCS#12"),
        ("postgres://db?sslaccept=hunter2", "strict, accept_invalid_certs"),
    ] {
        if text.ends_with("ssl=") {
            // An empty value counts as unset.
            parse(text);
            continue;
        }
        let message = invalid(text);
        assert!(message.contains(says) && !message.contains("hunter2"), "{text}: {message}");
    }
    for fine in [
        "sslnegotiation=postgres",
        "gssencmode=prefer",
        "gssencmode=disable",
        "ssl_min_protocol_version=TLSv1.2",
        "ssl_max_protocol_version=TLSv1.3",
        "requirepeer=postgres",
        "sslcertmode=allow",
        "require_auth=scram-sha-256",
        "channel_binding=prefer",
        "min_protocol_version=3.0",
    ] {
        assert_eq!(parse(&format!("postgres://db?{fine}")).info.ignored, [""; 0], "{fine}");
    }
    let target = parse("postgres://db?require_auth=!password");
    assert_eq!(target.info.require_auth, RequireAuth::Except(vec!["password"]));
    let warned = parse_with("postgres://db", &[("PGSERVICE", "hunter2")], false).unwrap().info.ignored;
    assert!(warned.len() == 1 && warned[0].contains("PGSERVICE") && !warned[0].contains("hunter2"), "{warned:?}");
}

#[test]
fn warnings_name_known_parameters_only() {
    let ignored = parse("postgres://db?pool_max_conns=5&hunter2=x&statement_timeout=5&pgbouncer=true").info.ignored;
    assert_eq!(ignored.len(), 3, "{ignored:?}");
    assert!(ignored[0].contains("pool_max_conns=") && ignored[1].contains("parameter 2 "), "{ignored:?}");
    assert!(ignored[2].contains("statement_timeout=") && !ignored.concat().contains("hunter2"), "{ignored:?}");
}

#[test]
fn the_jdbc_drivers_role_and_require_ssl_are_honoured() {
    let session = |more: &str| parse(&format!("postgres://db?{more}")).info.session;
    assert_eq!(session("targetServerType=primary"), Session::ReadWrite);
    assert_eq!(session("targetServerType=slave"), Session::ReadOnly);
    assert_eq!(session("targetServerType=preferSecondary"), Session::Any);
    assert_eq!(session("targetServerType=primary&target_session_attrs=standby"), Session::Standby);
    assert!(invalid("postgres://db?targetServerType=hunter2").contains("unknown value"));
    #[cfg(feature = "tls")]
    assert_eq!(parse("postgres://db?require_ssl=true").info.ssl_mode, SslMode::Require);
    assert!(parse("postgres://db?targetServerType=any&require_ssl=0").info.ignored.is_empty());
}

#[test]
fn a_parameter_that_comes_twice_gives_a_warning() {
    let target = parse("postgres:///d?host=a&host=b&user=hunter2&user=app");
    assert_eq!(target.to_string(), "postgres://app@b:5432/d");
    let warned = &target.info.ignored;
    assert!(warned.len() == 2 && warned[0].contains("host=A,B") && warned[1].contains("user="), "{warned:?}");
    assert!(!warned.concat().contains("hunter2"), "{warned:?}");
}

#[test]
fn a_socket_is_shown_as_it_can_be_pasted() {
    for url in ["postgres://app@%2Fcloudsql%2Fproj:eu:one/d", "postgres://app@/d?host=/cloudsql/proj:eu:one"] {
        let shown = parse(url).to_string();
        assert_eq!(shown, "postgres://app@%2Fcloudsql%2Fproj%3Aeu%3Aone:5432/d");
        assert_eq!(parse(&shown).info.servers, parse(url).info.servers);
    }
}

#[test]
fn a_login_for_each_host_is_invalid() {
    let message = invalid("postgres://app:hunter2@a,app:hunter2@b/d");
    assert!(message.contains("for all hosts") && !message.contains("hunter2"), "{message}");
}

#[test]
fn schemes_of_applications_are_taken() {
    for scheme in
        ["postgis", "pgsql", "psql", "ecto", "cockroachdb", "timescale", "pgx5", "cockroachdb+asyncpg", "PGSQL"]
    {
        let target = parse(&format!("{scheme}://app:pw@db/shop"));
        assert_eq!(target.to_string(), "postgres://app@db:5432/shop", "{scheme}");
    }
}

#[test]
fn a_schema_is_the_search_path_of_the_query() {
    let path = |more: &str| parse(&format!("postgres://db/shop?{more}#query=SELECT 1")).info.search_path;
    assert_eq!(path("schema=a%22b").as_deref(), Some("\"a\"\"b\""));
    assert_eq!(path("search_path=a,b").as_deref(), Some("a,b"));
    assert_eq!(path("currentSchema=a").as_deref(), Some("a"));
    assert_eq!(path("pgbouncer=true"), None);
}

#[test]
fn connect_timeout_is_a_wish_for_the_attempt() {
    assert_eq!(parse("postgres://db?connect_timeout=30").attempt_timeout(), Some(Duration::from_secs(30)));
    assert_eq!(parse("postgres://a,b?connect_timeout=5").attempt_timeout(), Some(Duration::from_secs(10)));
    assert_eq!(parse("postgres://db?connect_timeout=0").attempt_timeout(), None);
}

/// The text of a file, or a password, is a likely slip where a path is meant.
#[test]
fn paths_out_of_variables_are_not_shown() {
    let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n";
    let texts = ["postgres://db?sslcert=/c&sslkey=$(X)", "postgres://db?passfile=$(X)", "postgres://db#password=@$(X)"];
    for text in texts.into_iter().skip(usize::from(cfg!(not(feature = "tls")))) {
        let message = format!("{:#}", parse_with(text, &[("X", key)], false).unwrap_err());
        assert!(message.contains("not its content") && !message.contains("hunter2"), "{message}");
        let target = parse_with(text, &[("X", "/hunter2")], false).unwrap();
        let shown = format!("{:?}{:?}{:?}", target.info.passfile, target.info.identity, target.password_file);
        assert!(shown.contains("$(X)"), "{shown}");
    }
    let shown =
        |text: &str, vars: &[(&str, &str)]| parse_with(text, vars, false).unwrap().info.passfile.unwrap().to_string();
    assert_eq!(shown("postgres://db?passfile=/run/pw", &[]), "/run/pw");
    assert_eq!(shown("postgres://db?passfile=/run/$(X)", &[("X", "hunter2")]), "/run/$(X)");
    assert_eq!(shown("postgres://db", &[("PGPASSFILE", "/hunter2")]), "$(PGPASSFILE)");
    assert_eq!(shown("env:URL", &[("URL", "postgres://db?passfile=/hunter2")]), "***");
}
