//! libpq's password file: `HOST:PORT:DATABASE:USER:PASSWORD`, a line each (manual: The Password File). Pure.

use crate::secret::Secret;

/// What a line is looked up by.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that fits.
///
/// A field is `*`, or the text itself with `\` before each `:` and `\`; the password's own `:` needs none
/// (fe-connect.c: passwordFromFile, pwdfMatchesString).
pub(super) fn find(text: &str, wanted: &Wanted<'_>) -> Option<Secret> {
    let port = wanted.port.to_string();
    let fields = [wanted.host, &port, wanted.database, wanted.user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let password = fields.iter().try_fold(line, |rest, field| after(rest, field))?;
        let password = unescape(password);
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// What follows the first field of `line` and its colon, where the field fits.
fn after<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
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
        let wanted = Wanted { host, port: 5432, database, user: "app" };
        find(text, &wanted).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_fits() {
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
    fn fields_are_escaped() {
        assert_eq!(found("\\:\\:1:5432:s\\\\p:app:pw", "::1", "s\\p").as_deref(), Some("pw"));
        // A star is one only alone.
        assert_eq!(found("d*:5432:shop:app:pw", "db", "shop"), None);
    }

    #[test]
    fn what_is_not_a_line_fits_nothing() {
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
