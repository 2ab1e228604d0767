//! Addresses: every spelling of a connection string, what it means, and what is wrong input.

use super::*;
use crate::env::Env;
use crate::kind::{Given, Target};

fn env() -> Env {
    let url = "mongodb://app:hunter2@db/shop?replicaSet=rs0";
    [("PW", "hunter2 @:/?#%zw0lf"), ("HOST", "db"), ("URL", url), ("EMPTY", "")].into_iter().collect()
}

fn parsed(text: &str) -> Result<MongoDb> {
    let env = env();
    let (target, _) = Target::parse(text, Given { env: &env, ca_file: false })?;
    let Target::MongoDb(mongodb) = target else { bail!("{target} is of another kind") };
    Ok(*mongodb)
}

fn parse(text: &str) -> MongoDb {
    parsed(text).unwrap_or_else(|error| panic!("{text}: {error:#}"))
}

fn invalid(text: &str) -> String {
    match parsed(text) {
        Ok(target) => panic!("{text} is accepted as {target}"),
        Err(error) => format!("{error:#}"),
    }
}

#[cfg(feature = "tls")]
#[test]
fn spellings_of_an_address() {
    for (text, shown, login) in [
        ("mongodb:db:27018", "mongodb:db:27018", false),
        ("mongodb:db", "mongodb:db:27017", false),
        ("mongodb:[::1]:27017", "mongodb:[::1]:27017", false),
        ("mongodb://db", "mongodb://db:27017", false),
        ("MONGODB://db/", "mongodb://db:27017", false),
        ("mongodb://db?retryWrites=true", "mongodb://db:27017", false),
        ("mongodb://app:hunter2@db/shop", "mongodb://app@db:27017/shop", true),
        ("mongodb://app:$(PW)@$(HOST)/shop", "mongodb://app@db:27017/shop", true),
        ("mongodb://app@db", "mongodb://app@db:27017", false),
        ("mongodb://app:@db", "mongodb://app@db:27017", false),
        ("mongodb://app@db#password=@/run/pw", "mongodb://app@db:27017#password=@/run/pw", true),
        ("mongodb://a,b:27018,[::1]/shop.users", "mongodb://a:27017,b:27018,[::1]:27017/shop", false),
        ("mongodb://%2Ftmp%2Fmongodb-27017.sock", "mongodb://%2Ftmp%2Fmongodb-27017.sock", false),
        (
            "mongodb+srv://app:hunter2@cluster0.abc.mongodb.net/shop",
            "mongodb+srv://app@cluster0.abc.mongodb.net/shop",
            true,
        ),
        (
            "mongodb://a:k3y==@a.mongo.cosmos.azure.com:10255/?retrywrites=false&replicaSet=globaldb&maxIdleTimeMS=120000&appName=@a@",
            "mongodb://a@a.mongo.cosmos.azure.com:10255",
            true,
        ),
        ("env:URL", "mongodb://***@db:27017/***", true),
        ("mongodb://app:hunter2@db#gone", "mongodb://app@db:27017#gone", false),
    ] {
        let target = parse(text);
        assert_eq!((target.to_string(), target.login), (shown.to_owned(), login), "{text}");
        assert!(!format!("{target:?}").contains("hunter2"), "{text}");
    }
}

#[test]
fn what_an_option_means() {
    let info = |text: &str| parse(text).info;
    let it = info("mongodb://app:hunter2@db/shop?authSource=admin&replicaSet=rs0&authMechanism=SCRAM-SHA-1");
    assert_eq!((it.source.as_deref(), it.set.as_deref()), (Some("admin"), Some("rs0")));
    assert_eq!(it.mechanism, Mechanism::Scram(crate::kind::scram::Hash::Sha1));
    assert_eq!(info("mongodb://db/?AUTHSOURCE=%24external").source.as_deref(), Some("$external"));
    assert!(info("mongodb://db/?loadBalanced=true").balanced == Some(true));
    assert!(!info("mongodb://db/?directConnection=true").tls);
    let second = Duration::from_secs(1);
    let timeout = |text: &str| parse(text).attempt_timeout();
    assert_eq!(timeout("mongodb://db"), None);
    assert_eq!(timeout("mongodb://db/?connectTimeoutMS=0"), None);
    assert_eq!(timeout("mongodb://a,b/?connectTimeoutMS=10000"), Some(20 * second));
    assert_eq!(timeout("mongodb://db/?connectTimeoutMS=300000"), Some(60 * second));
}

#[cfg(feature = "tls")]
#[test]
fn when_tls_is_spoken() {
    for (text, tls, verified) in [
        ("mongodb://db/?tls=true", true, Verified::Full),
        ("mongodb://db/?ssl=true&tls=true", true, Verified::Full),
        ("mongodb://db/?tls=false", false, Verified::Full),
        ("mongodb+srv://a.b.c", true, Verified::Full),
        ("mongodb+srv://a.b.c/?tls=false", false, Verified::Full),
        ("mongodb://db/?tlsCAFile=/ca", true, Verified::Full),
        ("mongodb://db/?tlsInsecure=true", true, Verified::Nothing),
        ("mongodb://db/?tlsInsecure=false", true, Verified::Full),
        ("mongodb://db/?tls=true&tlsAllowInvalidCertificates=true", true, Verified::Nothing),
        ("mongodb://db/?tls=true&tlsAllowInvalidHostnames=true", true, Verified::Chain),
        ("mongodb:db:1#ca=/ca", true, Verified::Full),
        ("mongodb:db:1#insecure", true, Verified::Nothing),
    ] {
        let info = parse(text).info;
        assert_eq!((info.tls, info.verified), (tls, verified), "{text}");
    }
    assert_eq!(parse("mongodb:db:1#insecure").warnings().len(), 1);
    assert_eq!(parse("mongodb://db/?tlsInsecure=true").warnings().len(), 1);
}

#[test]
fn wrong_input_names_its_cause() {
    for (text, says) in [
        ("mongodb:", "the host is missing"),
        ("mongodb://", "the host is missing"),
        ("mongodb://db,", "the host is missing"),
        ("mongodb://$(EMPTY)", "$(EMPTY) is empty"),
        ("mongodb:db,other", "the form with //"),
        ("mongodb:app@db", "the form with //"),
        ("mongodb://db:0", "1 to 65535"),
        ("mongodb://db:a", "not a number"),
        ("mongodb://a:b:c@db", "a second ':'"),
        ("mongodb://a@b@db", "more than one '@'"),
        ("mongodb://a:p/w@db", "found '@' after a '/'"),
        ("mongodb:///tmp/mongodb-27017.sock", "a second '/'"),
        ("mongodb://a:p?w@db", "has no '='"),
        ("mongodb://a:p%w@db", "two hex digits"),
        ("mongodb://a:p?w=1@db", "found '@' after a '?'"),
        ("mongodb://db/?tls", "option 1 after the '?' has no '='"),
        ("mongodb://db/?tls=yes", "use true or false"),
        ("mongodb://db/?tls=true&ssl=false", "contradict each other"),
        ("mongodb://db/?tls=false&tlsCAFile=/ca", "tls=false: the URL has other options of TLS"),
        ("mongodb://db/?tls=false#insecure", "the URL turns TLS off"),
        ("mongodb://db/?tlsInsecure=true&tlsAllowInvalidHostnames=true", "tlsInsecure= excludes"),
        ("mongodb://db/?tlsCAFile=/a#ca=/b", "tlsCAFile= is given too"),
        ("mongodb://db/?tlsCRLFile=/a", "there are no revocation lists"),
        ("mongodb://db/?tlsCertificateKeyFilePassword=a", "without a passphrase"),
        ("mongodb://db/?tlsWhatever=1", "option 1 after the '?' is about TLS"),
        ("mongodb://db/?proxyHost=p", "connects to the server itself"),
        ("mongodb://a,b/?directConnection=true", "needs one host"),
        ("mongodb+srv://a.b.c/?directConnection=true", "needs one host"),
        ("mongodb://a,b/?loadBalanced=true", "loadBalanced=true excludes"),
        ("mongodb://a/?loadBalanced=true&replicaSet=r", "loadBalanced=true excludes"),
        ("mongodb://a/?authMechanism=GSSAPI", "GSSAPI is a way to log in that waitgate does not have"),
        ("mongodb://a/?authMechanism=MONGODB-AWS", "a way to log in that waitgate does not have"),
        ("mongodb://a/?authMechanism=x", "use one of SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, MONGODB-X509"),
        ("mongodb://a/?authMechanism=MONGODB-X509", "needs a client's certificate"),
        ("mongodb://u:p@a/?authMechanism=PLAIN", "needs TLS with a verified certificate"),
        ("mongodb://a/?connectTimeoutMS=1s", "a whole number of milliseconds"),
        ("mongodb://a/?srvServiceName=x", "needs SRV records"),
        ("mongodb+srv:a.b.c", "the form with //"),
        ("mongodb+srv://a.b.c:27017", "takes no port"),
        ("mongodb+srv://a.b.c,d.e.f", "takes one name"),
        ("mongodb+srv://10.0.0.1", "an address has no SRV records"),
        ("mongodb+srv://a.b.c/?srvServiceName=a.b", "letters, digits"),
        ("mongodb://:hunter2@db", "the user of the login is missing"),
        ("mongodb://db#login", "the user of the login is missing"),
        ("mongodb://app@db#login", "the password of the login is missing"),
        ("mongodb://app:hunter2@db#password=@/f", "the URL has a password too"),
        ("mongodb:db#role=replica", "#role=primary or #role=secondary"),
        ("mongodb:db#set=", "found nothing"),
        ("mongodb://db/?replicaSet=a#set=b", "names another set"),
        ("mongodb:db#gone#role=primary", "excludes"),
    ] {
        let message = invalid(text);
        assert!(
            message.contains(says)
                && (message.contains("expected ") || message.contains("leave one of them out"))
                && !message.contains("hunter2"),
            "{text}: {message}"
        );
    }
}

#[test]
fn unknown_options_are_counted_and_not_repeated() {
    let warnings = parse("mongodb://db/?zw0lf=1&hunter2=2&w=majority&readPreference=secondary").warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("waitgate does not know 2 options") && warning.contains("replicaSet"), "{warning}");
    let idle = parse("mongodb://app@db").warnings();
    assert_eq!(idle, ["the target has a user and no password: waitgate does not log in"]);
}
