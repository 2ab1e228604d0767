//! waitgate: hold a gate shut until what stands behind it is ready.

use std::process::ExitCode;

use waitgate::plan::Verbosity;
use waitgate::report::{Form, lines::Lines, text::Text};

fn main() -> ExitCode {
    // A panic is a defect of ours, and still "anything else": status 1, not the abort's 134.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let plain = Form::Text(Text::new(tokio::time::Instant::now(), false));
        let lines = Lines::new(Verbosity::Quiet, plain);
        lines.print(&format!("waitgate: internal error at {place}: please report it"));
        #[expect(clippy::disallowed_methods, reason = "main ends the process, here too")]
        std::process::exit(1);
    }));
    ExitCode::from(&waitgate::app::run(std::env::args_os(), std::env::vars_os()))
}
