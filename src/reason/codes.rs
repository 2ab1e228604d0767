//! The codes: one row for each way in which an attempt can fail.
//!
//! A row has the stage, the cost, the stable name, a summary, and what to look at. `--explain` and docs/reasons.md
//! print the rows. A code names what happened and never a kind, so that a new kind needs no new row.

use std::fmt;

/// How far an attempt came. The stages are in the order of an attempt, so a later stage is progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Before the network: a file, a descriptor, this machine.
    Local,
    /// Finding addresses for the name.
    Resolve,
    /// Connecting to one of them.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Talking the kind's protocol.
    Protocol,
    /// The answer came, and the target expects another one.
    Expect,
}

impl Stage {
    /// The stable name, for JSON and the codes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Expect => "expect",
        }
    }
}

/// What a failed attempt costs the other side. The longest pause depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// One SYN, which the node often answers itself, a look at a file, or an answer that costs a server next to nothing.
    Cheap,
    /// DNS queries, a handshake, a server's work.
    Work,
    /// A session that the server begins only to say that it takes none (PostgreSQL: a process). It has this answer ready, so
    /// the time that it needs for it tells how busy it is.
    Session,
    /// A failed login: the server logs it, and may lock the account.
    Credentials,
}

macro_rules! codes {
    ($($name:ident = $stage:ident $cost:ident $text:literal, $summary:literal, $advice:literal;)*) => {
        /// Every reason by its stable name, `stage.word`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $(#[doc = $summary] $name,)* }

        impl Code {
            /// Every code, in the order of the stages.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stage that failed.
            pub(crate) fn stage(self) -> Stage {
                match self { $(Self::$name => Stage::$stage,)* }
            }

            /// What such an attempt costs the other side, if the reason does not set another cost.
            pub(crate) fn cost(self) -> Cost {
                match self { $(Self::$name => Cost::$cost,)* }
            }

            /// The stable name, for logs, JSON and `--explain`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What happened, in a sentence.
            pub(crate) fn summary(self) -> &'static str {
                match self { $(Self::$name => $summary,)* }
            }

            /// What to look at.
            pub(crate) fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    LocalDescriptors = Local Work "local.descriptors",
        "No file descriptor is left for a socket or a file.",
        "Raise the limit on open files, or wait for fewer targets at once.";
    LocalFile = Local Cheap "local.file",
        "A file that the target names cannot be read or used.",
        "Check that the file is mounted (a Secret may come late), that it is a regular file, and that this user may read it. A file with a password, a header or data has at most 64 KiB, a PEM file at most 1 MiB.";
    LocalMissing = Local Cheap "local.missing",
        "There is nothing at the path of the file or the unix socket.",
        "Check that the program that makes the file has started, and that its folder is mounted here too.";
    LocalSocket = Local Work "local.socket",
        "This machine did not let waitgate make or use a socket.",
        "Check the limits of this container: ephemeral ports, seccomp, memory. The reason repeats the words of the operating system.";

    ResolveNoSuchName = Resolve Work "resolve.no-such-name",
        "The name does not exist under any of the names that were asked.",
        "Check the spelling and the namespace: a Service in another namespace is NAME.NAMESPACE. A headless Service has no name in the DNS before one of its Pods is ready. After the name is created, DNS caches may still deny it for some seconds.";
    ResolveNoAddresses = Resolve Work "resolve.no-addresses",
        "The name exists and has no address, or no record of the type that was asked for.",
        "The name has records of other types only. Check what it should point to: a Service of type ExternalName may point to a name without addresses.";
    ResolveTrouble = Resolve Work "resolve.trouble",
        "The DNS did not give a usable answer: SERVFAIL, REFUSED, garbage.",
        "The DNS server is there and could not answer. Look at the logs of the DNS servers (CoreDNS).";
    ResolveTimeout = Resolve Work "resolve.timeout",
        "No nameserver answered in time.",
        "Check whether this Pod may reach the DNS server at all (NetworkPolicy: port 53, UDP and TCP), and whether that server runs.";
    ResolveUnreachable = Resolve Work "resolve.unreachable",
        "No nameserver could be reached.",
        "The nameservers in resolv.conf refuse, or there is no route to them. Check the DNS Pods, a NetworkPolicy that rejects (port 53, UDP and TCP), and the Pod's dnsPolicy and dnsConfig.";

    ConnectRefused = Connect Cheap "connect.refused",
        "Every address refused the connection.",
        "The address is right and nothing listens there: the server has not started yet, or it listens on another port. For a Service: it has no ready Pod, or another port is meant (kubectl get endpointslices).";
    ConnectTimeout = Connect Work "connect.timeout",
        "Nothing came back to the connection attempt.",
        "Packets are dropped. Look for a NetworkPolicy or a firewall, for an address of a Pod or node that is gone, and for a Service whose endpoints are not programmed yet.";
    ConnectUnreachable = Connect Work "connect.unreachable",
        "There is no route, or the host did not answer on its link.",
        "Check the Pod's network, whether the target has only IPv6 and the Pod has no IPv6, and whether the host is down.";
    ConnectDenied = Connect Work "connect.denied",
        "A rule on this machine forbids the connection.",
        "Look for a firewall rule on this machine, and at the permissions of a unix socket.";

    TlsTimeout = Tls Work "tls.timeout",
        "The TLS handshake did not end in time.",
        "The server accepted the connection and does not finish the handshake: it is overloaded, or a proxy waits for its backend.";
    TlsClosed = Tls Work "tls.closed",
        "The connection ended during the TLS handshake.",
        "The server closed the connection during the handshake: it may expect another protocol, or a proxy has no backend yet.";
    TlsNotTls = Tls Work "tls.not-tls",
        "The server does not speak TLS.",
        "This port does not speak TLS: use the plain form of the kind (http:, or sslmode=disable), or the TLS port.";
    TlsUnsupported = Tls Work "tls.unsupported",
        "The server says that it does not support TLS.",
        "Turn TLS on at the server, or allow a plain connection (postgres: sslmode=prefer, mysql: ssl-mode=PREFERRED).";
    TlsUnknownIssuer = Tls Work "tls.unknown-issuer",
        "The certificate's issuer is not trusted.",
        "Give the CA that signed it with --ca-file. In a cluster it is nearly always a private one.";
    TlsWrongName = Tls Work "tls.wrong-name",
        "The certificate is for another name.",
        "Use a name that the certificate has (the reason lists them), or issue the certificate for this name.";
    TlsExpired = Tls Work "tls.expired",
        "The certificate has expired.",
        "Renew the certificate. If it should be valid, check the clock of this node.";
    TlsNotYetValid = Tls Work "tls.not-yet-valid",
        "The certificate is not valid yet.",
        "Check the clocks of this node and of the machine that issued the certificate.";
    TlsClientCertificate = Tls Credentials "tls.client-certificate",
        "The server wants a client certificate, or another one.",
        "Give a client certificate that the server trusts.";
    TlsFailed = Tls Work "tls.failed",
        "The handshake failed in another way.",
        "Look at the server's log: its TLS versions and ciphers may not match those of waitgate (TLS 1.2 and 1.3).";

    ProtocolTimeout = Protocol Work "protocol.timeout",
        "The connection was accepted, and no complete answer came.",
        "The port is open and its server is silent: it is starting, overloaded or stopped, or it speaks another protocol. If it is only slow, give a longer --attempt-timeout.";
    ProtocolClosed = Protocol Work "protocol.closed",
        "The connection was accepted and then closed.",
        "A proxy (docker-proxy, a sidecar, a load balancer) accepts and has no backend yet, or the server rejects this client, or it speaks another protocol than the target's kind.";
    ProtocolOther = Protocol Work "protocol.other",
        "The server answered in another protocol than the target's kind.",
        "The reason says which protocol it looks like. Check the port, or use the kind for that protocol.";
    ProtocolTlsWanted = Protocol Work "protocol.tls-wanted",
        "The server wants TLS, and waitgate spoke plain text.",
        "This port speaks TLS: use the TLS form of the kind, such as https:, or allow TLS (mysql: ssl-mode=REQUIRED, mongodb: tls=true).";
    ProtocolTooLarge = Protocol Work "protocol.too-large",
        "The answer is larger than waitgate reads.",
        "A readiness answer does not have to be this large: ask for a smaller one.";
    ProtocolNotAccepting = Protocol Session "protocol.not-accepting",
        "The server is there and does not accept sessions: it starts, recovers or shuts down.",
        "The reason repeats the server's own words. The server's log has more.";
    ProtocolTooManyClients = Protocol Session "protocol.too-many-clients",
        "The server has no connection left for this client.",
        "All connections of the server are in use: find out which clients hold them, raise the limit, or use a pooler.";
    ProtocolBlocked = Protocol Work "protocol.blocked",
        "The server blocks this client's address, or the user's account, after failures.",
        "Find out who failed so often: a probe or a scanner that hangs up, a client with an old password. Then lift the block (MySQL: mysqladmin flush-hosts, ALTER USER … ACCOUNT UNLOCK).";
    ProtocolPooler = Protocol Work "protocol.pooler",
        "A pooler answered, and its server did not.",
        "The pooler is there, and its server is not, or it refuses the pooler's own login. Look at the pooler's log, and at the server that its configuration names.";
    ProtocolPassword = Protocol Credentials "protocol.password",
        "The server refused the password, or asks for one that the target does not give.",
        "Check the Secret, and the user in the server. The user may be created later.";
    ProtocolNotAuthorized = Protocol Credentials "protocol.not-authorized",
        "The server does not allow this login: the user, the host or the database is not permitted.",
        "Check the server's access rules for this user, host and database (PostgreSQL: pg_hba.conf; MySQL: the host of the user), whether it wants TLS, and whether the user has the privilege to connect (GRANT CONNECT).";
    ProtocolForbidden = Protocol Credentials "protocol.forbidden",
        "The server knows this client and does not permit what the target asks for.",
        "Give the client the permission. For the Kubernetes API the reason has the rule that a Role (or a ClusterRole) lacks; a RoleBinding gives it to the Pod's ServiceAccount.";
    ProtocolAuthMethod = Protocol Work "protocol.auth-method",
        "The server asks for a way to log in that the target forbids or that waitgate does not have.",
        "The reason names the way. Change what the server asks for (PostgreSQL: the method in pg_hba.conf), or what the target allows (require_auth=; TLS). No password goes out in a readable form after a TLS handshake that failed: repair the TLS.";
    ProtocolNoDatabase = Protocol Work "protocol.no-database",
        "The server does not have the database or the virtual host.",
        "Check its name. A migration or an operator may create it later.";
    ProtocolError = Protocol Work "protocol.error",
        "The server answered with an error of its own.",
        "The reason repeats the server's words. The server's log has more.";

    ExpectTimeout = Expect Work "expect.timeout",
        "The answer did not end in time.",
        "The answer began and did not end in time: look at the server, or give a longer --attempt-timeout.";
    ExpectStatus = Expect Work "expect.status",
        "The HTTP status is not one of the expected ones.",
        "The server is there and says that it is not ready, or the path, the credentials or the Host header are wrong.";
    ExpectRedirect = Expect Work "expect.redirect",
        "A redirect cannot be followed.",
        "The redirects form a loop, or lead to a place that must not be followed: give the final URL, or list the status.";
    ExpectHeader = Expect Work "expect.header",
        "The answer lacks a header, or has another value in it.",
        "The server is there and its answer does not have the header that the target expects: another server, or a proxy, may answer.";
    ExpectBody = Expect Work "expect.body",
        "The content is not the expected one: a text, a match or a JSON value.",
        "The answer or the file has other content than the target expects: look at what the server says.";
    ExpectFile = Expect Cheap "expect.file",
        "The file is there, and its type or size is not the expected one.",
        "The program that writes the file may not be finished.";
    ExpectRecords = Expect Work "expect.records",
        "There are fewer records or addresses than expected.",
        "Some are there, but not enough yet. A headless Service lists its ready Pods only.";
    ExpectValue = Expect Work "expect.value",
        "The expected record or address is not one of those found.",
        "The name resolves to something else than expected.";
    ExpectQuorum = Expect Cheap "expect.quorum",
        "Fewer addresses accept than expected.",
        "Some addresses accept, but not enough yet. The reason says which do not.";
    ExpectBanner = Expect Work "expect.banner",
        "The banner is not the expected one.",
        "The server sent another text than expected: check whether it is the right server.";
    ExpectCertificate = Expect Work "expect.certificate",
        "The server's certificate is valid for less time than expected.",
        "The target asks for more with valid-for=: renew the certificate, or look at what should renew it (cert-manager, ACME).";
    ExpectRole = Expect Work "expect.role",
        "The server has another role than expected: a standby instead of a primary, or a primary instead of a standby.",
        "Look at the failover, and at which Service points to the primary.";
    ExpectState = Expect Work "expect.state",
        "The server answers, and it or its cluster is not in the expected state.",
        "The reason says which state it is. Look at the other members of the cluster, whether it was set up, and at its alarms (memory, disk).";
    ExpectQuery = Expect Work "expect.query",
        "The query's answer is not the expected one.",
        "The login works, and the answer is not what the target expects: check whether the migration has run.";
    ExpectMissing = Expect Work "expect.missing",
        "The server answers, and what the target names is not there.",
        "Check the name and the namespace. It may be made later: waitgate keeps looking.";
    ExpectGone = Expect Work "expect.gone",
        "The target is still there, and it is expected to be gone.",
        "Find out what keeps it there.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_begins_with_its_stage_and_is_unique() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(code.as_str().starts_with(&format!("{}.", code.stage().as_str())), "{code}");
            assert!(Code::ALL[i + 1..].iter().all(|other| other.as_str() != code.as_str()), "{code}");
            assert!(code.summary().ends_with('.') && code.advice().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn stages_are_in_the_order_of_an_attempt() {
        assert!(Stage::Local < Stage::Resolve && Stage::Resolve < Stage::Connect);
        assert!(Stage::Connect < Stage::Tls && Stage::Tls < Stage::Protocol && Stage::Protocol < Stage::Expect);
    }
}
