//! The current context of the file that KUBECONFIG names (client-go: tools/clientcmd/api/v1/types.go).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::objects::Node;
use super::yaml;
use crate::file::{self, PEM_MAX, SECRET_MAX};
use crate::net::address::{self, Host};
use crate::secret::Secret;
use crate::text::printable;

/// How to reach the API server, and as whom.
pub(super) struct Context {
    pub(super) host: Host,
    pub(super) port: u16,
    /// The path before the API's own paths, without a slash at its end.
    pub(super) prefix: String,
    pub(super) server_name: Option<String>,
    pub(super) insecure: bool,
    /// `None`: the roots of the run.
    pub(super) ca: Option<Vec<u8>>,
    /// The certificate and its key.
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) token: Option<Secret>,
    pub(super) namespace: Option<String>,
}

/// Reads the file anew. A message has nothing of a token or a key.
pub(super) fn read(path: &Path) -> Result<Context> {
    let content = file::read(path, PEM_MAX).map_err(|why| anyhow::anyhow!("cannot be read: {why}"))?;
    let text = std::str::from_utf8(&content).context("is not valid UTF-8")?;
    let document = if text.trim_start().starts_with('{') {
        Node::of_document(text.as_bytes()).context("is not valid JSON")?
    } else {
        yaml::parse(text)
            .context("is not YAML that waitgate reads (expected what kubectl config view --raw --minify prints)")?
    };
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    context(&document, folder)
}

/// The entry `name` of a list of named entries.
fn entry<'a>(document: &'a Node, list: &str, inner: &str, name: &str) -> Result<&'a Node> {
    let found = document.get(list).items().iter().find(|entry| entry.get("name").text() == name);
    match found {
        Some(entry) => Ok(entry.get(inner)),
        None => bail!("has no entry \"{}\" in its {list}", printable(name)),
    }
}

pub(super) fn context(document: &Node, folder: &Path) -> Result<Context> {
    let current = document.get("current-context").text();
    if current.is_empty() {
        bail!("has no current-context (expected one: kubectl config use-context NAME sets it)");
    }
    let context = entry(document, "contexts", "context", current)?;
    let cluster = entry(document, "clusters", "cluster", context.get("cluster").text())?;
    let user = entry(document, "users", "user", context.get("user").text())?;
    refuse(cluster, user)?;
    let (host, port, prefix) = server(cluster.get("server").text())?;
    let source = Source { folder };
    let some = |node: &Node| Some(node.text().to_owned()).filter(|text| !text.is_empty());
    let cert = source.pem(user, "client-certificate")?;
    let key = source.pem(user, "client-key")?;
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => bail!("has a user with a client certificate or a client key alone (expected both)"),
    };
    // client-go: rest/config.go: a token file wins over a token.
    let token = match user.get("tokenFile").text() {
        "" => some(user.get("token")),
        path => Some(source.read(path, "tokenFile", SECRET_MAX)?).and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    Ok(Context {
        host,
        port,
        prefix,
        server_name: some(cluster.get("tls-server-name")),
        insecure: *cluster.get("insecure-skip-tls-verify") == Node::Bool(true),
        ca: source.pem(cluster, "certificate-authority")?,
        identity,
        token: token.map(|token| Secret::new(token.trim())),
        namespace: some(context.get("namespace")),
    })
}

/// Refuses what waitgate does not do, in words that name a way out.
fn refuse(cluster: &Node, user: &Node) -> Result<()> {
    for (name, words) in [
        ("exec", "runs a program to get its credentials (exec)"),
        ("auth-provider", "has an auth-provider"),
        ("username", "has a user name and a password, which no API server takes any more"),
        ("as", "acts as another user (as)"),
    ] {
        if !user.get(name).is_null() {
            bail!(
                "has a current context whose user {words}, and waitgate does not do that (expected a token or a client certificate: kubectl create token NAME makes a token for a ServiceAccount)"
            );
        }
    }
    if !cluster.get("proxy-url").is_null() {
        bail!("has a cluster with proxy-url, and waitgate asks no proxy for the API (expected a cluster without it)");
    }
    Ok(())
}

/// Splits `https://HOST[:PORT][/PREFIX]`.
fn server(url: &str) -> Result<(Host, u16, String)> {
    const FORM: &str = "expected https://HOST[:PORT]";
    let Some(rest) = url.strip_prefix("https://") else {
        bail!("has a cluster whose server is not an https: URL ({FORM}: waitgate sends no token in plain text)");
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = address::split(authority);
    let port =
        port.map_or(Ok(443), address::port).with_context(|| format!("has a server with a wrong port ({FORM})"))?;
    let host = Host::parse(host).with_context(|| format!("has a server with a wrong host ({FORM})"))?;
    let path = path.trim_matches('/');
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || b"?#".contains(&byte)) {
        bail!("has a server with a query, a fragment or a blank in its URL ({FORM})");
    }
    Ok((host, port, if path.is_empty() { String::new() } else { format!("/{path}") }))
}

/// Where files are looked for: a relative path is relative to the kubeconfig's own folder.
struct Source<'a> {
    folder: &'a Path,
}

impl Source<'_> {
    /// `NAME-data` in base64, or else the file `NAME`.
    fn pem(&self, of: &Node, name: &str) -> Result<Option<Vec<u8>>> {
        let data: String = of.get(&format!("{name}-data")).text().split_ascii_whitespace().collect();
        if !data.is_empty() {
            return STANDARD
                .decode(data)
                .map(Some)
                .map_err(|_| anyhow::anyhow!("has a {name}-data that is not base64"));
        }
        match of.get(name).text() {
            "" => Ok(None),
            path => self.read(path, name, PEM_MAX).map(Some),
        }
    }

    fn read(&self, path: &str, name: &str, max: u64) -> Result<Vec<u8>> {
        let path: PathBuf = self.folder.join(path);
        let shown = printable(&path.to_string_lossy());
        file::read(&path, max)
            .map_err(|why| anyhow::anyhow!("names {shown} as its {name}, which cannot be read: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(user: &str, cluster: &str) -> Result<Context> {
        let text = format!(
            "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n    namespace: shop\nclusters:\n- name: k\n  cluster:\n    {cluster}\nusers:\n- name: u\n  user:\n    {user}\n"
        );
        context(&yaml::parse(&text).unwrap(), Path::new("/nowhere"))
    }

    #[test]
    fn the_current_context() {
        let it = parse("token: hunter2", "server: https://[::1]:6443/k8s/clusters/c-1/").unwrap();
        assert_eq!((it.host.to_string().as_str(), it.port, it.prefix.as_str()), ("[::1]", 6443, "/k8s/clusters/c-1"));
        assert_eq!((it.token.unwrap().expose(), it.namespace.as_deref()), ("hunter2", Some("shop")));
        let it = parse("client-certificate-data: QQ==\n    client-key-data: Qg==", "server: https://a").unwrap();
        assert_eq!((it.port, it.identity), (443, Some((b"A".to_vec(), b"B".to_vec()))));
    }

    #[test]
    fn what_waitgate_does_not_do_is_refused_in_words() {
        let ok = "server: https://a";
        for (user, cluster, words) in [
            ("exec:\n      command: aws", ok, "runs a program"),
            ("auth-provider:\n      name: gcp", ok, "auth-provider"),
            ("username: hunter2", ok, "user name and a password"),
            ("token: x", "server: http://a", "sends no token in plain text"),
            ("token: x", "server: https://a:0x", "wrong port"),
            ("token: x", "server: https://a\n    proxy-url: http://p", "proxy-url"),
            ("client-key-data: Qg==", ok, "expected both"),
            ("tokenFile: t", ok, "/nowhere/t as its tokenFile"),
            ("client-certificate-data: '?'", ok, "not base64"),
        ] {
            let message = format!("{:#}", parse(user, cluster).err().unwrap());
            assert!(message.contains(words) && !message.contains("hunter2"), "{user}: {message}");
        }
        let none = context(&yaml::parse("a: b").unwrap(), Path::new("/")).err().unwrap().to_string();
        assert!(none.contains("no current-context"), "{none}");
    }
}
