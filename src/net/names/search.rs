//! Which full names are asked for a given name, in which order, and when the search stops. Pure.
//!
//! The order and the stop rules are those of glibc (resolv/res_query.c: __res_context_search), with two differences: a
//! name that already ends in a search domain is asked as given first, and no full name is asked twice.

use super::answer::Then;
use super::resolv_conf::ResolvConf;

/// One full name to ask, without its trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// Whether it comes from the search list. Some answers end the search list.
    pub(crate) searched: bool,
}

/// The longest name that can be asked, in characters (RFC 1035 section 3.1).
const NAME_MAX: usize = 253;

/// The full names to ask for `name`, in order.
pub(crate) fn steps(name: &str, conf: &ResolvConf) -> Vec<Step> {
    if let Some(full) = name.strip_suffix('.') {
        return vec![Step { name: full.to_owned(), searched: false }];
    }
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    let as_given = Step { name: name.to_owned(), searched: false };
    let first = dots >= conf.ndots || conf.search.iter().any(|domain| ends_in(name, domain));
    let mut steps = Vec::with_capacity(conf.search.len() + 1);
    if first {
        steps.push(as_given.clone());
    }
    for domain in &conf.search {
        let full = if domain.is_empty() { name.to_owned() } else { format!("{name}.{domain}") };
        if full.len() <= NAME_MAX {
            steps.push(Step { name: full, searched: true });
        }
    }
    if dots > 0 || conf.search.is_empty() || !conf.no_tld_query {
        steps.push(as_given);
    }
    let mut asked: Vec<String> = Vec::new();
    steps.retain(|step| {
        let known = asked.iter().any(|name| name.eq_ignore_ascii_case(&step.name));
        asked.push(step.name.clone());
        !known
    });
    steps
}

/// Whether `name` is below `domain`. Then it is most likely a full name already.
pub(crate) fn ends_in(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.as_bytes(), domain.as_bytes());
    if domain.is_empty() || name.len() <= domain.len() + 1 {
        return false;
    }
    let (head, tail) = name.split_at(name.len() - domain.len());
    head.ends_with(b".") && tail.eq_ignore_ascii_case(domain)
}

/// Asks for each step in order until one is found. If none is found, the error has the outcome of each step.
///
/// `ask` returns what it found, or why it found nothing and what that means for the next steps.
pub(crate) async fn walk<T, E>(
    steps: &[Step],
    ask: impl AsyncFn(&str) -> Result<T, (E, Then)>,
) -> Result<(String, T), Vec<(String, E)>> {
    let mut got = Vec::new();
    let mut searching = true;
    for step in steps {
        if step.searched && !searching {
            continue;
        }
        match ask(&step.name).await {
            Ok(found) => return Ok((step.name.clone(), found)),
            Err((instead, then)) => {
                got.push((step.name.clone(), instead));
                match then {
                    Then::GoOn => {}
                    Then::EndSearch => searching &= !step.searched,
                    Then::End => break,
                }
            }
        }
    }
    Err(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "search ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";

    fn names(conf: &str, name: &str) -> String {
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        steps(name, &conf).into_iter().map(|step| step.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_order_is_that_of_glibc() {
        assert_eq!(names(POD, "db"), "db.ns.svc.cluster.local db.svc.cluster.local db.cluster.local db");
        assert_eq!(
            names(POD, "db.other"),
            "db.other.ns.svc.cluster.local db.other.svc.cluster.local db.other.cluster.local db.other"
        );
        assert_eq!(names(POD, "db."), "db");
        assert_eq!(names(POD, "a.b.c.d.e.f").split(' ').next(), Some("a.b.c.d.e.f"));
        assert_eq!(names("search a b\n", "x.y"), "x.y x.y.a x.y.b");
        assert_eq!(names("search a b\n", "x"), "x.a x.b x");
        assert_eq!(names("search a b\noptions ndots:0\n", "x"), "x x.a x.b");
        assert_eq!(names("options ndots:5\n", "x.y"), "x.y");
    }

    #[test]
    fn a_name_below_a_search_domain_is_asked_as_given_first() {
        assert_eq!(names(POD, "db.ns.svc.cluster.local").split(' ').next(), Some("db.ns.svc.cluster.local"));
        assert_eq!(names(POD, "db.other.SVC.cluster.local").split(' ').next(), Some("db.other.SVC.cluster.local"));
        assert!(names(POD, "cluster.local").starts_with("cluster.local.ns."));
        assert!(names(POD, "xcluster.local").starts_with("xcluster.local.ns."));
    }

    #[test]
    fn no_full_name_is_asked_twice() {
        assert_eq!(names("search .\n", "db"), "db");
        assert_eq!(names("search a . b\n", "db"), "db.a db db.b");
        assert_eq!(names("search a A a.\n", "db"), "db.a db");
        assert_eq!(names("search a\noptions no-tld-query\n", "db"), "db.a");
        assert_eq!(names("options no-tld-query\n", "db"), "db");
        assert_eq!(names("search a\noptions no-tld-query\n", "db.x"), "db.x db.x.a");
    }

    #[test]
    fn a_full_name_that_is_too_long_is_left_out() {
        let long = ["a".repeat(60).as_str(); 4].join(".");
        assert_eq!(names("search cluster.local\noptions ndots:5\n", &long), long);
    }

    async fn walked(conf: &str, name: &str, outcome: impl Fn(&str) -> Then) -> String {
        let conf = ResolvConf::parse(Some(conf.as_bytes()), |_| None);
        let ask = async |name: &str| -> Result<(), _> { Err(((), outcome(name))) };
        let got = walk(&steps(name, &conf), ask).await.unwrap_err();
        got.into_iter().map(|(name, ())| name).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn the_stop_rules_are_those_of_glibc() {
        let at = |at: &'static str, then: Then| move |name: &str| if name == at { then } else { Then::GoOn };
        const LIST: &str = "search a b c\n";
        assert_eq!(walked(LIST, "x", at("", Then::GoOn)).await, "x.a x.b x.c x");
        assert_eq!(walked(LIST, "x", at("x.b", Then::EndSearch)).await, "x.a x.b x");
        assert_eq!(walked(LIST, "x", at("x.a", Then::End)).await, "x.a");
        // The name as given is asked first. If that gets no answer, the search list is still walked.
        assert_eq!(walked(LIST, "x.y", at("x.y", Then::EndSearch)).await, "x.y x.y.a x.y.b x.y.c");
        assert_eq!(walked("search a . b\n", "x", at("x", Then::EndSearch)).await, "x.a x");
    }

    #[tokio::test]
    async fn the_walk_ends_at_the_first_name_that_is_found() {
        let conf = ResolvConf::parse(Some(b"search a b\n"), |_| None);
        let ask = async |name: &str| if name == "x.b" { Ok(1) } else { Err(((), Then::GoOn)) };
        assert_eq!(walk(&steps("x", &conf), ask).await, Ok(("x.b".to_owned(), 1)));
    }
}
