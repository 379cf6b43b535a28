//! `edge-gateway user`: the users file is edited, never spoilt; and `check` says what is wrong with it and with the ACL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::support::program::headlines;
use crate::support::{Site, command, eventually, signal};

/// A folder with a configuration that names a users file and an ACL.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let new = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        new.write(
            "gateway.toml",
            "[mqtt]\nusers_file = \"users\"\nacl_file = \"acl.toml\"\n",
        );
        new.write("acl.toml", "");
        new.write("password", "secret\nsecond line\n");
        new
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn users(&self) -> String {
        fs::read_to_string(self.path("users")).unwrap()
    }

    /// Runs the binary in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = command();
        command.current_dir(self.folder.path()).args(arguments);
        command.args(["--config", "gateway.toml"]).output().unwrap()
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, stdout: &str, stderr: &str) {
        let output = self.run(arguments);
        let found = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {complaint}"
        );
        assert!(found.contains(stdout), "{arguments:?}: {found}");
        assert!(complaint.contains(stderr), "{arguments:?}: {complaint}");
        assert_eq!(
            found.is_empty(),
            stdout.is_empty(),
            "{arguments:?}: {found}"
        );
        assert_eq!(
            complaint.is_empty(),
            stderr.is_empty(),
            "{arguments:?}: {complaint}"
        );
    }
}

const ADD_ANN: [&str; 5] = ["user", "add", "ann", "--password-file", "password"];

#[test]
fn users_are_added_changed_listed_and_removed() {
    let folder = Folder::new();
    folder.check(&ADD_ANN, 0, "\"ann\" is added to users", "");
    assert!(
        folder
            .users()
            .starts_with("ann:$argon2id$v=19$m=7168,t=5,p=1$")
    );
    let first = folder.users();
    folder.write("users", &format!("# people\n\n{first}# machines\n"));
    folder.check(&ADD_ANN, 0, "\"ann\" has another password now", "");
    assert!(
        !folder.users().contains(first.trim()),
        "the salt is another"
    );
    let bob = ["user", "add", "bob b", "--password-file", "password"];
    folder.check(&bob, 0, "\"bob b\" is added", "");
    folder.check(&["user", "list"], 0, "ann\nbob b\n", "");
    folder.check(&["check"], 0, "the configuration is fine", "");
    folder.check(&["user", "remove", "ann"], 0, "\"ann\" is removed", "");
    folder.check(
        &["user", "remove", "ann"],
        64,
        "",
        "there is no user \"ann\" in users",
    );
    let users = folder.users();
    assert!(
        users.starts_with("# people\n\n# machines\nbob b:$argon2id$"),
        "{users}"
    );
    let mode = fs::metadata(folder.path("users"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.folder.path()).unwrap().count(), 4);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let too_long = "x".repeat(65);
    let add = |name, file| ["user", "add", name, "--password-file", file];
    folder.check(
        &["user", "list"],
        64,
        "",
        "there is no users: `edge-gateway user add NAME`",
    );
    folder.check(
        &["user", "remove", "ann"],
        64,
        "",
        "there is no user \"ann\"",
    );
    folder.check(
        &add("a:b", "password"),
        64,
        "",
        "contains `:` or a control character",
    );
    folder.check(&add("a\tb", "password"), 64, "", "control character");
    folder.check(&add("", "password"), 64, "", "it is empty");
    folder.check(&add(&too_long, "password"), 64, "", "longer than 64 bytes");
    folder.check(&add("#ann", "password"), 64, "", "begins with `#`");
    folder.check(&add("ann", "nothing"), 64, "", "nothing cannot be read: ");
    for empty in ["", "\n", "\r\n", "\nsecret"] {
        folder.write("empty", empty);
        folder.check(&add("ann", "empty"), 64, "", "the password is empty");
    }
    folder.write("long", &"x".repeat(65_538));
    folder.check(&add("ann", "long"), 64, "", "longer than MQTT can carry");
    folder.check(&["user"], 64, "", "Usage");
    folder.check(&["user", "add"], 64, "", "NAME");
    assert!(!folder.path("users").exists());

    let elsewhere = [&ADD_ANN[..], &["--users-file", "no/users"]].concat();
    folder.check(&elsewhere, 64, "", "no/users cannot be read: ");
    folder.write("gateway.toml", "");
    folder.check(&ADD_ANN, 64, "", "no mqtt.users_file");
    folder.write("gateway.toml", "[mqtt]\nlisten = 5");
    folder.check(&ADD_ANN, 64, "", "gateway.toml:2:10: mqtt.listen: ");
    let named = [&ADD_ANN[..], &["--users-file", "others"]].concat();
    folder.check(&named, 0, "\"ann\" is added to others", "");
    let list = ["user", "list", "--users-file", "others"];
    folder.check(&list, 0, "ann\n", "");
}

#[test]
fn check_says_all_that_is_wrong_with_users_and_acl() {
    let folder = Folder::new();
    folder.check(
        &["check"],
        64,
        "",
        "users: mqtt.users_file: cannot be read: ",
    );
    folder.write("users", "ann:plain\nbob\n");
    folder.write(
        "acl.toml",
        "[[rule]]\nallow = \"all\"\nfilter = \"a/#/b\"\n",
    );
    let expected = [
        "users:1: expected `name:` and an argon2id hash",
        "users:2: expected `name:` and an argon2id hash",
        "acl.toml:2:9: rule[1].allow: expected \"publish\" or \"subscribe\" or \"both\", found \"all\"",
        "acl.toml:3:10: rule[1].filter: expected a topic filter",
    ];
    let check = |expected: &[&str]| {
        for command in ["check", "run"] {
            let output = folder.run(&[command]);
            let complaint = String::from_utf8(output.stderr).unwrap();
            let lines = headlines(&complaint);
            assert_eq!(output.status.code(), Some(64), "{complaint}");
            assert_eq!(lines.len(), expected.len(), "{complaint}");
            for (line, start) in lines.iter().zip(expected) {
                assert!(line.starts_with(start), "{line:?} is not {start:?}");
            }
            assert!(!complaint.contains("plain"), "{complaint}");
        }
    };
    check(&expected);
    let settings = fs::read_to_string(folder.path("gateway.toml")).unwrap();
    folder.write(
        "gateway.toml",
        &format!("colour = \"red\"\n{settings}[[rule]]\nname = \"r\"\nwhen = \"value >\"\nactions = [\"alert\"]\n"),
    );
    let first = ["gateway.toml:1:1: colour: unknown key", "gateway.toml:7:"];
    check(&[&first[..], &expected].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_reloads_users_and_acl_unless_they_have_faults() {
    let folder = Folder::new();
    folder.check(&ADD_ANN, 0, "\"ann\" is added", "");
    let site = Site::new()
        .environment(
            "EDGE_GATEWAY_MQTT__USERS_FILE",
            folder.path("users").to_str().unwrap(),
        )
        .environment(
            "EDGE_GATEWAY_MQTT__ACL_FILE",
            folder.path("acl.toml").to_str().unwrap(),
        )
        .allow(&["users, ACL and tokens stay as they were"]);
    let gateway = site.start();
    let says = |part: &'static str| {
        let gateway = &gateway;
        eventually("the log says what the hang-up did", move || {
            gateway.log().contains(part).then_some(())
        })
    };
    signal(gateway.pid(), "HUP");
    says("users, ACL and tokens are reloaded").await;
    folder.write("acl.toml", "colour = 1");
    signal(gateway.pid(), "HUP");
    says("acl.toml:1:1: colour: unknown key").await;
    assert_eq!(gateway.stop().code(), Some(0));
}
