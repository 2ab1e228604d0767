//! Which role a server must have: `target_session_attrs`, the JDBC driver's `targetServerType`, and `#role=`. Pure.

use anyhow::Result;

use super::params::Params;

/// libpq's `target_session_attrs`, and `#role=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Any server (`any`, `prefer-standby`).
    Any,
    /// A server that takes writes.
    ReadWrite,
    /// A server that takes no writes.
    ReadOnly,
    /// A server that is not in recovery.
    Primary,
    /// A server in hot standby.
    Standby,
}

/// What the URL asks for.
pub(super) fn choose(params: &Params<'_>) -> Result<Session> {
    let libpq = [
        ("any", Session::Any),
        ("read-write", Session::ReadWrite),
        ("read-only", Session::ReadOnly),
        ("primary", Session::Primary),
        ("standby", Session::Standby),
        ("prefer-standby", Session::Any),
    ];
    // The driver asks the server whether it takes writes (pgjdbc: ConnectionFactoryImpl.isPrimary).
    let jdbc = [
        ("any", Session::Any),
        ("primary", Session::ReadWrite),
        ("master", Session::ReadWrite),
        ("secondary", Session::ReadOnly),
        ("slave", Session::ReadOnly),
        ("preferPrimary", Session::Any),
        ("preferSecondary", Session::Any),
        ("preferSlave", Session::Any),
    ];
    let jdbc = params.choice("targetServerType", &jdbc, Session::Any)?;
    params.choice("target_session_attrs", &libpq, jdbc)
}
