//! libpq's password file: lines of the form `HOST:PORT:DATABASE:USER:PASSWORD` (manual: The Password File). Pure.

use crate::secret::Secret;

/// What a line must match.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that matches.
///
/// A field is `*`, or a text with `\` before each `:` and `\`. In the password a `:` needs no `\`
/// (fe-connect.c: passwordFromFile, pwdfMatchesString).
pub(super) fn find(text: &str, login: &Login<'_>) -> Option<Secret> {
    let port = login.port.to_string();
    let fields = [login.host, &port, login.database, login.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let password = fields.iter().try_fold(line, |rest, field| after_field(rest, field))?;
        let password = unescape(password);
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// If the first field of `line` matches `wanted`: the text after its colon.
fn after_field<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let field = &line[..end];
    (field == "*" || unescape(field) == wanted).then_some(&line[end + 1..])
}

fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, database: &str) -> Option<String> {
        let login = Login { host, port: 5432, database, user: "app" };
        find(text, &login).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        let text = "# host:port:db:user:password\n\
            other:5432:shop:app:wrong\n\
            db:5433:shop:app:wrong\n\
            db:5432:shop:root:wrong\n\
            db:5432:shop:app:right:with\\\\colons\\:in it\r\n\
            *:*:*:app:any\n";
        assert_eq!(found(text, "db", "shop").as_deref(), Some("right:with\\colons:in it"));
        assert_eq!(found(text, "elsewhere", "x").as_deref(), Some("any"));
    }

    #[test]
    fn fields_are_unescaped() {
        assert_eq!(found("\\:\\:1:5432:s\\\\p:app:pw", "::1", "s\\p").as_deref(), Some("pw"));
        // `*` matches everything only if it is the whole field.
        assert_eq!(found("d*:5432:shop:app:pw", "db", "shop"), None);
    }

    #[test]
    fn an_incomplete_line_does_not_match() {
        for text in [
            "",
            "\n\n",
            "db",
            "db:5432:shop:app",
            "db:5432:shop:app:",
            "db:5432:shop:app\\:pw",
            "\\",
            ":::::",
            "#db:5432:shop:app:pw",
        ] {
            assert_eq!(found(text, "db", "shop"), None, "{text:?}");
        }
    }
}
