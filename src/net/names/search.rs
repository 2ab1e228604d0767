//! Which full names are asked for a name as it was given, in which order, and when to stop: pure.
//!
//! The order and the stop rules are glibc's (resolv/res_query.c: __res_context_search), save that a
//! name which already ends in a search domain is asked as it stands first, and that no full name is asked twice.

use super::answer::Then;
use super::resolv_conf::ResolvConf;

/// One full name to ask, without its trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The full name.
    pub(crate) name: String,
    /// Whether it stands for an element of the search list, which some answers end.
    pub(crate) searched: bool,
}

/// The longest name that can be asked, in characters (RFC 1035 section 3.1).
const LONGEST: usize = 253;

/// The full names to ask for `name`, in order.
pub(crate) fn steps(name: &str, conf: &ResolvConf) -> Vec<Step> {
    if let Some(full) = name.strip_suffix('.') {
        return vec![Step { name: full.to_owned(), searched: false }];
    }
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    let as_it_stands = Step { name: name.to_owned(), searched: false };
    let first = dots >= conf.ndots || conf.search.iter().any(|domain| ends_in(name, domain));
    let mut steps = Vec::with_capacity(conf.search.len() + 1);
    if first {
        steps.push(as_it_stands.clone());
    }
    for domain in &conf.search {
        let full = if domain.is_empty() { name.to_owned() } else { format!("{name}.{domain}") };
        if full.len() <= LONGEST {
            steps.push(Step { name: full, searched: true });
        }
    }
    if dots > 0 || conf.search.is_empty() || !conf.no_tld_query {
        steps.push(as_it_stands);
    }
    let mut asked: Vec<String> = Vec::new();
    steps.retain(|step| {
        let known = asked.iter().any(|name| name.eq_ignore_ascii_case(&step.name));
        asked.push(step.name.clone());
        !known
    });
    steps
}

/// Whether `name` lies below `domain`, so that it is most likely meant as it stands.
fn ends_in(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.as_bytes(), domain.as_bytes());
    if domain.is_empty() || name.len() <= domain.len() + 1 {
        return false;
    }
    let (head, tail) = name.split_at(name.len() - domain.len());
    head.ends_with(b".") && tail.eq_ignore_ascii_case(domain)
}

/// Asks the steps in order until one is found; else what each step got.
///
/// `ask` gives what it found, or what it got instead and what that means for the steps that follow.
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
    fn the_order_is_glibcs() {
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
    fn a_name_below_a_search_domain_is_asked_as_it_stands_first() {
        assert_eq!(names(POD, "db.ns.svc.cluster.local").split(' ').next(), Some("db.ns.svc.cluster.local"));
        assert_eq!(names(POD, "db.other.SVC.cluster.local").split(' ').next(), Some("db.other.SVC.cluster.local"));
        assert!(names(POD, "cluster.local").starts_with("cluster.local.ns."));
        assert!(names(POD, "xcluster.local").starts_with("xcluster.local.ns."));
    }

    #[test]
    fn the_root_on_the_list_and_repeated_domains_cost_one_question() {
        assert_eq!(names("search .\n", "db"), "db");
        assert_eq!(names("search a . b\n", "db"), "db.a db db.b");
        assert_eq!(names("search a A a.\n", "db"), "db.a db");
        assert_eq!(names("search a\noptions no-tld-query\n", "db"), "db.a");
        assert_eq!(names("options no-tld-query\n", "db"), "db");
        assert_eq!(names("search a\noptions no-tld-query\n", "db.x"), "db.x db.x.a");
    }

    #[test]
    fn what_would_be_too_long_is_left_out() {
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
    async fn the_stop_rules_are_glibcs() {
        let at = |at: &'static str, then: Then| move |name: &str| if name == at { then } else { Then::GoOn };
        const LIST: &str = "search a b c\n";
        assert_eq!(walked(LIST, "x", at("", Then::GoOn)).await, "x.a x.b x.c x");
        assert_eq!(walked(LIST, "x", at("x.b", Then::EndSearch)).await, "x.a x.b x");
        assert_eq!(walked(LIST, "x", at("x.a", Then::End)).await, "x.a");
        // As it stands first: no answer to that does not keep the search list from being walked.
        assert_eq!(walked(LIST, "x.y", at("x.y", Then::EndSearch)).await, "x.y x.y.a x.y.b x.y.c");
        assert_eq!(walked("search a . b\n", "x", at("x", Then::EndSearch)).await, "x.a x");
    }

    #[tokio::test]
    async fn the_first_that_is_found_ends_the_walk() {
        let conf = ResolvConf::parse(Some(b"search a b\n"), |_| None);
        let ask = async |name: &str| if name == "x.b" { Ok(1) } else { Err(((), Then::GoOn)) };
        assert_eq!(walk(&steps("x", &conf), ask).await, Ok(("x.b".to_owned(), 1)));
    }
}
