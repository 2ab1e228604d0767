//! The fakes themselves: a fake that lies would make every other test worthless.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::{
    Fake,
    web::{Reply, Web},
};

fn get(web: &Web) -> String {
    let mut stream = TcpStream::connect(web.fake.addr).unwrap();
    stream.write_all(b"GET /x?y HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn web_answers_and_remembers() {
    let web = Web::new(|seen, before| Reply::status(if seen.path == "/x?y" && before == 1 { 204 } else { 404 }));
    assert!(get(&web).starts_with("HTTP/1.1 404"));
    assert!(get(&web).starts_with("HTTP/1.1 204"));
    assert_eq!(web.seen()[0].header("Host"), Some("h"));
    assert_eq!(web.fake.hits(), 2);
}

#[test]
fn fakes_close_their_port() {
    let fake = Fake::silent();
    let addr = fake.addr;
    assert!(TcpStream::connect(addr).is_ok());
    drop(fake);
    assert!(TcpStream::connect(addr).is_err());
}
