//! `gone`: ready once the server is no longer there. A doubt is not an absence.

use std::time::Duration;

use crate::support::{Fake, Run, fake::linger, free_port};

fn within(seconds: f64) -> std::ops::Range<Duration> {
    Duration::ZERO..Duration::from_secs_f64(seconds)
}

/// Three refusals in a row, unless `successes=` says otherwise.
#[test]
fn a_closed_port_is_gone() {
    let addr = free_port();
    let ended = Run::new(["--max-pause=100ms", &format!("tcp:{addr}#gone")]).end();
    ended.success().took(Duration::from_millis(150)..Duration::from_secs(5));
    Run::new(["--once", &format!("tcp:{addr}#gone#successes=1")]).end().success();
}

#[test]
fn a_server_that_goes() {
    let fake = Fake::new(linger);
    let running = Run::new(["--max-pause=100ms", &format!("tcp:{}#gone", fake.addr)]).start();
    running.line(&fake.addr.to_string());
    drop(fake);
    running.end().success();
}

#[test]
fn an_answer_of_any_sort_is_not_gone() {
    for fake in [Fake::silent(), Fake::closing()] {
        let ended = Run::new(["-t", "400ms", "--max-pause=50ms", &format!("tcp:{}#gone", fake.addr)]).end();
        ended.failure().stderr_has(&fake.addr.to_string());
    }
}

#[test]
fn not_together_with_other_conditions() {
    for target in ["tcp:h:1#gone#hold=1s", "tcp:h:1#gone#banner=x", "tcp:h:1#gone#gone", "tcp:h:1#gone=1"] {
        Run::new([target]).end().failure().stderr_has("gone").took(within(1.0));
    }
}

#[cfg(feature = "http")]
mod http {
    use super::*;
    use crate::support::web::Web;

    #[test]
    fn any_status_is_an_answer() {
        for status in [200, 404, 503] {
            let web = Web::always(status);
            let target = web.url("/#gone");
            Run::new(["-t", "300ms", "--max-pause=50ms", &target]).end().failure();
            drop(web);
            Run::new(["--max-pause=50ms", &target]).end().success();
        }
    }
}
