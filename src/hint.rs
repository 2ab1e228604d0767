//! What a reason means here: which hints there are, and what has to be at hand for each. The words are in `report/words.rs`.

macro_rules! hints {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// What it means here and what to look at; set only where the evidence for it is at hand.
        ///
        /// The words are in `report/words.rs`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Hint { $($(#[doc = $doc])+ $name,)* }

        impl Hint {
            /// Every hint.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What has to be at hand for it, in a sentence.
            #[must_use]
            pub fn evidence(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

hints! {
    /// Refused by the one address of its family that a Service's name has, in a Pod with the cluster's search domains.
    NoReadyPod,
    /// Refused by all of several addresses of a Service's name (a headless one lists its Pods), or by a Pod's own name.
    PodsRefuse,
    /// Refused by loopback, or by this machine's own address.
    NothingListens,
    /// Refused by loopback, or by this Pod's own address, in a Pod without hostNetwork.
    InThisPod,
    /// Refused by a Service, while the nameserver, which has just answered over UDP, refuses a connection.
    Mesh,
    /// Nothing came back to the connection attempts.
    Dropped,
    /// Nothing came back from loopback, or from this Pod's own address.
    Overloaded,
    /// Accepted, and closed before anything was said.
    FrontClosed,
    /// 502 or 504, or a 503 that Envoy did not get from a server behind it.
    Gateway,
    /// Refused by all the nameservers, in a Pod with the cluster's search domains.
    NoDns,
    /// Nothing came back from the nameservers, in a Pod with the cluster's search domains.
    DnsDropped,
    /// No such name, where a name without a dot, or a Service's, was looked for in a Pod without the cluster's search domains.
    NodeDns,
    /// No such name, where a name without a dot was looked for in a Pod with the cluster's search domains.
    OtherNamespace,
    /// Refused or silent, where a name without a dot was found outside of the cluster's zones, and denied within.
    OutsideCluster,
    /// Not found, or too few, under the name of this Pod or of its Service, as the hosts file has them.
    OwnService,
    /// Not found under the name of another Pod of this Pod's Service, as the hosts file has that.
    OwnPeer,
    /// What answered is known not to be HTTP.
    UseTcp,
    /// What answered in plain text wants TLS.
    UseHttps,
    /// What answered is HTTP in plain text.
    UseHttp,
    /// What answered is PostgreSQL.
    UsePostgres,
    /// The server is there and refuses the credentials, or wants some (401, 407, 28P01).
    Credentials,
    /// 403.
    Forbidden,
    /// The server is there and has no place for this login (28000).
    PgHba,
    /// The server is there and does not have the database.
    Database,
    /// The certificate's issuer is not among the roots.
    CaFile,
    /// The system has no descriptor, port or thread left.
    Limits,
}
