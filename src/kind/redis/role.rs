//! What ROLE, INFO and CLUSTER INFO say of a server: its role, how far it has loaded, and its cluster. Pure.

use super::resp::Reply;

/// The role that a target expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Primary,
    Replica,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Primary,
    /// A replica, and the state of its link to the primary if that is not up.
    Replica {
        down: Option<String>,
    },
    Sentinel,
}

impl Role {
    /// From the reply to ROLE (redis: src/replication.c, roleCommand).
    pub(super) fn of_role(reply: &Reply) -> Option<Self> {
        let Reply::Array(items) = reply else { return None };
        match items.first()?.as_str() {
            "master" | "primary" => Some(Self::Primary),
            "sentinel" => Some(Self::Sentinel),
            // The address and the port of the primary, then the link: connect, connecting, handshake, sync, connected.
            "slave" | "replica" => {
                let link = items.get(3)?;
                Some(Self::Replica { down: (link != "connected").then(|| link.clone()) })
            }
            _ => None,
        }
    }

    /// From the section `replication` of INFO, for a user who may not ask for ROLE.
    pub(super) fn of_info(reply: &Reply) -> Option<Self> {
        let Reply::Bulk(info) = reply else { return None };
        match field(info, "role")? {
            "master" | "primary" => Some(Self::Primary),
            "sentinel" => Some(Self::Sentinel),
            "slave" | "replica" => {
                let link = field(info, "master_link_status").or_else(|| field(info, "primary_link_status"))?;
                Some(Self::Replica { down: (link != "up").then(|| link.to_owned()) })
            }
            _ => None,
        }
    }
}

/// The value of a line `name:value` of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// How far a server has loaded its dataset, from the section `persistence` of INFO (redis: src/server.c, genRedisInfoString).
pub(super) fn progress(reply: &Reply) -> Option<String> {
    let Reply::Bulk(info) = reply else { return None };
    let percent = field(info, "loading_loaded_perc")?.parse::<f64>().ok().filter(|it| (0.0..=100.0).contains(it))?;
    let left = field(info, "loading_eta_seconds").and_then(|text| text.parse::<u32>().ok());
    let left = left.map(|seconds| {
        let time = crate::text::duration(std::time::Duration::from_secs(seconds.into()));
        format!(", about {time} left")
    });
    Some(format!("{percent:.0}%{}", left.unwrap_or_default()))
}

/// Why a cluster does not serve, from CLUSTER INFO (redis: src/cluster.c, genClusterInfoString). `Ok` if it does.
pub(super) fn cluster(reply: &Reply) -> Option<Result<(), String>> {
    let Reply::Bulk(info) = reply else { return None };
    let state = field(info, "cluster_state")?;
    if state == "ok" {
        return Some(Ok(()));
    }
    let number = |name: &str| field(info, name).and_then(|text| text.parse::<u32>().ok());
    let slots = number("cluster_slots_assigned").map(|assigned| format!("{assigned} of 16384 slots are assigned"));
    let failing = number("cluster_slots_fail").filter(|count| *count > 0).map(|count| format!("{count} of them fail"));
    let details: Vec<String> = slots.into_iter().chain(failing).collect();
    let state: String = state.chars().take(20).collect();
    Some(Err(format!("cluster_state:{state}, {}", details.join(", ")).trim_end_matches(", ").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(items: &[&str]) -> Reply {
        Reply::Array(items.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn roles() {
        assert_eq!(Role::of_role(&array(&["master", "0", ""])), Some(Role::Primary));
        assert_eq!(Role::of_role(&array(&["sentinel", ""])), Some(Role::Sentinel));
        let replica = |link| Role::of_role(&array(&["slave", "10.0.0.1", "6379", link, "0"]));
        assert_eq!(replica("connected"), Some(Role::Replica { down: None }));
        assert_eq!(replica("connect"), Some(Role::Replica { down: Some("connect".into()) }));
        for odd in [array(&[]), array(&["slave"]), array(&["x"]), Reply::Bulk("master".into())] {
            assert_eq!(Role::of_role(&odd), None, "{odd:?}");
        }
        let info = |text: &str| Role::of_info(&Reply::Bulk(text.into()));
        assert_eq!(info("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"), Some(Role::Primary));
        assert_eq!(info("role:slave\r\nmaster_link_status:up\r\n"), Some(Role::Replica { down: None }));
        assert_eq!(
            info("role:slave\r\nmaster_link_status:down\r\n"),
            Some(Role::Replica { down: Some("down".into()) })
        );
        assert_eq!(info(""), None);
    }

    #[test]
    fn progress_is_shown_if_it_makes_sense() {
        let shown = |text: &str| progress(&Reply::Bulk(text.into()));
        let info = "loading:1\r\nloading_loaded_perc:41.57\r\nloading_eta_seconds:75\r\n";
        assert_eq!(shown(info), Some("42%, about 1m 15s left".into()));
        assert_eq!(shown("loading_loaded_perc:0.00\r\n"), Some("0%".into()));
        for odd in ["", "loading_loaded_perc:nan", "loading_loaded_perc:1e9", "loading_eta_seconds:3"] {
            assert_eq!(shown(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_cluster_says_why_it_does_not_serve() {
        let said = |text: &str| cluster(&Reply::Bulk(text.into()));
        assert_eq!(said("cluster_state:ok\r\n"), Some(Ok(())));
        assert_eq!(
            said("cluster_state:fail\r\ncluster_slots_assigned:0\r\ncluster_slots_fail:0\r\n"),
            Some(Err("cluster_state:fail, 0 of 16384 slots are assigned".into()))
        );
        assert_eq!(
            said("cluster_state:fail\r\ncluster_slots_assigned:16384\r\ncluster_slots_fail:5461\r\n"),
            Some(Err("cluster_state:fail, 16384 of 16384 slots are assigned, 5461 of them fail".into()))
        );
        assert_eq!(said("cluster_state:fail"), Some(Err("cluster_state:fail".into())));
        assert_eq!(said("x"), None);
    }
}
