//! Pointers, comparisons, and documents that are none.

use std::time::Duration;

use super::*;
use crate::attempt::Bounds;

fn attempt() -> Attempt {
    Attempt::new(Bounds { attempt: Duration::from_secs(1), connect: Duration::from_secs(1) }, false)
}

fn check(expectation: &str, document: &str) -> Result<(), String> {
    Value::parse(expectation, expectation).unwrap().check(document.as_bytes(), &attempt())
}

/// The examples of RFC 6901 section 5.
const RFC: &str = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;

#[test]
fn pointers_of_the_rfc_are_found() {
    for (pointer, value) in [
        ("/foo/0", "bar"),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        assert_eq!(check(&format!("{pointer}={value}"), RFC), Ok(()), "{pointer}");
        assert_eq!(check(pointer, RFC), Ok(()), "{pointer}");
    }
    assert_eq!(check("/foo", RFC), Ok(()));
    assert_eq!(check("", RFC), Ok(()));
    for missing in ["/foo/2", "/foo/-", "/foo/00", "/foo/bar", "/nope", "/foo/0/x", "/ /x"] {
        assert_eq!(check(missing, RFC), Err(format!("has nothing at {missing}")));
    }
}

#[test]
fn values_of_every_json_type_are_compared() {
    let document =
        r#"{"s":"UP","n":3,"f":1.5,"t":true,"z":null,"big":18446744073709551615,"zero":-0,"one":"1","o":{},"a":[1]}"#;
    for same in [
        "/s=UP",
        "/n=3",
        "/zero=0",
        "/n=3.0",
        "/f=1.5",
        "/f=15e-1",
        "/t=true",
        "/z=null",
        "/one=1",
        "/big=18446744073709551615",
        "/z",
    ] {
        assert_eq!(check(same, document), Ok(()), "{same}");
    }
    for (other, has) in [
        ("/s=up", "\"UP\""),
        ("/s=", "\"UP\""),
        ("/n=4", "3"),
        ("/n=x", "3"),
        ("/t=1", "true"),
        ("/t=false", "true"),
        ("/z=", "null"),
        ("/o=", "an object"),
        ("/a=1", "an array"),
        ("=x", "an object"),
        ("/big=18446744073709551614", "18446744073709551615"),
    ] {
        let place = if other.starts_with('=') { "its root" } else { &other[..other.find('=').unwrap()] };
        assert_eq!(check(other, document), Err(format!("has {has} at {place}")), "{other}");
    }
    assert_eq!(check("/a=2", r#"{"a":1,"a":2}"#), Ok(()));
    assert!(check("/s=x", &format!("{{\"s\":\"{}\"}}", "y".repeat(99))).unwrap_err().len() < 70);
}

#[test]
fn values_are_compared_with_lists_and_numbers() {
    let document = r#"{"status":"yellow","n":3,"f":2.5,"text":"12","list":"a,b","b":true,"o":{},"<":1}"#;
    for good in [
        "/status=yellow,green",
        "/status=green,yellow",
        "/status!=red",
        "/status!=red,blue",
        "/n=2,3",
        "/n>=3",
        "/n>2",
        "/n<=3.0",
        "/n<3.5",
        "/n!=4",
        "/f>2",
        "/f<=2.5",
        "/text>=12",
        "/text<1e2",
        "/list=a,b",
        "/list=x,a,b",
    ] {
        let expected = if good == "/list=x,a,b" { Err("has \"a,b\" at /list".to_owned()) } else { Ok(()) };
        assert_eq!(check(good, document), expected, "{good}");
    }
    for (bad, has) in [
        ("/status=red,blue", "\"yellow\" at /status"),
        ("/status=red,", "\"yellow\" at /status"),
        ("/status!=red,yellow", "\"yellow\" at /status"),
        ("/nope!=red", "nothing at /nope"),
        ("/nope>=0", "nothing at /nope"),
        ("/n>3", "3 at /n"),
        ("/n>=4", "3 at /n"),
        ("/n<3", "3 at /n"),
        ("/status>=1", "\"yellow\" at /status"),
        ("/b>=1", "true at /b"),
        ("/o<1", "an object at /o"),
    ] {
        assert_eq!(check(bad, document), Err(format!("has {has}")), "{bad}");
    }
    for invalid in ["/n>=x", "/n>", "/n<=nan", "/n>inf", "n>=1"] {
        assert!(Value::parse(invalid, invalid).is_err(), "{invalid}");
    }
}

#[test]
fn a_value_from_a_variable_hides_the_documents_value() {
    let value = Value::parse("/tok=hunter2x", "/tok=$(T)x").unwrap();
    assert_eq!(value.check(br#"{"tok":"hunter2"}"#, &attempt()), Err("has another value at /tok".to_owned()));
    assert_eq!(value.check(b"{}", &attempt()), Err("has nothing at /tok".to_owned()));
    let value = Value::parse("/hunter2=1", "/$(T)=1").unwrap();
    assert_eq!(value.check(b"{}", &attempt()), Err("has nothing at /$(T)".to_owned()));
}

#[test]
fn a_body_that_is_not_json_is_reported() {
    for (bad, what) in [
        ("", "is empty, so it is not JSON"),
        (" \n", "is empty, so it is not JSON"),
        ("<html>", "is not JSON, but HTML or XML"),
        ("{\0\"\0", "is not JSON in UTF-8 (it seems to be UTF-16)"),
        ("{\"a\":1}x", "is not one JSON document: more follows after the first one"),
        ("{\"a\":1}\n{\"a\":1}", "is not one JSON document: more follows after the first one"),
        ("{", "is not JSON"),
        ("{\"a\":1,}", "is not JSON"),
        ("nul", "is not JSON"),
        ("{\"a\":\"\u{1}\"}", "is not JSON"),
    ] {
        assert_eq!(check("/a", bad), Err(what.to_owned()), "{bad}");
    }
    assert_eq!(check("/a", "\u{feff}{\"a\":1}"), Ok(()), "a byte order mark is skipped");
    // Deep nesting outside the pointer's path, and along it.
    let deep = |n: usize| format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(check("/a=1", &deep(30_000)), Ok(()));
    assert!(check(&format!("/b{}", "/0".repeat(1000)), &deep(30_000)).is_err());
}

#[test]
fn invalid_pointers() {
    for bad in ["status=UP", "~=1", "/~2", "/a~", "/a~~01=1"] {
        assert!(Value::parse(bad, bad).is_err(), "{bad}");
    }
}
