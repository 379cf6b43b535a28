//! What several keys of an uplink say together.

use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::config::tests::without_column;

/// The faults of a configuration, one a line; empty for none.
fn faults(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in ["token", "ca.pem"] {
        fs::write(folder.path().join(file), "x").unwrap();
    }
    let file = folder.path().join("g.toml");
    fs::write(&file, text).unwrap();
    let shown = Path::new(&file).display().to_string();
    match Config::load(Some(&file), std::iter::empty()) {
        Ok(_) => String::new(),
        Err(faults) => {
            let lines: Vec<_> = faults.list.iter().map(without_column).collect();
            lines.join("\n").replace(&shown, "g.toml")
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let found = faults(text);
    if expected.is_empty() {
        assert_eq!(found, "", "{text}");
    } else {
        assert!(found.contains(expected), "{text}\n{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn an_uplink_that_leads_back_to_the_gateway_is_refused() {
    let back = |door: &str| format!("url: leads back to this gateway, to {door}: name another");
    let cloud = |url: &str| format!("[cloud]\nurl = \"{url}\"\n");
    check(
        &cloud("http://127.0.0.1:8080/data"),
        &format!("g.toml:2: cloud.{}", back("http.listen")),
    );
    check(&cloud("http://localhost:8080/data"), &back("http.listen"));
    check(&cloud("mqtt://localhost"), &back("mqtt.listen"));
    check(&cloud("http://[::1]:8080/data"), "");
    check(&cloud("http://127.0.0.1:8081/data"), "");
    check(
        "[[uplink]]\nname = \"b\"\nurl = \"http://127.0.0.1/\"\n[http]\nlisten = \"127.0.0.1:80\"\n",
        &format!("g.toml:3: uplink[1].{}", back("http.listen")),
    );
    // A port that the system chooses is not known yet.
    check(
        "[cloud]\nurl = \"mqtt://127.0.0.1:1\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n",
        "",
    );
}

#[test]
fn keys_that_another_one_makes_idle_are_refused_unless_they_say_nothing() {
    let http = "[cloud]\nurl = \"http://localhost:1/x\"\n";
    for key in ["ca_file", "client_certificate", "client_key"] {
        let text = format!("{http}{key} = \"ca.pem\"\n");
        check(
            &text,
            &format!("g.toml:3: cloud.{key}: means nothing without TLS"),
        );
        check(&format!("{http}{key} = \"\"\n"), "");
    }
    let token =
        "bearer_token_file = \"token\"\nheaders = { Authorization = { file = \"token\" } }\n";
    check(
        &format!("{http}{token}"),
        "g.toml:3: cloud.bearer_token_file: means nothing beside headers.authorization",
    );
    // There the token stands in the URL.
    check(
        &format!("[cloud]\nurl = \"https://c.example/%{{token}}\"\n{token}"),
        "",
    );
    check(
        "[cloud]\nurl = \"mqtts://b.example\"\nheaders = {}\nexpect = {}\nbearer_token_file = \"\"\n",
        "",
    );
}

#[test]
fn the_value_of_a_header_is_not_repeated() {
    for value in ["\"s3cr3t\\u0007\"", "[\"s3cr3t\"]", "{ s3cr3t = \"x\" }"] {
        let found = faults(&format!(
            "[cloud]\nurl = \"https://c.example\"\nheaders = {{ x-key = {value} }}\n"
        ));
        assert!(
            found.contains("cloud.headers.x-key: expected a text"),
            "{found}"
        );
        assert!(!found.contains("s3cr3t"), "{found}");
    }
}
