//! The ACL file, `mqtt.acl_file`: who may publish and subscribe where. What follows from its rules is for `access` to
//! decide.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use crate::config::document;
use crate::config::fault::{Fault, Findings};
use crate::config::kinds::{choice, text, unexpected};
use crate::config::section::{Section, Setting};
use crate::config::suggestion::nearest;
use crate::config::value::{Table, Value};
use crate::domain::place::Place;
use crate::domain::topic::TopicFilter;

/// The rules of an ACL file, in its order and free of faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    pub rules: Vec<AccessRule>,
}

/// One `[[rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    pub effect: Effect,
    pub operation: Operation,
    /// A topic filter in which `%u` stands for the user and `%c` for the client id. It is a valid one for all of them
    /// that contain none of `/`, `+` and `#`.
    pub filter: Box<str>,
    /// The users for whom it stands; `None`: for everybody, also those without a name.
    pub users: Option<Names>,
}

/// Names of users.
type Names = Arc<BTreeSet<Box<str>>>;

/// What a rule does to those operations that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Publishing, also by a last will.
    Publish,
    /// Subscribing, and receiving what was subscribed to.
    Subscribe,
    Both,
}

const OPERATIONS: &[(&str, Operation)] = &[
    ("publish", Operation::Publish),
    ("subscribe", Operation::Subscribe),
    ("both", Operation::Both),
];
const EXPECTED_FILTER: &str =
    "a topic filter, such as \"sensors/%u/#\" (%u is the user, %c the client id)";

/// The members of the groups by their names.
type Groups = BTreeMap<String, Names>;

impl AccessList {
    /// Reads the file at `path`, or says everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let mut findings = Findings::default();
        let root = document::read(path, &mut findings).map_err(|fault| vec![fault])?;
        Self::check(root, findings)
    }

    fn check(root: Table, mut findings: Findings) -> Result<Self, Vec<Fault>> {
        let mut root = Section::root(root, &mut findings);
        let groups = root.section("groups").map(read_groups).unwrap_or_default();
        let rules = root.sections("rule", |section| read_rule(section, &groups));
        root.finish();
        let faults = findings.into_list();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            rules: rules.into_iter().flatten().flatten().collect(),
        })
    }
}

fn read_groups(section: Section<'_>) -> Groups {
    let member = |value: &Value| text(value).map(Box::from);
    let lists = section.named_lists("a list of users, such as [\"ann\", \"bob\"]", member);
    let groups = lists
        .into_iter()
        .map(|(name, members)| (name, Arc::new(members.into_iter().collect())));
    groups.collect()
}

fn read_rule(mut section: Section<'_>, groups: &Groups) -> Option<AccessRule> {
    let verdict = read_verdict(&mut section);
    let filter = section.required("filter", EXPECTED_FILTER, filter);
    let users = read_users(&mut section, groups);
    section.finish();
    let (effect, operation) = verdict?;
    Some(AccessRule {
        effect,
        operation,
        filter: filter?.0,
        users: users?,
    })
}

fn read_verdict(section: &mut Section<'_>) -> Option<(Effect, Operation)> {
    let operation = |value: &Value| choice(OPERATIONS, &[])(value).map(Some);
    let allow = section.setting("allow", None, operation);
    let deny = section.setting("deny", None, operation);
    match (is_there(&allow), is_there(&deny)) {
        (false, false) => {
            let expected = "\"publish\", \"subscribe\" or \"both\" here or in `deny`";
            section.required("allow", expected, operation);
            None
        }
        (true, true) => {
            let message = "stands beside `allow`: make two rules of this one";
            section.refuse("deny", deny.place, message);
            None
        }
        (true, false) => allow.value.map(|operation| (Effect::Allow, operation)),
        (false, true) => deny.value.map(|operation| (Effect::Deny, operation)),
    }
}

/// `Some(None)` is everybody; `None` a fault, which was noted.
fn read_users(section: &mut Section<'_>, groups: &Groups) -> Option<Option<Names>> {
    let name = |value: &Value| text(value).map(|text| Some(text.to_owned()));
    let user = section.setting("user", None, name);
    let group = section.setting("group", None, name);
    if is_there(&user) && is_there(&group) {
        let message = "stands beside `user`: put the user into the group, or make two rules";
        section.refuse("group", group.place, message);
        return None;
    }
    if let Some(name) = user.value {
        return Some(Some(Arc::new([name.into_boxed_str()].into())));
    }
    let Some(name) = group.value else {
        return (user.sound && group.sound).then_some(None);
    };
    let members = groups.get(&name).cloned();
    if members.is_none() {
        let message = match nearest(&name, groups.keys().map(String::as_str)) {
            Some(meant) => format!("[groups] has no {name:?}, did you mean {meant:?}?"),
            None => format!("[groups] has no {name:?}"),
        };
        section.refuse("group", group.place, message);
    }
    members.map(Some)
}

fn is_there<T>(setting: &Setting<T>) -> bool {
    setting.place != Place::Defaults
}

fn filter(value: &Value) -> Result<Box<str>, String> {
    let text = text(value).map_err(|_| unexpected(EXPECTED_FILTER, value))?;
    let example = text.replace("%u", "u").replace("%c", "c");
    if let Err(error) = TopicFilter::new(&example) {
        let message = unexpected(EXPECTED_FILTER, value);
        return Err(format!("{message}, which {error}"));
    }
    if text.starts_with("$share/") {
        return Err(format!(
            "{value} is refused: shared subscriptions are judged by the filter after the share's name, write that"
        ));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::without_column;

    fn parse(text: &str) -> Result<AccessList, Vec<Fault>> {
        let mut findings = Findings::default();
        let root = document::parse(text, &"acl.toml".into(), &mut findings);
        AccessList::check(root, findings)
    }

    #[track_caller]
    fn check_faults(text: &str, expected: &[(&str, &str)]) {
        let faults = parse(text).unwrap_err();
        let found: Vec<String> = faults.iter().map(without_column).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, (start, part)) in found.iter().zip(expected) {
            assert!(
                line.starts_with(start) && line.contains(part),
                "{line:?} is not {start:?} … {part:?}"
            );
        }
    }

    #[test]
    fn rules_are_for_everybody_a_user_or_a_group() {
        let text = "[[rule]]\nallow = \"publish\"\nfilter = \"sensors/%u/#\"\n\
             [[rule]]\ndeny = \"both\"\nfilter = \"#\"\nuser = \"eve\"\n\
             [[rule]]\nallow = \"subscribe\"\nfilter = \"alerts/#\"\ngroup = \"ops\"\n\
             [groups]\nops = [\"ann\", \"bob\", \"ann\"]\nnobody = []";
        let rule = |effect, operation, filter: &str, users: Option<&[&str]>| AccessRule {
            effect,
            operation,
            filter: filter.into(),
            users: users.map(|names| Arc::new(names.iter().copied().map(Box::from).collect())),
        };
        let expected = [
            rule(Effect::Allow, Operation::Publish, "sensors/%u/#", None),
            rule(Effect::Deny, Operation::Both, "#", Some(&["eve"])),
            rule(
                Effect::Allow,
                Operation::Subscribe,
                "alerts/#",
                Some(&["ann", "bob"]),
            ),
        ];
        assert_eq!(parse(text).unwrap().rules, expected);
        assert_eq!(parse("").unwrap().rules, []);
    }

    const FAULTY: &str = r##"colour = "red"
[groups]
ops = ["ann", ""]
staff = "ann"
[[rule]]
filter = "a"
[[rule]]
allow = "publish"
deny = "read"
filter = "a"
[[rule]]
allow = "write"
filter = "a/#/b"
user = 7
[[rule]]
allow = "both"
[[rule]]
deny = "both"
filter = "dev+%c"
user = "ann"
group = "ops"
[[rule]]
deny = "both"
filter = "$share/g/a"
group = "oops"
for = "10s"
fitler = "x"
"##;

    #[test]
    fn all_faults_are_reported_at_once_with_their_lines() {
        check_faults(
            FAULTY,
            &[
                ("acl.toml:1: colour: ", "unknown key"),
                ("acl.toml:3: groups.ops: ", "not empty"),
                ("acl.toml:4: groups.staff: ", "expected a list of users"),
                ("acl.toml:5: rule[1].allow: is missing", "`deny`"),
                ("acl.toml:9: rule[2].deny: ", "found \"read\""),
                ("acl.toml:9: rule[2].deny: ", "stands beside `allow`"),
                ("acl.toml:12: rule[3].allow: ", "found \"write\""),
                ("acl.toml:13: rule[3].filter: ", "which has `#` elsewhere"),
                ("acl.toml:14: rule[3].user: ", "found 7"),
                ("acl.toml:15: rule[4].filter: is missing", "sensors/%u/#"),
                ("acl.toml:19: rule[5].filter: ", "which has `+` beside"),
                ("acl.toml:21: rule[5].group: ", "stands beside `user`"),
                ("acl.toml:24: rule[6].filter: ", "after the share's name"),
                ("acl.toml:25: rule[6].group: ", "did you mean \"ops\"?"),
                ("acl.toml:26: rule[6].for: ", "unknown key"),
                ("acl.toml:27: rule[6].fitler: ", "did you mean `filter`?"),
            ],
        );
        check_faults(
            "words\n[[rule]]\nallow = 1\nfilter = \"a\"",
            &[
                ("acl.toml:1: not valid TOML", ""),
                ("acl.toml:3: rule[1].allow: ", "found 1"),
            ],
        );
    }

    #[test]
    fn the_shipped_file_has_no_faults() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-config/acl.toml");
        let rules = AccessList::load(Path::new(path)).unwrap().rules;
        assert_eq!(rules.len(), 7);
    }

    #[test]
    fn a_file_that_is_not_there_is_one_fault() {
        let faults = AccessList::load(Path::new("no/acl.toml")).unwrap_err();
        assert!(
            matches!(&faults[..], [fault] if fault.to_string().starts_with("no/acl.toml: cannot be read"))
        );
    }
}
