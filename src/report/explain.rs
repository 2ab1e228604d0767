//! `--explain CODE`: what a reason says, and what to look at. docs/reasons.md holds the same for all of them.

use super::words;
use crate::backoff::cap;
use crate::reason::{Code, Hint};
use crate::target::expect::distance;
use crate::trail::short;

/// The explanation of `code`, as --explain prints it.
#[must_use]
pub fn explain(code: Code) -> String {
    let pause = short(cap(code.class()));
    format!("{code}\n  {}\n  {}\n  The pause between attempts grows up to {pause}.\n", code.summary(), advice(code))
}

/// The code by that name, or what to say about a name that is none.
pub fn named(name: &str) -> Result<Code, String> {
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == name) {
        return Ok(*code);
    }
    let nearest = Code::ALL.iter().map(|code| (distance(name, code.as_str()), code.as_str())).min();
    let meant = match nearest {
        Some((far, code)) if far <= 4 => format!(": did you mean {code}?"),
        _ => String::new(),
    };
    let all: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    Err(format!("--explain: there is no reason of that code{meant} (the codes are {})", all.join(", ")))
}

/// docs/reasons.md.
#[must_use]
pub fn reasons_md() -> String {
    let mut out = String::from(
        "# Reasons\n\nWhy an attempt was not ready. `waitgate --explain CODE` prints the same. The code is in every line of the JSON log.\n\n\
         | code | what it says | what to look at | pause up to |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let row = format!("| `{code}` | {} | {} | {} |\n", code.summary(), advice(*code), short(cap(code.class())));
        out.push_str(&row);
    }
    out.push_str(
        "\n## Hints\n\nWhat a reason means here and what to look at, behind its colon. Each is given only where its evidence is at hand.\n\n\
         | evidence | hint |\n|---|---|\n",
    );
    for hint in Hint::ALL {
        let row = format!("| {} | {} |\n", hint.evidence(), words::hint(*hint));
        out.push_str(&row);
    }
    out
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn advice(code: Code) -> &'static str {
    match code {
        Code::LocalDescriptors => "Raise the limit on open files, or wait for fewer targets at once.",
        Code::LocalFile => {
            "Look whether the file is mounted (a Secret may come late), is a regular file of at most 64 KiB, and may be read by this user."
        }
        Code::LocalSocket => {
            "Look at the limits of this container: ephemeral ports, seccomp, memory. The reason names the system's own words."
        }
        Code::ResolveNoSuchName => {
            "Look at the spelling, and at the namespace: a Service in another one is name.namespace. A headless Service has no name in the DNS before one of its Pods is ready. Once the name exists, DNS servers may go on denying it for some seconds."
        }
        Code::ResolveNoAddresses => {
            "The name is there, with records of other types only. Look at what it should point to; a Service of type ExternalName may point to a name without addresses."
        }
        Code::ResolveTrouble => {
            "The DNS server is there and could not answer. Look at the DNS servers' own logs (CoreDNS)."
        }
        Code::ResolveTimeout => {
            "Look whether this Pod may reach the DNS server at all (NetworkPolicy: port 53, UDP and TCP), and whether that server is running."
        }
        Code::ResolveUnreachable => {
            "The nameservers of resolv.conf refuse, or there is no way to them. Look at the DNS Pods, at a NetworkPolicy that rejects (port 53, UDP and TCP), and at the Pod's dnsPolicy and dnsConfig."
        }
        Code::ConnectRefused => {
            "The address is right and nothing listens there: the server has not started yet, or listens on another port. For a Service: no ready Pod is behind it, or another port is meant (kubectl get endpointslices)."
        }
        Code::ConnectTimeout => {
            "Packets vanish. Look for a NetworkPolicy or a firewall, for an address of a Pod or node that is gone, and for a Service whose endpoints are not programmed yet."
        }
        Code::ConnectUnreachable => {
            "There is no route: look at the Pod's network, at IPv6 where the Pod has none, and at a host that is down."
        }
        Code::ConnectMissing => {
            "The socket's file is made by its server: look whether that has started, and whether the folder is mounted here too."
        }
        Code::ConnectDenied => "Look for a firewall rule on this machine, and at the rights on a unix socket.",
        Code::TlsTimeout => {
            "The server accepted the connection and does not finish the handshake: it is overloaded, or a front waits for its backend."
        }
        Code::TlsClosed => {
            "The server closed the connection during the handshake: it may expect another protocol, or a front has no backend yet."
        }
        Code::TlsNotTls => "The port does not speak TLS: use http: (or sslmode=disable), or the TLS port.",
        Code::TlsUnsupported => "Turn TLS on at the server, or allow a plain connection (sslmode=prefer).",
        Code::TlsUnknownIssuer => {
            "Give the CA that signed it with --ca-file; in a cluster that is nearly always a private one."
        }
        Code::TlsWrongName => {
            "Ask for a name that the certificate has (the reason lists them), or have it issued for this one."
        }
        Code::TlsExpired => "Renew the certificate; look at this node's clock if it should be valid.",
        Code::TlsNotYetValid => "Look at the clocks of this node and of the one that issued the certificate.",
        Code::TlsClientCertificate => "The server wants a client certificate that it trusts: give one, or another one.",
        Code::TlsFailed => {
            "Look at the server's log: its TLS versions and ciphers may not meet ours (TLS 1.2 and 1.3)."
        }
        Code::ProtocolTimeout => {
            "The port is open and its server says nothing: it is starting, overloaded or stopped, or speaks another protocol."
        }
        Code::ProtocolClosed => {
            "A front such as docker-proxy, a sidecar or a load balancer accepts and has nobody behind it yet; or the server turns us away."
        }
        Code::ProtocolNotHttp => "Another protocol is spoken on this port: use the kind for it, or tcp:.",
        Code::ProtocolNotPostgres => {
            "Another protocol is spoken on this port: look at the port, or use the kind for it."
        }
        Code::ProtocolTlsWanted => "The port speaks TLS: use https:.",
        Code::ProtocolTooLarge => "The answer is larger than a readiness answer has to be: ask for a smaller one.",
        Code::ProtocolNotAccepting => {
            "PostgreSQL is there and not ready: it starts up, recovers or shuts down. Its own words are in the reason; its log has more."
        }
        Code::ProtocolTooManyClients => {
            "All connection slots are taken: look who holds them (pg_stat_activity), raise max_connections, or put a pooler in front."
        }
        Code::ProtocolPooler => {
            "The pooler is there, its server is not, or it does not know the database: look at the pooler's log and configuration."
        }
        Code::ProtocolPassword => {
            "The server is there and refuses the password: look at the Secret, and at the user in the server; it may be made later."
        }
        Code::ProtocolNotAuthorized => {
            "The server is there and has no place for this user from here: look at pg_hba.conf, and at whether it wants TLS."
        }
        Code::ProtocolNoDatabase => {
            "The server is there, the database is not: look at its name, or wait until a migration or an operator makes it."
        }
        Code::ProtocolError => "The server answered with an error of its own, which the reason repeats.",
        Code::ExpectTimeout => {
            "The answer began and did not end in time: look at the server, or give a longer --attempt-timeout."
        }
        Code::ExpectStatus => {
            "The server is there and says that it is not ready; or the path, the credentials or the Host header are not the right ones."
        }
        Code::ExpectRedirect => {
            "The redirects go round in a circle, or to where they must not be followed: give the final URL, or list the status."
        }
        Code::ExpectBody => "The answer came with another content than expected: look at what the server says.",
        Code::ExpectRecords => "Some are there, not yet enough. A headless Service lists its ready Pods only.",
        Code::ExpectValue => "The name resolves, to something else than expected.",
        Code::ExpectQuorum => "Some addresses accept, not yet enough of them. The reason says which do not.",
        Code::ExpectBanner => "The server spoke, in other words than expected: look whether it is the right one.",
        Code::ExpectRole => {
            "The server is there in the other role: look at the failover, or at which Service points to the primary."
        }
        Code::ExpectQuery => {
            "The login works and the query's answer is not yet what it has to be: look whether the migration has run."
        }
        Code::ExpectGone => "It is still there.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name_and_explained() {
        for code in Code::ALL {
            assert_eq!(named(code.as_str()), Ok(*code));
            assert!(code.summary().ends_with('.') && advice(*code).ends_with('.'), "{code}");
        }
        assert!(named("conect.refused").unwrap_err().contains("did you mean connect.refused?"));
    }

    /// `UPDATE_DOCS=1 cargo test reasons_md` writes the file anew.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a developer's switch, not the program's")]
    fn reasons_md_is_what_explain_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, reasons_md()).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        for (is, was) in reasons_md().lines().zip(shipped.lines()) {
            assert_eq!(is, was, "UPDATE_DOCS=1 cargo test reasons_md writes it");
        }
        assert_eq!(reasons_md().len(), shipped.len());
    }
}
