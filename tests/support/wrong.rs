//! Wrong input, in rows: what each has to say, and what it must not repeat.

use std::{ffi::OsString, time::Duration};

use super::{Run, run::Ended};

/// What a wrong line must say, each of these words, and what it must not repeat.
#[derive(Default)]
pub(crate) struct Wrong<'a> {
    pub(crate) args: &'a [&'a str],
    pub(crate) env: &'a [(&'a str, &'a str)],
    pub(crate) says: &'a [&'a str],
    pub(crate) hides: &'a [&'a str],
}

impl Wrong<'_> {
    pub(crate) fn run(&self) -> Run {
        self.env.iter().fold(Run::new(self.args), |run, (name, value)| run.env(name, value))
    }

    /// Is refused in time, with these words and without those.
    #[track_caller]
    pub(crate) fn check(&self) {
        let ended = in_time(|| self.run());
        for says in self.says {
            ended.stderr_says(says);
        }
        for hidden in self.hides {
            ended.nowhere(hidden);
        }
    }
}

/// Exits 1 within 100 ms. A machine that builds six other things at the same time may take longer
/// over one start, not over five.
#[track_caller]
pub(crate) fn in_time(run: impl Fn() -> Run) -> Ended {
    let mut ended = run().end();
    for _ in 0..4 {
        ended.failure().silent_stdout();
        if ended.elapsed < Duration::from_millis(100) {
            break;
        }
        ended = run().end();
    }
    ended.took(Duration::ZERO..Duration::from_millis(100));
    ended.expect("a message", !ended.stderr.trim().is_empty());
    ended
}

/// A row without an environment.
pub(crate) fn wrong<'a>(args: &'a [&'a str], says: &'a [&'a str]) -> Wrong<'a> {
    Wrong { args, says, ..Wrong::default() }
}

impl<'a> Wrong<'a> {
    pub(crate) fn env(self, env: &'a [(&'a str, &'a str)]) -> Self {
        Self { env, ..self }
    }

    pub(crate) fn hides(self, hides: &'a [&'a str]) -> Self {
        Self { hides, ..self }
    }
}

/// A test of each row: `wrong_input! { |wrong| wrong.check() }` says what is done with it.
macro_rules! wrong_input {
    (|$wrong:ident| $check:expr) => {
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            empty_list: wrong(&[], &["target"]);
            only_options: wrong(&["--timeout=5s"], &["target"]);

            no_kind: wrong(&["cache:6379"], &["tcp"]).hides(&["6379"]);
            bare_name: wrong(&["redis"], &["tcp"]);
            second_target_is_named_by_position: wrong(&["tcp:h:1", "hunter2:x"], &["2"]).hides(&["hunter2"]);
            empty_target: wrong(&[""], &["target"]);

            tcp_without_port: wrong(&["tcp:db"], &["tcp:HOST:PORT"]);
            tcp_port_empty: wrong(&["tcp:db:"], &["tcp:HOST:PORT"]);
            tcp_port_is_a_word: wrong(&["tcp:db:http"], &["port"]);
            tcp_port_zero: wrong(&["tcp:db:0"], &["65535"]);
            tcp_port_too_big: wrong(&["tcp:db:65536"], &["65535"]);
            tcp_without_host: wrong(&["tcp::80"], &["tcp:HOST:PORT"]);
            tcp_v6_without_brackets: wrong(&["tcp:::1:80"], &["["]);
            blank_in_target: wrong(&["tcp:db: 80"], &["tcp:HOST:PORT"]);
            two_targets_in_one_argument: wrong(&["tcp:db:80 tcp:api:80"], &["blank"]);
            short_v4: wrong(&["tcp:127.1:80"], &["127.0.0.1"]);
            hex_v4: wrong(&["tcp:0x7f.1:80"], &["127.0.0.1"]);
            octal_v4: wrong(&["tcp:010.0.0.1:80"], &["8.0.0.1"]);
            non_ascii_name: wrong(&["tcp:bücher:80"], &["xn--"]);

            unset_name: wrong(&["tcp:$(DB_HOST):80"], &["DB_HOST"]);
            empty_name: wrong(&["tcp:$(DB_HOST):80"], &["DB_HOST"]).env(&[("DB_HOST", "")]);
            unset_name_in_option: wrong(&["--timeout=$(WAIT)", "tcp:h:1"], &["WAIT"]);
            shell_variable_in_host: wrong(&["tcp:${HOST}:80"], &["$(", "shell"]).env(&[("HOST", "db")]);
            bare_shell_variable: wrong(&["tcp:$HOST:80"], &["$("]).env(&[("HOST", "db")]);
            shell_variable_in_port: wrong(&["tcp:db:$PORT"], &["$("]).env(&[("PORT", "80")]);
            /// What the kubelet puts into `REDIS_PORT` for a Service called redis.
            service_link_as_port: wrong(&["tcp:redis:$(REDIS_PORT)"], &["tcp:HOST:PORT", "_SERVICE_PORT"]).env(&[("REDIS_PORT", "tcp://10.0.0.1:6379")]);
            host_from_a_name_obeys_its_syntax: wrong(&["tcp:$(H):80"], &["tcp:HOST:PORT", "letters"]).env(&[("H", "a b")]);
            #[cfg(feature = "http")]
            http_host_with_a_port: wrong(&["http://$(HP)/"], &["$(HP): found a port", "its own variable", "http://HOST"])
                .env(&[("HP", "db:5432")]);
            #[cfg(feature = "postgres")]
            postgres_host_with_a_port: wrong(&["postgres://$(HP)/d"], &["found a port in the host", "its own variable"])
                .env(&[("HP", "db:5432")]);
            #[cfg(feature = "dns")]
            dns_server_with_a_port: wrong(&["dns://$(HP)/d"], &["$(HP): found a port", "its own variable"])
                .env(&[("HP", "1.2.3.4:53")]);
            env_target_unset: wrong(&["env:DATABASE_URL"], &["DATABASE_URL"]);
            env_target_empty: wrong(&["env:DATABASE_URL"], &["DATABASE_URL"]).env(&[("DATABASE_URL", "")]);
            env_target_without_name: wrong(&["env:"], &["env:NAME"]);
            env_target_of_unknown_kind: wrong(&["env:DATABASE_URL"], &["DATABASE_URL"])
                .env(&[("DATABASE_URL", "oracle://app:hunter2@db/app")]).hides(&["hunter2"]);
            env_target_in_env_target: wrong(&["env:A"], &["A"]).env(&[("A", "env:B"), ("B", "tcp:h:1")]);

            unknown_expectation: wrong(&["tcp:h:1#hunter2=1"], &["hold", "timeout", "successes"]).hides(&["hunter2"]);
            near_expectation: wrong(&["tcp:h:1#hodl=1s"], &["hold"]).hides(&["hodl"]);
            expectation_of_another_kind: wrong(&["tcp:h:1#status=200"], &["hold"]);
            doubled_expectation: wrong(&["tcp:h:1#hold=1s#hold=2s"], &["hold", "once"]);
            empty_expectation: wrong(&["tcp:h:1#"], &["hold", "timeout"]);
            expectation_without_value: wrong(&["tcp:h:1#hold"], &["hold"]);
            bad_escape: wrong(&["tcp:h:1#hold=%zz"], &["%25"]);
            hold_is_no_duration: wrong(&["tcp:h:1#hold=hunter2"], &["hold", "500ms"]).hides(&["hunter2"]);
            successes_zero: wrong(&["tcp:h:1#successes=0"], &["successes"]);
            successes_word: wrong(&["tcp:h:1#successes=hunter2"], &["successes"]).hides(&["hunter2"]);
            target_timeout_zero: wrong(&["tcp:h:1#attempt-timeout=0s"], &["attempt-timeout"]);

            timeout_bare_number: wrong(&["-t", "5", "tcp:h:1"], &["--timeout", "5s"]);
            timeout_months: wrong(&["-t", "15M", "tcp:h:1"], &["--timeout", "minutes", "m"]);
            timeout_over_a_day: wrong(&["-t", "25h", "tcp:h:1"], &["--timeout", "24h"]);
            timeout_negative: wrong(&["--timeout=-5s", "tcp:h:1"], &["--timeout"]);
            timeout_word: wrong(&["-t", "hunter2", "tcp:h:1"], &["--timeout", "500ms", "5s"]).hides(&["hunter2"]);
            timeout_empty: wrong(&["--timeout=", "tcp:h:1"], &["--timeout"]);
            timeout_weeks: wrong(&["-t", "1w", "tcp:h:1"], &["--timeout"]);
            attempt_timeout_zero: wrong(&["--attempt-timeout=0", "tcp:h:1"], &["--attempt-timeout"]);
            connect_timeout_zero: wrong(&["--connect-timeout=0s", "tcp:h:1"], &["--connect-timeout"]);
            max_pause_zero: wrong(&["--max-pause=0", "tcp:h:1"], &["--max-pause"]);
            successes_option_zero: wrong(&["--successes=0", "tcp:h:1"], &["--successes"]);
            successes_option_word: wrong(&["--successes=hunter2", "tcp:h:1"], &["--successes"]).hides(&["hunter2"]);
            delay_not_below_the_deadline: wrong(&["--initial-delay=5s", "-t", "5s", "tcp:h:1"], &["--initial-delay", "--timeout"]);
            unknown_option: wrong(&["--tiemout=5s", "tcp:h:1"], &["--timeout"]);
            option_without_value: wrong(&["tcp:h:1", "--timeout"], &["--timeout"]);
            flag_with_value: wrong(&["--once=hunter2", "tcp:h:1"], &["--once"]).hides(&["hunter2"]);

            twin_bare_number: wrong(&["tcp:h:1"], &["WAITGATE_TIMEOUT", "5s"]).env(&[("WAITGATE_TIMEOUT", "5")]);
            twin_months: wrong(&["tcp:h:1"], &["WAITGATE_ATTEMPT_TIMEOUT", "1m"]).env(&[("WAITGATE_ATTEMPT_TIMEOUT", "1M")]);
            twin_boolean: wrong(&["tcp:h:1"], &["WAITGATE_PARALLEL", "true", "false"]).env(&[("WAITGATE_PARALLEL", "hunter2")]).hides(&["hunter2"]);
            twin_count: wrong(&["tcp:h:1"], &["WAITGATE_SUCCESSES"]).env(&[("WAITGATE_SUCCESSES", "0")]);

            command_not_found: wrong(&["tcp:h:1", "--", "no-such-command"], &["no-such-command", "not found"]).env(&[("PATH", "/usr/bin:/bin")]);
            command_path_not_found: wrong(&["tcp:h:1", "--", "/nowhere/app"], &["/nowhere/app", "not found"]);
            command_not_executable: wrong(&["tcp:h:1", "--", "/proc/version"], &["/proc/version", "executable"]);
            command_is_a_folder: wrong(&["tcp:h:1", "--", "/usr"], &["/usr"]);
            command_without_targets: wrong(&["--", "true"], &["target"]).env(&[("PATH", "/usr/bin:/bin")]);
        }
        #[cfg(all(feature = "dns", feature = "http", feature = "postgres"))]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            unknown_kind: wrong(&["htp://api/"], &["http", "tcp", "dns", "postgres"]).hides(&["htp:", "api"]);
        }
        #[cfg(feature = "tls")]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            twin_of_a_file: wrong(&["tcp:h:1"], &["WAITGATE_CA_FILE", "/nowhere/ca.pem"]).env(&[("WAITGATE_CA_FILE", "/nowhere/ca.pem")]);
            ca_file_missing: wrong(&["--ca-file=/nowhere/ca.pem", "tcp:h:1"], &["/nowhere/ca.pem", "--ca-file"]);
            ca_file_with_a_line_break: wrong(&["--ca-file=/a\nforged", "tcp:h:1"], &["--ca-file", "line break"]).hides(&["forged"]);
            ca_file_is_a_folder: wrong(&["--ca-file=/", "tcp:h:1"], &["--ca-file"]);
        }
        #[cfg(feature = "dns")]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            dns_without_name: wrong(&["dns:"], &["dns:NAME"]);
            dns_with_port: wrong(&["dns:db:5432"], &["dns:NAME"]);
            dns_bad_label: wrong(&["dns:a..b"], &["63"]);
            dns_long_label: wrong(&["dns:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], &["63"]);
        }
        #[cfg(feature = "http")]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            http_without_slashes: wrong(&["http:api"], &["http://"]);
            http_without_host: wrong(&["http:///x"], &["http://"]);
            http_bad_port: wrong(&["http://api:99999/"], &["65535"]);
            http_two_at: wrong(&["http://u:hunter2@x@api/"], &["%40"]).hides(&["hunter2"]);
            http_blank: wrong(&["http://api/a b"], &["blank"]);
            http_shell_variable_in_host: wrong(&["http://$API/"], &["$("]).env(&[("API", "api")]);
            http_status_out_of_range: wrong(&["http://api/#status=99"], &["status", "999"]);
            http_status_backwards: wrong(&["http://api/#status=300-200"], &["status"]);
            http_status_word: wrong(&["http://api/#status=ok"], &["status", "200"]);
            http_method_with_blank: wrong(&["http://api/#method=GET /"], &["method"]);
            http_header_without_colon: wrong(&["http://api/#header=hunter2"], &["NAME:VALUE"]).hides(&["hunter2"]);
            http_header_with_a_newline: wrong(&["http://api/#header=Authorization:$(TOKEN)"], &["header"])
                .env(&[("TOKEN", "hunter2\r\nx: y")]).hides(&["hunter2"]);
            http_doubled_method: wrong(&["http://api/#method=GET#method=POST"], &["method", "once"]);
            /// `&` for `#`, from the habit of query strings, ends in the URL and not in an expectation.
            http_unknown_expectation: wrong(&["http://api/#staus=200"], &["status"]).hides(&["staus"]);
        }
        #[cfg(feature = "postgres")]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            postgres_two_at: wrong(&["postgres://app:hunter2@tail9@db/app"], &["%40"]).hides(&["hunter2", "tail9"]);
            postgres_raw_hash: wrong(&["postgres://app:hunter2#tail9@db/app"], &["%23"]).hides(&["hunter2", "tail9"]);
            /// The tail of a password may look like an expectation.
            postgres_raw_hash_with_equals: wrong(&["postgres://app:hunter2#tail9=1@db/app"], &["%23"]).hides(&["hunter2", "tail9"]);
            postgres_without_port: wrong(&["postgres:db"], &["postgres:HOST:PORT"]);
            postgres_bad_port: wrong(&["postgres://app:hunter2@db:99999/app"], &["65535"]).hides(&["hunter2"]);
            postgres_bad_sslmode: wrong(&["postgres://app:hunter2@db/app?sslmode=hunter3"], &["sslmode"]).hides(&["hunter2", "hunter3"]);
            postgres_unset_password: wrong(&["postgres://app:$(DB_PASSWORD)@db/app"], &["DB_PASSWORD"]);
            jdbc_url: wrong(&["jdbc:oracle:thin:@db/app?password=hunter2"], &["jdbc:postgresql"]).hides(&["hunter2"]);
            env_target_with_two_at: wrong(&["env:DATABASE_URL"], &["DATABASE_URL", "%40"])
                .env(&[("DATABASE_URL", "postgres://app:hunter2@tail9@db/app")]).hides(&["hunter2", "tail9"]);
        }
        #[cfg(feature = "mysql")]
        crate::support::wrong::wrong_input! { @tests |$wrong| $check;
            mysql_without_port: wrong(&["mysql:db"], &["mysql:HOST:PORT"]);
            mysql_login_without_user: wrong(&["mysql://db/app#login"], &["user", "mysql://"]);
            mysql_bad_mode: wrong(&["mysql://app:hunter2@db/app?ssl-mode=hunter3"], &["ssl-mode"]).hides(&["hunter2", "hunter3"]);
            mysql_restricted: wrong(&["mysql://app:hunter2@db/app?ssl-crl=/crl.pem"], &["ssl-crl"]).hides(&["hunter2"]);
        }
    };
    (@tests |$wrong:ident| $check:expr; $($(#[$attribute:meta])* $name:ident: $row:expr;)+) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            #[allow(clippy::needless_update, reason = "some rows spell out every field")]
            let $wrong = Wrong { ..$row };
            $check;
        }
    )+};
}
pub(crate) use wrong_input;
