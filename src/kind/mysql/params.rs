//! The parameters of a URL, in the spellings of many drivers. Pure.
//!
//! One parameter has many spellings: `ssl-mode`, `ssl_mode`, `sslmode`, `sslMode`. So case, `-` and `_` do not count.

use anyhow::{Context as _, Result, bail};

use super::FORM;
use crate::env::{self, Fill, percent_decode};
use crate::kind::path::NamedFile;
use crate::kind::tls_options::TlsFile;
use crate::secret::HIDDEN;
use crate::text::InForm as _;

/// The parameters that waitgate uses. One text takes less of the binary than a list.
const KNOWN: &str = "user username password socket unixsocket localsocket sslmode tls ssl usessl requiressl verifyservercertificate \
    ssldisabled sslverifycert sslverifyservercert sslverifyidentity sslcheckhostname sslaccept \
    disablesslhostnameverification trustservercertificate sslca serversslcert sslcert sslkey tlsversion \
    tlsversions enabledtlsprotocols enabledsslprotocolsuites allownativepasswords";

/// Parameters that restrict what the session may be, and that waitgate cannot honour. Each has what to write in its place.
const REFUSED: &[(&str, &str)] = &[
    ("sslcapath", "write #ca=FILE, one PEM file"),
    ("sslcrl", "there are no revocation lists: leave it out"),
    ("sslcrlpath", "there are no revocation lists: leave it out"),
    ("sslcipher", "waitgate chooses its own ciphers: leave it out"),
    ("tlsciphersuites", "waitgate chooses its own ciphers: leave it out"),
    ("enabledsslciphersuites", "waitgate chooses its own ciphers: leave it out"),
    ("sslidentity", "it names a PKCS#12 file: write #cert=FILE and #key=FILE, which name PEM files"),
    ("trustcertificatekeystoreurl", "it names a Java key store: write #ca=FILE, a PEM file"),
    ("clientcertificatekeystoreurl", "it names a Java key store: write #cert=FILE and #key=FILE, which name PEM files"),
    ("truststore", "it names a Java key store: write #ca=FILE, a PEM file"),
    ("keystore", "it names a Java key store: write #cert=FILE and #key=FILE, which name PEM files"),
    ("disabledauthenticationplugins", "waitgate has no list of ways to log in: leave it out"),
    ("restrictedauth", "waitgate has no list of ways to log in: leave it out"),
    ("serverpubkey", "waitgate sends no password under an RSA key: leave it out and use TLS"),
];

/// Parameters of well-known drivers that change nothing for a probe.
const HARMLESS: &str = "allowcleartextpasswords allowloadlocalinfile allowmultiqueries allowoldpasswords allowpublickeyretrieval \
    allowzerodatetime authplugin autocommit autoreconnect cacheprepstmts characterencoding charset clientfoundrows \
    collation columnswithalias compress connectionattributes connectionlimit connectiontimeout connecttimeout \
    createdatabaseifnotexist defaultauth defaultauthenticationplugin enablecleartextplugin encoding initcommand \
    interpolateparams loc localinfile maxallowedpacket maxpoolsize minpoolsize multistatements \
    nullcatalogmeansmapping nullcatalogmeanscurrent parsetime pool poolrecycle poolsize pooltimeout \
    prepstmtcachesize readtimeout reconnect rewritebatchedstatements serverprepstmts servertimezone serverversion \
    sessionvariables sockettimeout sqlmode statementcachesize timeout timezone tinyint1isbit usecursorfetch \
    uselegacydatetimecode useserverprepstmts usejdbccomplianttimezoneshift useunicode writetimeout \
    xmultistatements xmultistatement xmigrationstable zerodatetimebehavior";

/// The parameters in a URL's query.
pub(super) struct Params {
    given: Vec<Given>,
    /// A warning for each parameter that waitgate does not use. It repeats nothing of the URL.
    pub(super) ignored: Vec<String>,
}

/// One parameter of the URL.
struct Given {
    name: &'static str,
    /// The name as the URL spells it.
    spelled: String,
    value: String,
    /// How a message may show the value.
    shown: String,
}

impl Params {
    /// Splits `raw`, the text after the `?`, and replaces each `$(NAME)` in the values.
    pub(super) fn parse(raw: &str, fill: Fill<'_>) -> Result<Self> {
        let mut params = Self { given: Vec::new(), ignored: Vec::new() };
        for (at, pair) in raw.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let position = at + 1;
            let (name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let spelled = percent_decode(name).with_context(|| format!("parameter {position}")).in_form(FORM)?;
            let plain = normal(&spelled);
            if let Some(known) = KNOWN.split(' ').find(|known| *known == plain) {
                let value = fill.decoded(raw_value).with_context(|| format!("parameter {spelled}=")).in_form(FORM)?;
                if value.contains('\0') {
                    bail!("{spelled} cannot hold a NUL (%00) ({FORM})");
                }
                let shown = match () {
                    () if fill.is_none() => HIDDEN.to_owned(),
                    () if env::refers(raw_value) => raw_value.to_owned(),
                    () => value.clone(),
                };
                params.given.retain(|earlier| earlier.name != known);
                params.given.push(Given { name: known, spelled, value, shown });
            } else if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == plain) {
                bail!("{spelled}= cannot be honoured: {instead} ({FORM})");
            } else if pair.contains('@') {
                bail!("found '@' after a '?': in a password '?' is written %3F ({FORM})");
            } else if !pair.contains('=') {
                bail!("parameter {position} after the '?' has no '='; in a password '?' is written %3F ({FORM})");
            } else if !HARMLESS.split(' ').any(|harmless| harmless == plain) {
                params
                    .ignored
                    .push(format!("waitgate does not know parameter {position} after the '?' and ignores it"));
            }
        }
        Ok(params)
    }

    fn given(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.name == name && !given.value.is_empty())
    }

    /// The parameter's value. An empty one counts as unset.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given(name).map(|given| given.value.as_str())
    }

    /// How a message may show the parameter's value.
    pub(super) fn shown(&self, name: &str) -> Option<&str> {
        self.given(name).map(|given| given.shown.as_str())
    }

    /// The value that belongs to the parameter's word. Case, `-` and `_` do not count in it. Any other word is invalid.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(given) = self.given(name) else { return Ok(None) };
        let plain = normal(&given.value);
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == plain) {
            return Ok(Some(*value));
        }
        let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        bail!("{}= has an unknown value: use one of {} ({FORM})", given.spelled, list.join(", "))
    }

    /// The file that the parameter names. The text of a file in its place is invalid.
    pub(super) fn file(&self, name: &str) -> Result<Option<TlsFile>> {
        let Some(given) = self.given(name) else { return Ok(None) };
        // Connector/J takes URLs of files.
        let path = given.value.strip_prefix("file://").unwrap_or(&given.value);
        let file = NamedFile::new(path, &given.shown).with_context(|| given.spelled.clone())?;
        Ok(Some(TlsFile { by: given.spelled.clone(), file }))
    }

    /// Whether the URL allows only TLS 1.3. A list with TLS 1.2 in it forbids nothing that waitgate has.
    pub(super) fn tls13_only(&self) -> Result<bool> {
        let names = ["tlsversion", "tlsversions", "enabledtlsprotocols", "enabledsslprotocolsuites"];
        let Some(given) = names.iter().find_map(|name| self.given(name)) else { return Ok(false) };
        let versions: Vec<String> = given.value.split([',', ':', ' ']).map(normal).collect();
        let lists = |version: &str| versions.iter().any(|listed| listed == version);
        match (lists("tlsv1.2"), lists("tlsv1.3")) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => {
                bail!("{}= allows neither TLSv1.2 nor TLSv1.3, which waitgate has ({FORM})", given.spelled)
            }
        }
    }
}

/// A name or a word without case, `-` and `_`.
fn normal(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}
