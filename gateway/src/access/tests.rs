//! What holds for users and ACL together: who comes in, what rules allow, what a reload changes.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::domain::topic::{TopicFilter, TopicName};

struct Files {
    folder: TempDir,
    files: AccessFiles,
}

impl Files {
    fn new(users: Option<&[(&str, &str)]>, acl: Option<&str>) -> Self {
        let mut new = Self {
            folder: tempfile::tempdir().unwrap(),
            files: AccessFiles::default(),
        };
        new.files.users = users.map(|users| new.write_users(users));
        new.files.acl = acl.map(|text| new.write("acl.toml", text));
        new
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn write_users(&self, users: &[(&str, &str)]) -> PathBuf {
        let mut text = String::from("# users\n");
        for (name, password) in users {
            text += &format!("{name}:{}\n", hash(password.as_bytes()).unwrap());
        }
        self.write("users", &text)
    }

    fn open(&self, anonymous: Anonymous) -> Access {
        Access::open(self.files.clone(), anonymous).unwrap()
    }
}

fn grants_of(acl: &str, user: Option<&str>, client_id: &str) -> Grants {
    let access = Files::new(None, Some(acl)).open(Anonymous::Always);
    let who = match user {
        Some(name) => Identity::of_certificate(name),
        None => Identity(Proof::None),
    };
    access.grants(&who, client_id).unwrap()
}

fn topic(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

const LOCAL: &str = "127.0.0.1";
const MAPPED: &str = "::ffff:127.0.0.1";
const REMOTE: &str = "192.168.1.7";

#[tokio::test]
async fn who_may_come_depends_on_password_and_address() {
    async fn check(
        access: &Access,
        peer: &str,
        name: Option<&str>,
        password: Option<&str>,
        expected: Result<Option<&str>, Denied>,
    ) {
        let peer: IpAddr = peer.parse().unwrap();
        let admitted = access.admit(peer, name, password.map(str::as_bytes)).await;
        let found = admitted
            .as_ref()
            .map(Identity::name)
            .map_err(|denied| *denied);
        assert_eq!(found, expected, "{peer} {name:?} {password:?}");
    }
    let files = Files::new(Some(&[("ann", "secret")]), None);
    for anonymous in [Anonymous::Never, Anonymous::Loopback, Anonymous::Always] {
        let access = files.open(anonymous);
        for peer in [LOCAL, MAPPED, REMOTE] {
            let refused = Err(Denied::Credentials);
            check(&access, peer, Some("ann"), Some("secret"), Ok(Some("ann"))).await;
            check(&access, peer, Some("ann"), Some("Secret"), refused).await;
            check(&access, peer, Some("ann"), Some(""), refused).await;
            check(&access, peer, Some("bob"), Some("secret"), refused).await;
            check(&access, peer, Some(""), Some("secret"), refused).await;
            check(&access, peer, Some("ann"), None, refused).await;
            check(&access, peer, None, Some("secret"), refused).await;
        }
    }
    let without_users = Files::new(None, None);
    for files in [&files, &without_users] {
        let refused = Err(Denied::Anonymous);
        check(&files.open(Anonymous::Never), LOCAL, None, None, refused).await;
        for local in [LOCAL, MAPPED, "127.9.9.9", "::1"] {
            check(
                &files.open(Anonymous::Loopback),
                local,
                None,
                None,
                Ok(None),
            )
            .await;
        }
        check(
            &files.open(Anonymous::Loopback),
            REMOTE,
            None,
            None,
            refused,
        )
        .await;
        check(&files.open(Anonymous::Always), REMOTE, None, None, Ok(None)).await;
    }
    let access = without_users.open(Anonymous::Loopback);
    check(&access, LOCAL, Some("ann"), Some("x"), Ok(None)).await;
    check(
        &access,
        REMOTE,
        Some("ann"),
        Some("x"),
        Err(Denied::Anonymous),
    )
    .await;
}

#[tokio::test]
async fn whoever_waits_for_a_check_may_leave_and_the_others_get_their_answer() {
    let files = Files::new(Some(&[("ann", "secret"), ("bob", "secret")]), None);
    let access = files.open(Anonymous::Never);
    let peer: IpAddr = LOCAL.parse().unwrap();
    let admit = |name, password| access.admit(peer, Some(name), Some(password));
    {
        let mut gone = Box::pin(admit("ann", b"wrong"));
        assert!(poll_once(gone.as_mut()).await.is_pending());
    }
    let (one, two, three, four, five) = tokio::join!(
        admit("ann", b"secret"),
        admit("ann", b"wrong!"),
        admit("bob", b"secret"),
        admit("ann", b"secret"),
        admit("eve", b"secret"),
    );
    let names =
        [one, two, three, four, five].map(|found| found.map(|who| who.name() == Some("ann")));
    let wrong = Err(Denied::Credentials);
    assert_eq!(names, [Ok(true), wrong, Ok(false), Ok(true), wrong]);
}

/// Polls once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}

#[test]
fn without_a_file_everything_is_allowed_and_with_an_empty_one_nothing() {
    let who = Identity(Proof::None);
    for (acl, expected) in [(None, true), (Some(""), false)] {
        let access = Files::new(None, acl).open(Anonymous::Always);
        let grants = access.grants(&who, "c").unwrap();
        assert_eq!(grants.may_publish(&topic("a/b")), expected);
        assert_eq!(grants.may_subscribe(&filter("#")), expected);
        assert_eq!(grants.may_subscribe(&filter("$share/g/#")), expected);
        assert_eq!(grants.may_receive(&topic("a/b")), expected);
    }
}

const SITE: &str = r##"
[groups]
ops = ["ann", "bob"]
[[rule]]
allow = "publish"
filter = "sensors/%u/#"
[[rule]]
allow = "both"
filter = "own/dev-%c/+"
[[rule]]
allow = "subscribe"
filter = "#"
group = "ops"
[[rule]]
allow = "subscribe"
filter = "$SYS/#"
user = "ann"
[[rule]]
deny = "subscribe"
filter = "secret/#"
user = "bob"
[[rule]]
deny = "both"
filter = "sensors/+/locked"
"##;

#[test]
fn messages_are_judged_by_their_topic() {
    let check = |user: Option<&str>, name: &str, publish: bool, receive: bool| {
        let grants = grants_of(SITE, user, "c1");
        let name = topic(name);
        assert_eq!(
            grants.may_publish(&name),
            publish,
            "publish {user:?} {name}"
        );
        assert_eq!(
            grants.may_receive(&name),
            receive,
            "receive {user:?} {name}"
        );
    };
    check(Some("ann"), "sensors/ann/1", true, true);
    check(Some("ann"), "sensors/ann", true, true);
    check(Some("ann"), "sensors/bob/1", false, true);
    check(Some("ann"), "sensors/ann/locked", false, false);
    check(Some("ann"), "sensors/ann/locked/x", true, true);
    check(Some("ann"), "$SYS/broker/uptime", false, true);
    check(Some("bob"), "$SYS/broker/uptime", false, false);
    check(Some("bob"), "secret", false, false);
    check(Some("bob"), "secret/x", false, false);
    check(Some("ann"), "secret/x", false, true);
    check(Some("eve"), "sensors/eve/1", true, false);
    check(Some("eve"), "own/dev-c1/x", true, true);
    check(Some("eve"), "own/dev-c2/x", false, false);
    check(Some("eve"), "own/dev-c1", false, false);
    check(None, "sensors/ann/1", false, false);
    check(None, "own/dev-c1/x", true, true);
    check(Some("a/b"), "sensors/a/b", false, false);
    check(Some("+"), "sensors/ann/1", false, false);
}

#[test]
fn subscriptions_are_judged_by_all_that_they_can_match() {
    let check = |user: &str, text: &str, expected: bool| {
        let may = grants_of(SITE, Some(user), "c1").may_subscribe(&filter(text));
        assert_eq!(may, expected, "{user} {text}");
        let shared = filter(&format!("$share/group/{text}"));
        let may = grants_of(SITE, Some(user), "c1").may_subscribe(&shared);
        assert_eq!(may, expected, "{user} {shared}");
    };
    check("ann", "#", true);
    check("ann", "+/x", true);
    check("ann", "secret/#", true);
    check("ann", "$SYS/#", true);
    check("ann", "$SYS/broker/+", true);
    check("bob", "$SYS/#", false);
    // Denied in part: the subscription stands, the part is not delivered.
    check("bob", "#", true);
    check("bob", "secret/#", false);
    check("bob", "secret", false);
    check("bob", "secret/+/x", false);
    check("bob", "+/x", true);
    check("ann", "sensors/+/locked", false);
    check("ann", "sensors/ann/locked", false);
    check("ann", "sensors/#", true);
    check("eve", "own/dev-c1/+", true);
    check("eve", "own/dev-c1/x", true);
    check("eve", "own/dev-c1/#", false);
    check("eve", "own/+/x", false);
    check("eve", "#", false);
    let malformed = grants_of(SITE, Some("ann"), "c1").may_subscribe(&filter("$share/x"));
    assert!(!malformed);
}

/// Whatever the rules: no client receives by a subscription that was refused in whole, and what a subscription that was
/// granted matches is delivered unless it is denied.
#[test]
fn a_granted_filter_matches_nothing_that_is_not_allowed() {
    let parts = [
        "a", "b", "+", "#", "a/b", "a/+", "+/b", "a/#", "b/#", "+/+", "a/b/#",
    ];
    let topics = ["a", "b", "x", "a/b", "a/x", "b/b", "a/b/x", "a/x/b", "x/b"];
    for allowed in parts {
        for denied in parts {
            let acl = format!(
                "[[rule]]\nallow = \"both\"\nfilter = \"{allowed}\"\n[[rule]]\ndeny = \"both\"\nfilter = \"{denied}\""
            );
            let grants = grants_of(&acl, None, "c");
            for wanted in parts.map(filter) {
                let granted = grants.may_subscribe(&wanted);
                for name in topics.map(topic).iter().filter(|name| wanted.matches(name)) {
                    let is_allowed = filter(allowed).matches(name);
                    let is_denied = filter(denied).matches(name);
                    let may = grants.may_receive(name);
                    assert_eq!(may, is_allowed && !is_denied, "{acl} {name}");
                    assert!(!granted || is_allowed, "{acl}: {wanted} but not {name}");
                    assert_eq!(grants.may_publish(name), may, "{acl} {name}");
                }
                let wholly = filter(allowed).covers(&wanted) && !filter(denied).covers(&wanted);
                assert_eq!(granted, wholly, "{acl}: {wanted}");
            }
        }
    }
}

#[tokio::test]
async fn a_reload_applies_to_those_who_are_here() {
    let files = Files::new(
        Some(&[("ann", "a"), ("bob", "b")]),
        Some("[[rule]]\nallow = \"both\"\nfilter = \"old\""),
    );
    let access = files.open(Anonymous::Loopback);
    let peer = LOCAL.parse().unwrap();
    let ann = access.admit(peer, Some("ann"), Some(b"a")).await.unwrap();
    let bob = access.admit(peer, Some("bob"), Some(b"b")).await.unwrap();
    let nobody = access.admit(peer, None, None).await.unwrap();
    let machine = Identity::of_certificate("bob");
    let mut changes = access.changes();
    let before = access.grants(&ann, "c").unwrap();
    assert_eq!(before.generation(), access.generation());

    let kept = fs::read_to_string(files.folder.path().join("users")).unwrap();
    let without_bob: Vec<&str> = kept.lines().filter(|line| !line.contains("bob")).collect();
    files.write("users", &without_bob.join("\n"));
    files.write("acl.toml", "[[rule]]\nallow = \"both\"\nfilter = \"new\"");
    access.reload().unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), access.generation());
    assert_ne!(before.generation(), access.generation());
    let after = access.grants(&ann, "c").unwrap();
    assert!(before.may_publish(&topic("old")) && !after.may_publish(&topic("old")));
    assert!(after.may_publish(&topic("new")));
    assert!(access.grants(&bob, "c").is_none());
    assert!(access.grants(&machine, "c").is_some());
    assert!(access.grants(&nobody, "c").is_some());
    let refused = access.admit(peer, Some("bob"), Some(b"b")).await;
    assert_eq!(refused.unwrap_err(), Denied::Credentials);

    files.write_users(&[("ann", "a")]);
    access.reload().unwrap();
    assert!(
        access.grants(&ann, "c").is_none(),
        "the password was set anew"
    );
}

#[tokio::test]
async fn a_reload_with_faults_changes_nothing_and_names_them_all() {
    let files = Files::new(
        Some(&[("ann", "a")]),
        Some("[[rule]]\nallow = \"both\"\nfilter = \"a\""),
    );
    let access = files.open(Anonymous::Never);
    let peer = LOCAL.parse().unwrap();
    let ann = access.admit(peer, Some("ann"), Some(b"a")).await.unwrap();
    files.write("users", "ann\n");
    files.write("acl.toml", "[[rule]]\nfilter = \"a\"");
    let said = access.reload().unwrap_err();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("users:1: "), "{said}");
    assert!(lines[1].contains("acl.toml:1:1: rule[1].allow"), "{said}");
    assert_eq!(lines[2..], ["  |", "1 | [[rule]]", "  | ^^^^^^^^"]);
    files.write_users(&[]);
    assert!(
        access.reload().is_err(),
        "one fault keeps both files as they were"
    );
    assert_eq!(access.generation(), 0);
    assert!(access.grants(&ann, "c").unwrap().may_publish(&topic("a")));
    assert!(access.admit(peer, Some("ann"), Some(b"a")).await.is_ok());
}

#[test]
fn files_that_are_not_there_are_faults_that_name_key_and_cure() {
    let files = AccessFiles {
        users: Some("no/users".into()),
        acl: Some("no/acl.toml".into()),
        ..AccessFiles::default()
    };
    let faults = Access::open(files, Anonymous::Never).unwrap_err();
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("no/users: mqtt.users_file: cannot be read: "));
    assert!(lines[0].ends_with("`edge-gateway user add NAME` makes it"));
    assert!(lines[1].starts_with("no/acl.toml: mqtt.acl_file: cannot be read: "));
}

#[test]
fn a_failed_login_waits_more_or_less_a_second() {
    let waits: Vec<Duration> = (0..100).map(|_| failed_login_delay()).collect();
    let allowed = Duration::from_secs(1)..=Duration::from_millis(1250);
    assert!(waits.iter().all(|wait| allowed.contains(wait)));
    assert!(waits.iter().any(|wait| *wait != waits[0]));
}
