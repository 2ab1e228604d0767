//! The API server of Kubernetes.

use super::*;
use crate::support::kube::{Answer, Kube, TOKEN, list_of};

/// A run in a Pod whose API server is at this address.
fn in_pod(pod: &Pod, address: &str) -> Run {
    let run = run("k8s:job/migrate").env("KUBERNETES_SERVICE_HOST", address).env("KUBERNETES_SERVICE_PORT", "443");
    run.inside(pod)
}

/// Runs with the options of the others, by KUBECONFIG.
fn outside(kube: &Kube) -> Run {
    let options = ["--once", "--log-format=json", "--attempt-timeout=2s", "--connect-timeout=300ms"];
    kube.run(&[&options[..], &["k8s:job/migrate"]].concat())
}

pub(crate) fn api_server(it: &Witness) {
    let pod = pod(POD);
    let authority = Authority::new();
    pod.service_account(TOKEN, &std::fs::read_to_string(authority.file()).unwrap());
    pod.sh("ip route add 10.96.0.0/16 dev lo; nft add table ip t; nft 'add chain ip t o { type filter hook output priority 0; }'
        nft add rule ip t o ip daddr 10.96.0.1 drop");
    it.given(in_pod(&pod, "10.96.0.1"));
    it.given(in_pod(&pod, "10.250.0.1"));
    // It refuses: the API server is starting, and nothing is dropped.
    it.instead("NoReadyPod", in_pod(&pod, "10.0.0.1"));
}

pub(crate) fn api_ca(it: &Witness) {
    let (own, other) = (Authority::new(), Authority::new());
    let kube = Kube::with(&own, Some(&other), |_, _| list_of(&[]));
    it.given(outside(&kube));
    // Another server with such a certificate has the general hint.
    let web =
        Web::on((crate::support::loopback(), 0).into(), Some(own.server(&["127.0.0.1"])), |_, _| Reply::status(200));
    it.instead("CaFile", run(&web.https("/")));
}

pub(crate) fn api_token(it: &Witness) {
    it.given(outside(&Kube::new(|_, _| Answer::Recorded("unauthorized-401"))));
    it.instead(None, outside(&Kube::new(|_, _| Answer::Recorded("job-list-403"))));
}
