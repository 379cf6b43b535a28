//! A report's place: what it was measured on, and the section of a document that holds it beside others.

use std::{env, fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result, ensure};

use crate::machine::Machine;

/// The lines under a report that say where its figures come from.
pub(crate) fn origin(folder: &Path, versions: &[String]) -> Result<String> {
    let Machine {
        processor,
        cores,
        memory_gib,
        kernel,
        file_system,
        date,
    } = Machine::look(folder)?;
    if file_system == "tmpfs" {
        eprintln!(
            "the servers' files lie in memory, where syncing costs nothing: --folder takes a folder on a disk"
        );
    }
    Ok(format!(
        "\n- Machine: {processor}, {cores} cores, {memory_gib:.1} GiB memory, Linux {kernel}, servers' files on \
         {file_system}\n- Date: {date}\n- Versions: {}\n- Command: `{}`\n",
        versions.join("; "),
        command()
    ))
}

/// As it would be typed again, with the settings of the gateway that it inherited.
fn command() -> String {
    let settings = env::vars().filter(|(name, _)| name.starts_with("EDGE_GATEWAY_"));
    let mut words: Vec<_> = settings
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    words.sort();
    words.push("cargo run --release -p bench".to_owned());
    let arguments: Vec<_> = env::args().skip(1).collect();
    if !arguments.is_empty() {
        words.push("--".to_owned());
        words.extend(arguments);
    }
    words.join(" ")
}

/// Puts the report into the document at `path`, which is made if it does not exist, as the section `name`.
pub(crate) fn write_section(path: &Path, name: &str, report: &str) -> Result<()> {
    let shown = path.display();
    let document = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => "# Measurements\n".to_owned(),
        read => read.with_context(|| format!("cannot read {shown}"))?,
    };
    let document = replace_section(&document, name, report)
        .with_context(|| format!("{shown} stays as it was"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, document).with_context(|| format!("cannot write {shown}"))
}

fn replace_section(document: &str, name: &str, report: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- bench:{name} -->"),
        format!("<!-- /bench:{name} -->"),
    );
    let section = format!("{begin}\n{report}{end}");
    let Some((before, rest)) = document.split_once(&begin) else {
        ensure!(
            !document.contains(&end),
            "{end} stands there without {begin}"
        );
        return Ok(format!("{}\n\n{section}\n", document.trim_end())
            .trim_start()
            .to_owned());
    };
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{begin} stands there without {end} behind it"))?;
    Ok(format!("{before}{section}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# A\n\n<!-- bench:flood -->\nold\n<!-- /bench:flood -->\n\n## B\n";

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() -> Result<()> {
        let document = replace_section(OLD, "flood", "new\n")?;
        assert_eq!(document, OLD.replace("old", "new"));
        assert_eq!(replace_section(&document, "flood", "new\n")?, document);
        Ok(())
    }

    #[test]
    fn a_document_without_the_section_gets_it_at_its_end() -> Result<()> {
        let section = "<!-- bench:flood -->\nnew\n<!-- /bench:flood -->\n";
        assert_eq!(
            replace_section("# A\n", "flood", "new\n")?,
            format!("# A\n\n{section}")
        );
        assert_eq!(replace_section("", "flood", "new\n")?, section);
        Ok(())
    }

    #[test]
    fn half_a_section_is_a_fault() {
        assert!(replace_section("<!-- bench:flood -->\nold\n", "flood", "new\n").is_err());
        assert!(replace_section("old\n<!-- /bench:flood -->\n", "flood", "new\n").is_err());
        assert!(
            replace_section(
                "<!-- /bench:flood --><!-- bench:flood -->",
                "flood",
                "new\n"
            )
            .is_err()
        );
    }
}
