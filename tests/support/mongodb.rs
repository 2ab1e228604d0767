//! A fake of `MongoDB` that drivers accept as real: it says what a server of `MongoDB` 7 says in each of its states, and its
//! logins are verified: a wrong proof of a client fails.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use ring::{digest, hmac, pbkdf2};

use super::Fake;

/// A document of BSON, written element by element.
#[derive(Clone, Default)]
pub(crate) struct Doc(Vec<u8>);

impl Doc {
    fn element(mut self, kind: u8, name: &str, value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend([name.as_bytes(), b"\0", value].concat());
        self
    }

    pub(crate) fn ok() -> Self {
        Self::default().number("ok", 1.0)
    }

    /// An error as a server sends it.
    pub(crate) fn error(code: i32, name: &str, words: &str) -> Self {
        Self::default().number("ok", 0.0).text("errmsg", words).int("code", code).text("codeName", name)
    }

    pub(crate) fn int(self, name: &str, value: i32) -> Self {
        self.element(0x10, name, &value.to_le_bytes())
    }

    pub(crate) fn number(self, name: &str, value: f64) -> Self {
        self.element(0x01, name, &value.to_le_bytes())
    }

    pub(crate) fn bool(self, name: &str, value: bool) -> Self {
        self.element(0x08, name, &[u8::from(value)])
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        let length = u32::try_from(text.len() + 1).unwrap().to_le_bytes();
        self.element(0x02, name, &[&length, text.as_bytes(), b"\0"].concat())
    }

    pub(crate) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        self.element(0x05, name, &[&length, &b"\0"[..], bytes].concat())
    }

    pub(crate) fn texts(self, name: &str, texts: &[&str]) -> Self {
        let list = texts.iter().enumerate().fold(Self::default(), |list, (at, text)| list.text(&at.to_string(), text));
        self.element(0x04, name, &list.finish())
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() + 5).unwrap().to_le_bytes();
        [&length, &self.0[..], b"\0"].concat()
    }
}

/// What a client asked.
pub(crate) struct Request {
    pub(crate) id: [u8; 4],
    /// 2004 for `OP_QUERY`, 2013 for `OP_MSG`.
    pub(crate) code: u32,
    /// The document.
    pub(crate) doc: Vec<u8>,
    /// The database of an `OP_QUERY`; that of an `OP_MSG` is `$db` in the document.
    db: String,
}

impl Request {
    /// The next request on `stream`; none when the client has gone.
    pub(crate) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut header = [0; 16];
        stream.read_exact(&mut header).ok()?;
        if header.starts_with(b"GET ") {
            return None;
        }
        let length = u32::from_le_bytes(header[..4].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(16).filter(|length| *length < 1 << 20)?];
        stream.read_exact(&mut body).ok()?;
        let (id, code) = (header[4..8].try_into().unwrap(), u32::from_le_bytes(header[12..].try_into().unwrap()));
        let (db, doc) = if code == 2004 {
            let name = body[4..].split(|byte| *byte == 0).next()?.to_vec();
            let name = String::from_utf8(name).ok()?;
            (name.strip_suffix(".$cmd")?.to_owned(), body[4 + name.len() + 1 + 8..].to_vec())
        } else {
            (String::new(), body[5..].to_vec())
        };
        let request = Self { id, code, doc, db };
        let db = request.text("$db").unwrap_or_else(|| request.db.clone());
        Some(Self { db, ..request })
    }

    /// A question of this number, of which only the answer matters.
    pub(crate) fn numbered(number: u8, code: u32) -> Self {
        Self { id: [number, 0, 0, 0], code, doc: Vec::new(), db: String::new() }
    }

    /// The name of the command: that of the document's first element.
    pub(crate) fn command(&self) -> String {
        let name = self.doc[5..].split(|byte| *byte == 0).next().unwrap();
        String::from_utf8(name.to_vec()).unwrap()
    }

    pub(crate) fn db(&self) -> &str {
        &self.db
    }

    /// The value of the element of this name and type, where a driver has them on the first level.
    fn value(&self, kind: u8, name: &str) -> Option<&[u8]> {
        let key = [&[kind], name.as_bytes(), b"\0"].concat();
        let at = self.doc.windows(key.len()).position(|window| window == key)? + key.len();
        let length = usize::try_from(u32::from_le_bytes(self.doc.get(at..at + 4)?.try_into().unwrap())).unwrap();
        let from = if kind == 0x05 { at + 5 } else { at + 4 };
        self.doc.get(from..from + length)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.value(0x02, name)?;
        String::from_utf8(value[..value.len() - 1].to_vec()).ok()
    }

    fn payload(&self) -> Vec<u8> {
        self.value(0x05, "payload").unwrap_or_default().to_vec()
    }

    /// The answer in the form of the question.
    pub(crate) fn answer(&self, doc: &Doc) -> Vec<u8> {
        let (code, before): (u32, &[u8]) =
            if self.code == 2004 { (1, b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0") } else { (2013, &[0; 5]) };
        let doc = doc.finish();
        let length = u32::try_from(16 + before.len() + doc.len()).unwrap().to_le_bytes();
        [&length, &[7, 0, 0, 0], &self.id, &code.to_le_bytes(), before, &doc].concat()
    }
}

/// What hello has in every state.
fn hello() -> Doc {
    Doc::default()
        .int("maxBsonObjectSize", 16_777_216)
        .int("maxMessageSizeBytes", 48_000_000)
        .int("maxWriteBatchSize", 100_000)
        .int("minWireVersion", 0)
        .int("maxWireVersion", 21)
        .bool("readOnly", false)
        .bool("helloOk", true)
        .number("ok", 1.0)
}

fn member(me: &str) -> Doc {
    hello().text("setName", "rs0").int("setVersion", 1).texts("hosts", &[me]).text("me", me)
}

/// The states of a server, with the fields of `MongoDB` 7.
pub(crate) const STATES: [&str; 9] =
    ["standalone", "primary", "secondary", "hidden", "arbiter", "recovering", "uninitiated", "mongos", "leaderless"];

/// What hello says in one of [`STATES`].
pub(crate) fn state(name: &str, me: &str) -> Doc {
    let is = |doc: Doc, writable: bool, secondary: bool| {
        doc.bool("ismaster", writable).bool("isWritablePrimary", writable).bool("secondary", secondary)
    };
    match name {
        "standalone" => hello().bool("ismaster", true).bool("isWritablePrimary", true),
        "primary" => is(member(me), true, false).text("primary", me),
        "secondary" => is(member(me), false, true).text("primary", "mongo-0.mongo:27017"),
        "leaderless" => is(member(me), false, true),
        "hidden" => is(member(me), false, true).bool("passive", true).bool("hidden", true),
        "arbiter" => is(member(me), false, false).bool("arbiterOnly", true),
        "recovering" => is(member(me), false, false),
        "uninitiated" => is(hello(), false, false)
            .text("info", "Does not have a valid replica set config")
            .bool("isreplicaset", true),
        "mongos" => hello().bool("ismaster", true).bool("isWritablePrimary", true).text("msg", "isdbgrid"),
        other => panic!("no state is called {other}"),
    }
}

/// A user: the database, the name, the password, and the hashes that the server has for it.
#[derive(Clone)]
pub(crate) struct User(
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) &'static str,
    pub(crate) &'static [&'static str],
);

pub(crate) const BOTH: &[&str] = &["SCRAM-SHA-1", "SCRAM-SHA-256"];

/// A server in one state, with its users.
pub(crate) struct Mongod {
    pub(crate) fake: Fake,
    /// What was asked: the command and its database.
    asked: Arc<Mutex<Vec<String>>>,
    state: Arc<Mutex<Doc>>,
}

impl Mongod {
    pub(crate) fn new(state: Doc, users: &[User]) -> Self {
        Self::on((super::loopback(), 0).into(), state, users)
    }

    /// The same at a given address.
    pub(crate) fn on(addr: SocketAddr, state: Doc, users: &[User]) -> Self {
        let (asked, state, users) = (Arc::default(), Arc::new(Mutex::new(state)), users.to_vec());
        let (seen, now) = (Arc::clone(&asked), Arc::clone(&state));
        let fake = Fake::on(addr, move |stream| serve(stream, &now, &users, &seen));
        Self { fake, asked, state }
    }

    /// The same over TLS alone.
    #[cfg(feature = "tls")]
    pub(crate) fn over_tls(name: &str, users: &[User], config: rustls::ServerConfig) -> Self {
        let server = Self::on_with_tls((super::loopback(), 0).into(), Doc::ok(), users, config);
        server.becomes(state(name, &server.fake.addr.to_string()));
        server
    }

    /// The same at a given address.
    #[cfg(feature = "tls")]
    pub(crate) fn on_with_tls(addr: SocketAddr, state: Doc, users: &[User], config: rustls::ServerConfig) -> Self {
        let (asked, state, users) = (Arc::default(), Arc::new(Mutex::new(state)), users.to_vec());
        let (seen, now, config) = (Arc::clone(&asked), Arc::clone(&state), Arc::new(config));
        let fake = Fake::on(addr, move |stream| {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(rustls::StreamOwned::new(session, stream), &now, &users, &seen);
        });
        Self { fake, asked, state }
    }

    /// A server in one of [`STATES`].
    pub(crate) fn in_state(name: &str, users: &[User]) -> Self {
        let server = Self::new(Doc::ok(), users);
        server.becomes(state(name, &server.fake.addr.to_string()));
        server
    }

    pub(crate) fn becomes(&self, state: Doc) {
        *self.state.lock().unwrap() = state;
    }

    /// The commands so far, each with its database and how it was sent.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn at(&self, target: &str) -> String {
        target.replace("ADDR", &self.fake.addr.to_string())
    }
}

fn serve(mut stream: impl Read + Write, state: &Mutex<Doc>, users: &[User], asked: &Mutex<Vec<String>>) {
    let mut login = None;
    while let Some(request) = Request::read(&mut stream) {
        let command = request.command();
        let way = if request.code == 2004 { "query" } else { "msg" };
        asked.lock().unwrap().push(format!("{way} {} {command}", request.db()));
        let answer = match command.as_str() {
            "isMaster" | "ismaster" | "hello" => {
                let state = state.lock().unwrap().clone();
                match request.text("saslSupportedMechs") {
                    Some(wanted) => {
                        let user = users.iter().find(|User(db, name, ..)| format!("{db}.{name}") == wanted);
                        user.map_or_else(|| state.clone(), |user| state.clone().texts("saslSupportedMechs", user.3))
                    }
                    None => state,
                }
            }
            "saslStart" => match Login::begin(&request, users) {
                Ok((begun, payload)) => {
                    login = Some(begun);
                    payload
                }
                Err(refused) => refused,
            },
            "saslContinue" => login.as_mut().map_or_else(refused, |login| login.go_on(&request)),
            "authenticate" => Doc::ok().text("dbname", "$external").text("user", "CN=app"),
            "ping" | "endSessions" => Doc::ok(),
            other => Doc::error(59, "CommandNotFound", &format!("no such command: '{other}'")),
        };
        if stream.write_all(&request.answer(&answer)).is_err() {
            return;
        }
    }
}

fn refused() -> Doc {
    Doc::error(18, "AuthenticationFailed", "Authentication failed.")
}

/// A login with SCRAM, on the side of the server (RFC 5802 section 3).
struct Login {
    hmac: hmac::Algorithm,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
    /// What both sign, as far as it is known.
    signed: String,
    nonce: String,
    proved: bool,
}

impl Login {
    fn begin(request: &Request, users: &[User]) -> Result<(Self, Doc), Doc> {
        let mechanism = request.text("mechanism").unwrap_or_default();
        let payload = String::from_utf8(request.payload()).map_err(|_| refused())?;
        if mechanism == "PLAIN" {
            let known = users.iter().any(|User(_, name, password, _)| payload == format!("\0{name}\0{password}"));
            return Err(if known { Self::said("", true) } else { refused() });
        }
        let bare = payload.strip_prefix("n,,").ok_or_else(refused)?;
        let parts: BTreeMap<&str, &str> = bare.split(',').filter_map(|part| part.split_once('=')).collect();
        let user = parts["n"].replace("=2C", ",").replace("=3D", "=");
        let known = |User(db, name, _, has): &&User| *db == request.db() && *name == user && has.contains(&&*mechanism);
        let User(_, name, password, _) = users.iter().find(known).ok_or_else(refused)?;
        let (algorithm, hmac, iterations, password) = match mechanism.as_str() {
            "SCRAM-SHA-1" => {
                let hash = Md5::digest(format!("{name}:mongo:{password}"));
                let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                (pbkdf2::PBKDF2_HMAC_SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 10_000, hex)
            }
            _ => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, 15_000, (*password).to_owned()),
        };
        let salt = b"a salt of 28 bytes in a fake";
        let mut salted = vec![0; hmac.digest_algorithm().output_len()];
        pbkdf2::derive(algorithm, NonZeroU32::new(iterations).unwrap(), salt, password.as_bytes(), &mut salted);
        let sign = |text: &[u8]| hmac::sign(&hmac::Key::new(hmac, &salted), text);
        let stored_key = digest::digest(hmac.digest_algorithm(), sign(b"Client Key").as_ref()).as_ref().to_vec();
        let nonce = format!("{}of-the-server", parts["r"]);
        let first = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let said = Self::said(&first, false);
        let server_key = sign(b"Server Key").as_ref().to_vec();
        Ok((Self { hmac, stored_key, server_key, signed: format!("{bare},{first}"), nonce, proved: false }, said))
    }

    fn said(payload: &str, done: bool) -> Doc {
        Doc::ok().int("conversationId", 1).bool("done", done).bytes("payload", payload.as_bytes())
    }

    /// `done` only after one more round, as servers before 4.4 have it.
    fn go_on(&mut self, request: &Request) -> Doc {
        if self.proved {
            return Self::said("", true);
        }
        let last = String::from_utf8(request.payload()).unwrap();
        let (without, proof) = last.rsplit_once(",p=").unwrap();
        let signed = format!("{},{without}", self.signed);
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(self.hmac, key), signed.as_bytes()).as_ref().to_vec();
        let proof = STANDARD.decode(proof).unwrap();
        let client_key: Vec<u8> = proof.iter().zip(sign(&self.stored_key)).map(|(proof, sign)| proof ^ sign).collect();
        let right = digest::digest(self.hmac.digest_algorithm(), &client_key).as_ref() == self.stored_key;
        if !right || !without.contains(&format!("r={}", self.nonce)) {
            return refused();
        }
        self.proved = true;
        Self::said(&format!("v={}", STANDARD.encode(sign(&self.server_key))), false)
    }
}
