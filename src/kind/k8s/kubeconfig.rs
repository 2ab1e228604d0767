//! The current context of the files that KUBECONFIG names (client-go: tools/clientcmd/api/v1/types.go).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::objects::Node;
use super::yaml;
use crate::file::{self, PEM_MAX, SECRET_MAX};
use crate::net::address::{self, Host};
use crate::net::tls::Identity;
use crate::secret::Secret;
use crate::text::{InForm as _, printable};

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
    /// How a message calls the CA.
    pub(super) ca_name: String,
    pub(super) identity: Option<Identity>,
    pub(super) token: Option<Secret>,
    pub(super) namespace: Option<String>,
}

/// One of the files, and what it says.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) document: Node,
}

/// Reads the files of `list` anew. A message names the file, and has nothing of a token or a key.
///
/// As in client-go (tools/clientcmd/loader.go, Load), files that are not there are skipped, and the first file that has a
/// value or an entry wins: of an entry of the same name in a later file nothing is used.
pub(super) fn read(list: &str) -> Result<Context> {
    let mut sources = Vec::new();
    // A path has no colon: there is no way to write one (Go: path/filepath, SplitList).
    for path in list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from) {
        if !matches!(path.try_exists(), Ok(false)) {
            let document = document(&path).with_context(|| named(&path))?;
            sources.push(Source { path, document });
        }
    }
    if sources.is_empty() {
        bail!("{}: cannot be read: there is no such file", named(Path::new(list)));
    }
    context(&sources)
}

fn document(path: &Path) -> Result<Node> {
    let content = file::read(path, PEM_MAX).map_err(|why| anyhow::anyhow!("cannot be read: {why}"))?;
    let text = std::str::from_utf8(&content).context("is not valid UTF-8")?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        Node::of_document(text.as_bytes())
            .context("begins with '{' and is not valid JSON (expected JSON, or YAML in blocks)")
    } else {
        yaml::parse(text).in_form("expected what kubectl config view --raw --minify prints")
    }
}

/// How a message calls a file.
fn named(path: &Path) -> String {
    format!("KUBECONFIG {}", printable(&path.to_string_lossy()))
}

/// An entry of a list, and the file that it is in.
type Entry<'a> = (&'a Node, &'a Path);

fn entry<'a>(sources: &'a [Source], list: &str, inner: &str, name: &str) -> Result<Entry<'a>> {
    for Source { path, document } in sources {
        if let Some(entry) = document.get(list).items().iter().find(|entry| entry.get("name").text() == name) {
            return Ok((entry.get(inner), path));
        }
    }
    bail!("has no entry \"{}\" in its {list}", printable(name))
}

/// The current context, its cluster and its user.
fn current(sources: &[Source]) -> Result<[Entry<'_>; 3]> {
    let mut names = sources.iter().map(|source| source.document.get("current-context").text());
    let Some(current) = names.find(|name| !name.is_empty()) else {
        bail!("has no current-context (expected one: kubectl config use-context NAME sets it)");
    };
    let context = entry(sources, "contexts", "context", current)?;
    let cluster = entry(sources, "clusters", "cluster", context.0.get("cluster").text())?;
    let user = entry(sources, "users", "user", context.0.get("user").text())?;
    Ok([context, cluster, user])
}

/// The current context of the files, the first one first.
pub(super) fn context(sources: &[Source]) -> Result<Context> {
    let all = || {
        let paths: Vec<_> = sources.iter().map(|source| source.path.to_string_lossy()).collect();
        named(Path::new(&paths.join(":")))
    };
    let [(context, _), (cluster, of_cluster), (user, of_user)] = current(sources).with_context(all)?;
    let mut it = self::cluster(cluster, of_cluster).with_context(|| named(of_cluster))?;
    (it.identity, it.token) = login(user, of_user).with_context(|| named(of_user))?;
    it.namespace = some(context.get("namespace"));
    Ok(it)
}

fn some(node: &Node) -> Option<String> {
    Some(node.text().to_owned()).filter(|text| !text.is_empty())
}

/// What the cluster says.
fn cluster(cluster: &Node, path: &Path) -> Result<Context> {
    if !cluster.get("proxy-url").is_null() {
        bail!("has a cluster with proxy-url, and waitgate asks no proxy for the API (expected a cluster without it)");
    }
    let (host, port, prefix) = server(cluster.get("server").text())?;
    Ok(Context {
        host,
        port,
        prefix,
        server_name: some(cluster.get("tls-server-name")),
        insecure: *cluster.get("insecure-skip-tls-verify") == Node::Bool(true),
        ca: pem(cluster, "certificate-authority", path)?,
        ca_name: format!("the CA of {}", named(path)),
        identity: None,
        token: None,
        namespace: None,
    })
}

/// The client certificate and the token of the user.
fn login(user: &Node, path: &Path) -> Result<(Option<Identity>, Option<Secret>)> {
    refuse(user)?;
    let (cert, key) = (pem(user, "client-certificate", path)?, pem(user, "client-key", path)?);
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some(Identity::from_pem(&cert, &key)?),
        (None, None) => None,
        _ => bail!("has a user with a client certificate or a client key alone (expected both)"),
    };
    // client-go: rest/config.go: a token file wins over a token.
    let token = match user.get("tokenFile").text() {
        "" => some(user.get("token")),
        file => Some(read_beside(path, file, "tokenFile", SECRET_MAX)?).and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    Ok((identity, token.map(|token| Secret::new(token.trim()))))
}

/// Refuses what waitgate does not do, in words that name a way out.
fn refuse(user: &Node) -> Result<()> {
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

/// `NAME-data` in base64, or else the file `NAME`.
fn pem(of: &Node, name: &str, kubeconfig: &Path) -> Result<Option<Vec<u8>>> {
    let data: String = of.get(&format!("{name}-data")).text().split_ascii_whitespace().collect();
    if !data.is_empty() {
        return STANDARD.decode(data).map(Some).map_err(|_| anyhow::anyhow!("has a {name}-data that is not base64"));
    }
    match of.get(name).text() {
        "" => Ok(None),
        path => read_beside(kubeconfig, path, name, PEM_MAX).map(Some),
    }
}

/// Reads a file whose path is relative to the folder of the kubeconfig that names it.
fn read_beside(kubeconfig: &Path, path: &str, name: &str, max: u64) -> Result<Vec<u8>> {
    let path = kubeconfig.parent().unwrap_or_else(|| Path::new("/")).join(path);
    let shown = printable(&path.to_string_lossy());
    file::read(&path, max).map_err(|why| anyhow::anyhow!("names {shown} as its {name}, which cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(user: &str, cluster: &str) -> Result<Context> {
        let text = format!(
            "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n    namespace: shop\nclusters:\n- name: k\n  cluster:\n    {cluster}\nusers:\n- name: u\n  user:\n    {user}\n"
        );
        merged(&[("/nowhere/config", &text)])
    }

    fn merged(files: &[(&str, &str)]) -> Result<Context> {
        let source = |(path, text): &(&str, &str)| Source { path: path.into(), document: yaml::parse(text).unwrap() };
        context(&files.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn the_current_context() {
        let it = parse("token: hunter2", "server: https://[::1]:6443/k8s/clusters/c-1/").unwrap();
        assert_eq!((it.host.to_string().as_str(), it.port, it.prefix.as_str()), ("[::1]", 6443, "/k8s/clusters/c-1"));
        assert_eq!((it.token.unwrap().expose(), it.namespace.as_deref()), ("hunter2", Some("shop")));
        let it = parse("token: x", "server: https://a\n    certificate-authority-data: QQ==").unwrap();
        assert_eq!((it.port, it.ca.as_deref()), (443, Some(&b"A"[..])));
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
            ("client-certificate-data: QQ==\n    client-key-data: Qg==", ok, "KUBECONFIG /nowhere/config: found no"),
            ("tokenFile: t", ok, "/nowhere/t as its tokenFile"),
            ("client-certificate-data: '?'", ok, "not base64"),
        ] {
            let message = format!("{:#}", parse(user, cluster).err().unwrap());
            assert!(message.contains(words) && !message.contains("hunter2"), "{user}: {message}");
        }
        let none = format!("{:#}", merged(&[("/a", "a: b"), ("/b", "")]).err().unwrap());
        assert!(none.starts_with("KUBECONFIG /a:/b: has no current-context"), "{none}");
    }

    /// The rules are those of client-go: kubectl config view --raw --minify says the same of these files.
    #[test]
    fn the_first_file_with_a_value_or_an_entry_wins() {
        let first = "current-context: ''\nusers:\n- name: u\n  user:\n    token: first\nclusters:\n- name: other\n  cluster:\n    server: https://other\n";
        let second = "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: k\n    user: u\nusers:\n- name: u\n  user:\n    tokenFile: second\n";
        let third = "current-context: x\ncontexts:\n- name: c\n  context:\n    cluster: other\n    user: u\n    namespace: third\nclusters:\n- name: k\n  cluster:\n    server: https://third\n    certificate-authority: ca\n";
        let files = [("/1/config", first), ("/2/config", second), ("/3/config", third)];
        // The path is relative to the file that has it.
        let ca = format!("{:#}", merged(&files).err().unwrap());
        assert!(ca.starts_with("KUBECONFIG /3/config: names /3/ca as its certificate-authority"), "{ca}");
        let third = third.replace("    certificate-authority: ca\n", "");
        let it = merged(&[files[0], files[1], ("/3/config", &third)]).unwrap();
        assert_eq!((it.host.to_string().as_str(), it.token.unwrap().expose()), ("third", "first"));
        assert_eq!(it.namespace, None, "nothing of the later entry is used");
        let missing = format!("{:#}", merged(&files[..2]).err().unwrap());
        assert!(missing.starts_with("KUBECONFIG /1/config:/2/config: has no entry \"k\" in its clusters"), "{missing}");
    }
}
