//! How waitgate reaches the API server and who it is there: the Pod's ServiceAccount, or the current context of KUBECONFIG.
//!
//! Each attempt reads the token and the CA again: the kubelet renews a mounted token.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::kubeconfig;
use crate::attempt::Attempt;
use crate::env::Env;
use crate::file::{self, PEM_MAX, SECRET_MAX, read_for};
use crate::net::Net;
use crate::net::address::{self, Host};
use crate::net::tls::files;
use crate::reason::{Code, Reason};
use crate::secret::Secret;
use crate::text::printable;

/// Where the kubelet mounts the token, the CA and the namespace (kubernetes: plugin/pkg/admission/serviceaccount,
/// DefaultAPITokenMountPath).
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where the access comes from.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// The ServiceAccount in this folder, at the address that the environment names.
    Pod { folder: PathBuf, host: Host, port: u16 },
    /// These files, with colons between them.
    Config(String),
    /// Neither is there.
    Nothing,
}

/// The access of one attempt.
pub(super) struct Session {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) prefix: String,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) server_name: ServerName<'static>,
    pub(super) token: Option<Secret>,
    pub(super) namespace: String,
    pub(super) is_insecure: bool,
}

impl Access {
    /// KUBECONFIG if it is set, or else what the kubelet sets in every container.
    pub(super) fn of(env: &Env) -> Result<Self> {
        if let Some(path) = env.text("KUBECONFIG")?.filter(|path| !path.is_empty()) {
            return Ok(Self::Config(path.to_owned()));
        }
        let (Some(host), Some(port)) = (env.text("KUBERNETES_SERVICE_HOST")?, env.text("KUBERNETES_SERVICE_PORT")?)
        else {
            return Ok(Self::Nothing);
        };
        Ok(Self::Pod {
            folder: MOUNTED.into(),
            host: Host::parse(host).context("KUBERNETES_SERVICE_HOST")?,
            port: address::port(port).context("KUBERNETES_SERVICE_PORT")?,
        })
    }

    /// Looks for what waiting would not bring.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Nothing => bail!(
                "there is no way to the API: neither KUBECONFIG nor KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are set (expected to run in a Pod, or KUBECONFIG)"
            ),
            Self::Config(list) => kubeconfig::read(list).map(|_| ()),
            Self::Pod { folder, .. } => match file::open(&folder.join("token"), 1) {
                Ok(_) => Ok(()),
                Err(why) => bail!(
                    "no token of a ServiceAccount can be read in {}: {why} (expected automountServiceAccountToken: true, in this Pod and in its ServiceAccount, and a readable mount)",
                    folder.display()
                ),
            },
        }
    }

    /// Reads the token, the CA and the namespace.
    pub(super) fn read(&self, net: &Net, attempt: &Attempt) -> Result<Session, Reason> {
        match self {
            Self::Nothing => Err(Reason::new(Code::LocalFile, "there is no way to the API")),
            Self::Pod { folder, host, port } => {
                let read = |name: &str, max| read_for(folder.join(name), max, &format!("the ServiceAccount's {name}"));
                let token = String::from_utf8_lossy(&read("token", SECRET_MAX)?).trim().to_owned();
                let token = Secret::new(token);
                attempt.hide(&token);
                let namespace = String::from_utf8_lossy(&read("namespace", 253)?).trim().to_owned();
                let tls = files::own_ca(
                    &net.tls,
                    Some(&read("ca.crt", PEM_MAX)?),
                    "the ServiceAccount's ca.crt",
                    None,
                    false,
                )?;
                let server_name = server_name(None, host)?;
                Ok(Session {
                    host: host.clone(),
                    port: *port,
                    prefix: String::new(),
                    tls,
                    server_name,
                    token: Some(token),
                    namespace,
                    is_insecure: false,
                })
            }
            Self::Config(list) => {
                let context =
                    kubeconfig::read(list).map_err(|error| Reason::new(Code::LocalFile, format!("{error:#}")))?;
                context.token.iter().for_each(|token| attempt.hide(token));
                let ca = context.ca.as_deref();
                let tls = files::own_ca(&net.tls, ca, &context.ca_name, context.identity, context.insecure)?;
                Ok(Session {
                    server_name: server_name(context.server_name.as_deref(), &context.host)?,
                    host: context.host,
                    port: context.port,
                    prefix: context.prefix,
                    tls,
                    token: context.token,
                    namespace: context.namespace.unwrap_or_else(|| "default".to_owned()),
                    is_insecure: context.insecure,
                })
            }
        }
    }
}

fn server_name(given: Option<&str>, host: &Host) -> Result<ServerName<'static>, Reason> {
    let name = match (given, host) {
        (Some(name), _) => name,
        (None, Host::Ip(ip)) => return Ok(ServerName::IpAddress((*ip).into())),
        (None, Host::Name(name)) => name.strip_suffix('.').unwrap_or(name),
    };
    let wrong = |_| Reason::new(Code::TlsWrongName, format!("no certificate can be for {}", printable(name)));
    name.to_owned().try_into().map_err(wrong)
}
