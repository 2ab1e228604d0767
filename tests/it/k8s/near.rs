//! The nearest name: when it is asked for, what it costs the API server, and what the log says.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    kube::{Answer, End, Kube, TOKEN, event, list, recorded},
    run::{Ended, Running},
};

/// The list of the names has no selector.
fn is_question(path: &str) -> bool {
    path.ends_with("?limit=500")
}

fn questions(kube: &Kube) -> usize {
    kube.requests().iter().filter(|path| is_question(path)).count()
}

fn job(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// An object that stays missing, and watches that stay quiet. `answer` is for the question.
fn missing(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Kube {
    Kube::new(move |path, _| match path {
        path if path.contains("watch=1") => Answer::Watch(vec![], End::Open),
        path if is_question(path) => answer(),
        _ => list(&[]),
    })
}

fn jobs() -> Answer {
    list(&[job("api"), job("migrate"), job("migrate-old")])
}

/// Longer than it takes until the question has come.
const LONG: &str = "18s";

fn start(kube: &Kube, args: &[&str]) -> Running {
    kube.run(&[&["-t", LONG], args].concat()).start()
}

fn patient(kube: &Kube, args: &[&str]) -> Running {
    kube.run(&[&["-t", "60s"], args].concat()).start()
}

/// Ends a run that has told the near name.
fn asked(run: Running) -> Ended {
    run.line("did you mean");
    run.signal(Signal::TERM);
    run.end()
}

#[test]
fn the_nearest_name_is_asked_for_once_while_the_watch_goes_on() {
    // The object comes after the question, and the same watch tells it.
    let job_kube = Kube::new(|path, _| match path {
        path if path.contains("watch=1") => {
            let complete = &recorded("job-complete")["body"];
            Answer::Watch(vec![(Duration::from_secs(16), event("ADDED", complete))], End::Open)
        }
        path if is_question(path) => jobs(),
        _ => list(&[]),
    });
    let service_kube = missing(|| {
        let slice = |service: &str| json!({"metadata": {"name": format!("{service}-x2x2p"), "labels": {"kubernetes.io/service-name": service}}});
        list(&[slice("cache"), slice("redis"), json!({"metadata": {"name": "redsi-by-hand"}})])
    });
    // Each attempt is cut off, so there are many watches, and one question.
    let short_kube = missing(jobs);
    let polling_kube = Kube::new(|path, _| match path {
        path if path.contains("watch=1") => Answer::Recorded("job-watch-403"),
        path if is_question(path) => jobs(),
        _ => list(&[]),
    });
    // A name may hold what waitgate has sent.
    let hostile_kube = missing(|| list(&[job("web"), job(&format!("migrte-{TOKEN}"))]));
    let job_run = job_kube.run(&["-t", "40s", "k8s:job/migrte"]).start();
    let service_run = patient(&service_kube, &["k8s:svc/redsi"]);
    let short_run = patient(&short_kube, &["--attempt-timeout=2s", "k8s:job/migrte"]);
    let polling_run = patient(&polling_kube, &["k8s:job/migrte"]);
    let hostile_run = patient(&hostile_kube, &["-v", "k8s:job/migrte"]);

    let ended = job_run.end();
    let words = "there is no job migrte in the namespace demo (yet); did you mean migrate, which is there?";
    ended.success().stderr_has(words);
    assert_eq!(job_kube.counts(), (2, 1), "{:?}", job_kube.requests());
    assert_eq!(job_kube.requests()[2], "/apis/batch/v1/namespaces/demo/jobs?limit=500");
    assert_eq!(
        job_kube.headers("Accept: "),
        [
            "application/json",
            "application/json",
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
        ]
    );
    let arrivals = job_kube.arrivals();
    assert!(arrivals[2].1 - arrivals[0].1 >= Duration::from_secs(9), "{arrivals:?}");

    let ended = asked(service_run);
    ended.stderr_has("no such Service (yet), or it has no selector; did you mean redis, which is there?");
    assert_eq!(service_kube.counts(), (2, 1), "{:?}", service_kube.requests());

    asked(short_run).stderr_has(words).nowhere("timeout]");
    assert_eq!((short_kube.counts().0, questions(&short_kube)), (2, 1), "{:?}", short_kube.requests());

    asked(polling_run).stderr_has(words);
    assert_eq!(questions(&polling_kube), 1, "{:?}", polling_kube.requests());

    asked(hostile_run).stderr_has("did you mean migrte-***, which is there?").nowhere("s3cr3t");
}

#[test]
fn a_question_that_fails_is_silent_and_never_comes_again() {
    let answers: [fn() -> Answer; 5] = [
        || Answer::Recorded("job-list-403"),
        || Answer::Recorded("unauthorized-401"),
        || Answer::Nothing,
        || Answer::Body(200, vec![], "{\"items\":[{".into()),
        // No name is near.
        || list(&[job("api"), job("cache")]),
    ];
    let kubes = answers.map(missing);
    let runs: Vec<Running> = kubes.iter().map(|kube| start(kube, &["-v", "k8s:job/migrte"])).collect();
    for (run, kube) in runs.into_iter().zip(&kubes) {
        let ended = run.end();
        ended.failure().nowhere("403").nowhere("401").nowhere("did you mean").nowhere("protocol.");
        ended.stderr_has("there is no job migrte in the namespace demo (yet)");
        assert_eq!((kube.counts(), questions(kube)), ((2, 1), 1), "{:?}", kube.requests());
    }
}

#[test]
fn no_question_where_it_makes_no_sense() {
    let coming = Kube::new(|path, _| match path {
        path if path.contains("watch=1") => {
            let running = &recorded("job-running")["body"];
            Answer::Watch(vec![(Duration::from_secs(4), event("ADDED", running))], End::Open)
        }
        _ => list(&[]),
    });
    let there = Kube::new(|path, _| match path {
        path if path.contains("watch=1") => Answer::Watch(vec![], End::Open),
        _ => list(&[recorded("job-running")["body"].clone()]),
    });
    let (selected, counted) = (missing(jobs), missing(jobs));
    // Who gets the one object and may not list it may not list the others.
    let getting =
        Kube::new(|path, _| Answer::Recorded(if path.contains('?') { "job-list-403" } else { "job-missing-404" }));
    let cases = [
        (&coming, "k8s:job/broken"),
        (&there, "k8s:job/migrate#gone"),
        (&selected, "k8s:job#selector=app=web"),
        (&counted, "k8s:job#selector=app=web#min=2"),
        (&getting, "k8s:job/migrte"),
    ];
    let runs: Vec<Running> = cases.iter().map(|(kube, target)| start(kube, &[target])).collect();
    for (run, (kube, target)) in runs.into_iter().zip(cases) {
        run.end().failure().nowhere("did you mean");
        assert_eq!(questions(kube), 0, "{target}: {:?}", kube.requests());
    }
    for kube in [&coming, &there, &selected, &counted] {
        assert_eq!(kube.counts(), (1, 1), "{:?}", kube.requests());
    }
}
