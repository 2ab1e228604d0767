//! The endpoints of one EndpointSlice (kubernetes: staging/src/k8s.io/api/discovery/v1/types.go). Pure.

use super::objects::Node;

/// The endpoints, each by its Pod: a Pod with two families is in two slices and counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) ready: Vec<String>,
    pub(super) not_ready: Vec<String>,
}

impl Endpoints {
    pub(super) fn of(slice: &Node) -> Self {
        let mut endpoints = Self::default();
        for endpoint in slice.get("endpoints").items() {
            let pod = endpoint.at(&["targetRef", "name"]).text();
            let address = endpoint.get("addresses").items().first().map(Node::text).unwrap_or_default();
            let key = if pod.is_empty() { address } else { pod }.to_owned();
            let list =
                if is_ready(endpoint.get("conditions")) { &mut endpoints.ready } else { &mut endpoints.not_ready };
            list.push(key);
        }
        endpoints
    }
}

/// An unknown `ready` means true, an unknown `serving` is as `ready`, an unknown `terminating` means false.
///
/// `ready` alone is not enough: with publishNotReadyAddresses it is always true. `serving` is what the Pod's probe says.
fn is_ready(conditions: &Node) -> bool {
    let says = |name: &str, value: bool| *conditions.get(name) == Node::Bool(value);
    !says("ready", false) && !says("serving", false) && !says("terminating", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_ready_as_the_api_means_it() {
        let slice = br#"{"endpoints":[{"addresses":["10.0.0.1"],"conditions":{}},
            {"addresses":["10.0.0.2"],"conditions":{"ready":true,"serving":false},"targetRef":{"name":"a"}},
            {"addresses":["10.0.0.3"],"conditions":{"ready":true,"serving":true,"terminating":true}},
            {"addresses":["10.0.0.4"],"conditions":{"ready":true,"serving":true,"terminating":false},"targetRef":{"name":"b"}}]}"#;
        let endpoints = Endpoints::of(&Node::of_object(slice).unwrap());
        assert_eq!(endpoints.ready, ["10.0.0.1", "b"]);
        assert_eq!(endpoints.not_ready, ["a", "10.0.0.3"]);
        let none = Endpoints::of(&Node::of_object(br#"{"endpoints":null}"#).unwrap());
        assert_eq!(none, Endpoints::default());
    }
}
