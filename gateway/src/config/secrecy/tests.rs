use std::sync::Arc;

use crate::config::Config;

const SECRET: &str = "s3cr3t";

fn told(text: &str) -> String {
    let faults = Config::parse(text, &Arc::from("g.toml")).unwrap_err();
    faults.to_string()
}

#[test]
fn no_line_with_a_secret_is_shown() {
    for text in [
        "[cloud]\nurl = \"ftp://s3cr3t@x\"",
        "[cloud]\nurl = \"https://x/?key=s3cr3t\" x",
        "[cloud]\nurl = \"https://x/?key=s3cr3t",
        "[cloud]\nulr = \"https://x/?key=s3cr3t\"",
        "[cloud]\nbearer_token = \"s3cr3t\"",
        "[cloud]\nbearer_token_file = \"s3cr3t\"",
        "[[uplink]]\nname = \"x\"\npassword_file = \"s3cr3t\"\nurl = \"mqtts://x\"",
        "[[uplink]]\nname = 5\nurl = \"s3cr3t\"",
        "cloud = { url = \"https://s3cr3t.x/\", timeout = 5 }",
        "cloud = {\n  url = \"https://s3cr3t.x/\", timeout = 5 }",
        "cloud = { timeout = 5, url = \"https://s3cr3t.x/\" }",
        "cloud = [\"s3cr3t\"]",
        "cloud = \"s3cr3t\"",
        "uplink = [\"s3cr3t\"]",
        "uplink = [{ url = \"s3cr3t\" }]",
        "cloud.url = \"s3cr3t\"",
        "cloud.url = \"s3cr3t",
        "clod = { url = \"s3cr3t\" }",
        "clod = {\n a = 1, url = \"s3cr3t\",\n",
        "[cloud.headers]\nauthorization = \"s3cr3t\"",
        "[cloud.headers]\nhost = \"s3cr3t\"",
        "[cloud.headers]\nx = \"s3cr3t",
        "[cloud]\nheaders = { authorization = \"s3cr3t\" }",
        "[cloud]\nheaders = { x = \"s3cr3t é\" }",
        "[cloud]\nheaders = { x = [\"s3cr3t\"] }",
        "[cloud]\nheaders = \"s3cr3t\"",
        "uplink = \"s3cr3t\"",
        "uplink = [\n[\"s3cr3t\"]]",
        "[cloud]\nheaders = { \"a b\" = \"s3cr3t\" }",
        "[cloud\nurl = \"s3cr3t\"",
        "[mqtt]\n[cloud\nurl = \"s3cr3t\"",
        "[[rule]]\nname = \"a\"\n[[uplink]\nwhen = \"s3cr3t\"\nurl = \"s3cr3t\"",
        "[ \"cloud\" . x\nurl = \"s3cr3t\"\nurl",
        "[mqtt]\npassword = \"s3cr3t\"",
        "mqtt = { lisen = 1, password = \"s3cr3t\" }",
        "password = \"s3cr3t\"",
        "password = s3cr3t",
    ] {
        let told = told(text);
        assert!(!told.contains(SECRET), "{text}\n\n{told}");
    }
}

#[test]
fn what_is_no_secret_is_shown() {
    for (text, shown) in [
        (
            "[cloud]\nurl = \"https://x/\"\ntimeout = \"5\" # s3cr3t",
            "3 | timeout = \"5\"…\n",
        ),
        ("[cloud]\ntimeout = \"5s\"", "1 | [cloud]\n"),
        ("[cloud]\nulr = \"https://x/\"", "2 | ulr…\n"),
        ("[mqtt]\nlisten = 5", "2 | listen = 5\n"),
        ("[mqtt]\nlisten = \"a", "2 | listen = \"a\n"),
        ("[mqtt]\nlisen = 1", "2 | lisen…\n"),
        ("[colour]\nred = 1", "1 | [colour…\n"),
        ("gateway_id = \"a", "1 | gateway_id = \"a\n"),
        ("words", "1 | words\n"),
        (
            "[[rule]]\nname = \"a\"\nfro = 5\nwhen = \"true\"\nactions = [\"drop\"]",
            "3 | fro = 5\n",
        ),
        (
            "[[rule]]\nname = \"a\"\nwhen = \"true\nactions = [\"drop\"]",
            "3 | when = \"true\n",
        ),
    ] {
        let told = told(text);
        assert!(told.contains(shown), "{text}\n\n{told}");
    }
}

#[test]
fn who_sends_thousands_of_faults_gets_lines_for_the_first_only() {
    let told = told(&format!("[mqtt]\n{}", "x = 1 2\n".repeat(3000)));
    assert_eq!(told.matches("not valid TOML").count(), 3000);
    assert_eq!(told.matches(" | x = 1 2").count(), 100);
}
