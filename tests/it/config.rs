//! The command line and the configuration: every fault at once, with its place, before anything starts.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::support::program::{Ended, finish, run, run_with};
use crate::support::{Gateway, Site, command, repository};

/// Checks a configuration, and that a start refuses the same with the same words.
#[track_caller]
fn check(text: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).unwrap();
    let checked = run_with(&path, &["check"]);
    if checked.code != Some(0) {
        for arguments in [&["run"][..], &[]] {
            let started = run_with(&path, arguments);
            assert_eq!((started.code, &started.stderr), (Some(64), &checked.stderr));
        }
        assert_eq!(checked.stdout, "");
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing is made: {files:?}");
    }
    checked
}

#[test]
fn every_fault_is_reported_at_once_with_its_line_and_key() {
    let text = r#"gateway_id = "edge 1"
colour = "red"
[mqtt]
listen = "localhost"
max_packet = "a lot"
anonymous = "sometimes"
lisen = 1
[http]
listen = 8080
[ingest]
readings = ["a/#/b"]
[store]
group_commit = "soon"
[cloud]
url = "ftp://cloud.example.com"
batch_max_readings = 0
[[rule]]
name = "a rule"
when = "value > 75"
actions = ["explode"]
"#;
    let ended = check(text);
    assert_eq!(ended.code, Some(64));
    let faults = [
        (1, "gateway_id"),
        (2, "colour"),
        (4, "mqtt.listen"),
        (5, "mqtt.max_packet"),
        (6, "mqtt.anonymous"),
        (7, "mqtt.lisen"),
        (9, "http.listen"),
        (11, "ingest.readings"),
        (13, "store.group_commit"),
        (15, "cloud.url"),
        (16, "cloud.batch_max_readings"),
        (18, "name"),
        (20, "actions"),
    ];
    let lines = ended.headlines();
    assert_eq!(lines.len(), faults.len(), "{}", ended.stderr);
    for (line, (number, key)) in lines.iter().zip(faults) {
        let place = format!("gateway.toml:{number}:");
        assert!(line.contains(&place) && line.contains(key), "{line}");
    }
    assert!(ended.stderr.contains("did you mean"), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_no_toml_or_is_not_there_is_refused() {
    let ended = check("[mqtt\nlisten = \"127.0.0.1:0\"\n");
    ended.is_refused(64, &["gateway.toml:1:6: "]);
    let ended = run_with(Path::new("/nowhere/gateway.toml"), &["run"]);
    ended.is_refused(64, &["/nowhere/gateway.toml"]);
}

#[test]
fn a_budget_that_cannot_hold_is_refused() {
    for (line, part) in [
        ("max_size = \"1MiB\"", "from 16MiB"),
        ("keep = \"10s\"", "from 1h"),
        ("clock_wait = \"8d\"", "7d"),
        (
            "when_full = \"panic\"",
            "\"thin\" or \"drop-oldest\" or \"refuse\"",
        ),
    ] {
        check(&format!("[store]\n{line}\n")).is_refused(64, &[part]);
    }
}

#[test]
fn a_door_open_to_the_network_needs_the_operators_word() {
    for section in ["mqtt", "http"] {
        for address in ["0.0.0.0:18830", "[::]:18830", "192.168.1.5:18830"] {
            let open = format!("[{section}]\nlisten = {address:?}\n");
            let key = format!("{section}.anonymous = \"always\"");
            check(&open).is_refused(64, &["gateway.toml:2:10: ", address, &key]);
            for word in ["never", "loopback"] {
                let text = format!("{open}anonymous = {word:?}\n");
                check(&text).is_refused(64, &[address, &key]);
            }
            let allowed = check(&format!("{open}anonymous = \"always\"\n"));
            assert_eq!(allowed.code, Some(0), "{allowed:?}");
            let websocket = check(&format!("[mqtt]\nwebsocket_listen = {address:?}\n"));
            websocket.is_refused(64, &["mqtt.websocket_listen", address, "mqtt.users_file"]);
        }
    }
}

#[test]
fn the_environment_overrides_each_key() {
    let site = Site::new();
    let check_with = |variables: &[(&str, &str)]| {
        let mut command = command();
        command.arg("--config").arg(site.config()).arg("check");
        finish({
            command.envs(variables.iter().copied());
            command
        })
    };
    let ended = check_with(&[
        ("EDGE_GATEWAY_GATEWAY_ID", "other"),
        ("EDGE_GATEWAY_MQTT__MAX_PACKET", "64KiB"),
        ("EDGE_GATEWAY_INGEST__READINGS", "a/#,b/+"),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = check_with(&[
        ("EDGE_GATEWAY_GATEWAY_ID", "no good"),
        ("EDGE_GATEWAY_MQTT__MAX_PACKAGE", "64KiB"),
        ("EDGE_GATEWAY_CLOUD__TIMEOUT", "30s"),
    ]);
    let names = [
        "EDGE_GATEWAY_GATEWAY_ID",
        "EDGE_GATEWAY_MQTT__MAX_PACKAGE",
        "url",
    ];
    ended.is_refused(64, &names);
}

#[test]
fn a_variable_wins_over_the_file_in_a_run() {
    let site = Site::new();
    let elsewhere = site.path("elsewhere/gateway.db");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command();
    command
        .arg("--config")
        .arg(site.config())
        .env("EDGE_GATEWAY_STORE__PATH", &elsewhere)
        .env("EDGE_GATEWAY_HTTP__LISTEN", &address);
    finish(command).is_refused(70, &[&address]);
    // Addresses are taken before the store is opened: nothing is left behind.
    assert!(!elsewhere.exists() && !site.path("gateway.db").exists());
    drop(taken);
    let site = site.environment("EDGE_GATEWAY_STORE__PATH", elsewhere.to_str().unwrap());
    assert_eq!(site.start().stop().code(), Some(0));
    assert!(elsewhere.exists() && !site.path("gateway.db").exists());
}

#[test]
fn help_and_version_are_answers_and_an_unknown_flag_is_not() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        #[cfg(feature = "demo")]
        &["demo", "--help"],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("Usage:"), "{ended:?}");
    }
    let ended = run(&["--version"]);
    assert_eq!(ended.code, Some(0));
    let version = concat!("edge-gateway ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(ended.stdout, version);
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["check", "--config"],
        &["--log-format", "xml"],
        &["--log-level", "=="],
        &["demo", "--for", "soon"],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(!ended.stderr.is_empty());
    }
}

/// Starts on a store that cannot be opened.
#[track_caller]
fn store_is_refused(path: &Path, parts: &[&str]) {
    let site = Site::new();
    let mut command = command();
    command
        .arg("--config")
        .arg(site.config())
        .env("EDGE_GATEWAY_MQTT__LISTEN", "127.0.0.1:0")
        .env("EDGE_GATEWAY_HTTP__LISTEN", "127.0.0.1:0")
        .env("EDGE_GATEWAY_STORE__PATH", path);
    command.args(["--log-format", "json"]);
    let ended = finish(command);
    ended.is_refused(74, parts);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_store_in_a_folder_that_cannot_be_made_ends_with_74() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "a file").unwrap();
    let path = file.join("below/gateway.db");
    store_is_refused(&path, &["below"]);
    assert_eq!(fs::read(&file).unwrap(), b"a file");
    let is_folder = folder.path().join("folder");
    fs::create_dir(&is_folder).unwrap();
    store_is_refused(&is_folder, &["folder"]);
}

#[test]
fn a_second_gateway_on_a_store_ends_with_74_and_the_first_goes_on() {
    let site = Site::new();
    let gateway: Gateway<'_> = site.start();
    let path = site.path("gateway.db");
    store_is_refused(&path, &["in use", "gateway.db"]);
    let answer = crate::support::http::post(&gateway, "/data", r#"{"id":"s1","value":80}"#);
    assert_eq!(answer.status, 201);
    assert_eq!(gateway.stop().code(), Some(0));
    // Once it is gone the store is free.
    assert_eq!(site.start().stop().code(), Some(0));
}

#[test]
fn a_file_that_is_no_database_ends_with_74_and_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    for content in [
        "these are my notes, and they are dear to me\n".repeat(200),
        "short".to_owned(),
        format!("SQLite format 3\0{}", "damage".repeat(2000)),
    ] {
        fs::write(&path, &content).unwrap();
        store_is_refused(&path, &["gateway.db"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_port_in_use_ends_with_70_and_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, key) in [
        ("EDGE_GATEWAY_MQTT__LISTEN", "mqtt.listen"),
        (
            "EDGE_GATEWAY_MQTT__WEBSOCKET_LISTEN",
            "mqtt.websocket_listen",
        ),
        ("EDGE_GATEWAY_HTTP__LISTEN", "http.listen"),
    ] {
        let site = Site::new();
        let mut command = command();
        command
            .arg("--config")
            .arg(site.config())
            .env(variable, &address);
        finish(command).is_refused(70, &[&address, key]);
    }
}

#[test]
fn the_files_that_come_with_the_gateway_are_fine() {
    let config = repository().join("broker-config/gateway.toml");
    let ended = run_with(&config, &["check"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Found by itself in the working folder; without it the defaults stand.
    for folder in [repository(), tempfile::tempdir().unwrap().path()] {
        let mut command = command();
        command.arg("check").current_dir(folder);
        let ended = finish(command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    // What is switched off in it can be switched on; certificates and users are the operator's to bring.
    if cfg!(not(all(feature = "mqtt-uplink", feature = "sparkplug"))) {
        return;
    }
    let text = fs::read_to_string(&config).unwrap();
    let all = text.replace("#| ", "");
    assert_ne!(all, text);
    let ended = check(&all);
    let of = |section| {
        let keys = ["certificate", "private_key", "listen"];
        keys.map(|key| format!("{section}.tls.{key}"))
    };
    let keys = [of("mqtt"), of("http")].concat();
    ended.is_refused(64, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.headlines().len(), keys.len(), "{ended:?}");
}

#[test]
fn the_settings_of_the_compose_file_are_fine() {
    let compose = fs::read_to_string(repository().join("docker/compose.yaml")).unwrap();
    let settings: Vec<(&str, &str)> = compose
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("EDGE_GATEWAY_"))
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    assert!(3 < settings.len(), "{settings:?}");
    let mut command = command();
    command
        .args(["check", "--config"])
        .arg(repository().join("broker-config/gateway.toml"))
        .envs(settings);
    let ended = finish(command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_ends_by_itself_with_balanced_books() {
    let ended = run(&["demo", "--for", "6s"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.contains(" = "))
        .collect();
    assert!(5 <= rows.len(), "{}", ended.stdout);
    assert!(!ended.stdout.contains("WRONG"), "{}", ended.stdout);
    for row in rows {
        let numbers: Vec<u64> = row
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [.., left, right] = numbers[..] else {
            panic!("{row}");
        };
        let is_none_wanted = row.starts_with("none ");
        assert!(left == right && (left == 0) == is_none_wanted, "{row}");
    }
}
