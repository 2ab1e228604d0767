//! waitgate: wait until every target is ready.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a defect of waitgate. The exit status is still 1, not the 134 of an abort.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        waitgate::panicked(&place, std::env::args_os(), std::env::vars_os());
        #[expect(clippy::disallowed_methods, reason = "main ends the process, here too")]
        std::process::exit(1);
    }));
    waitgate::run(std::env::args_os(), std::env::vars_os())
}
