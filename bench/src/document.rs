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

/// A section with a part for each of many things, which need not be measured in one run.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) head: &'a str,
    /// The names of all parts.
    pub(crate) order: Vec<&'a str>,
    pub(crate) origin: &'a str,
}

/// Begins a part, before its name.
const PART: &str = "\n### ";
/// Begins an [origin].
const ORIGIN: &str = "\n- Machine: ";

/// Puts the report into the document at `path`, which is made if it does not exist, as the section `name`.
pub(crate) fn write_section(path: &Path, name: &str, report: &str) -> Result<()> {
    change(path, |document| replace_section(document, name, report))
}

/// Puts one part, with its heading, into the section `name`, and leaves the others.
pub(crate) fn write_part(
    path: &Path,
    name: &str,
    parts: &Parts<'_>,
    part: (&str, &str),
) -> Result<()> {
    change(path, |document| {
        let old = section(document, name)?.map_or("", |(_, old, _)| old);
        replace_section(document, name, &parts.replace(old, part))
    })
}

impl Parts<'_> {
    fn replace(&self, old: &str, (new_name, new): (&str, &str)) -> String {
        let old = old.split_once(ORIGIN).map_or(old, |(parts, _)| parts);
        let old: Vec<&str> = old.split(PART).skip(1).collect();
        let mut text = self.head.to_owned();
        for name in &self.order {
            let kept = old.iter().find(|part| part.lines().next() == Some(name));
            if *name == new_name {
                text += new;
            } else if let Some(kept) = kept {
                text = text + PART + kept.trim_end() + "\n";
            }
        }
        text + self.origin
    }
}

fn change(path: &Path, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let shown = path.display();
    let document = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => "# Measurements\n".to_owned(),
        read => read.with_context(|| format!("cannot read {shown}"))?,
    };
    let document = change(&document).with_context(|| format!("{shown} stays as it was"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, document).with_context(|| format!("cannot write {shown}"))
}

fn bounds(name: &str) -> (String, String) {
    (
        format!("<!-- bench:{name} -->"),
        format!("<!-- /bench:{name} -->"),
    )
}

/// What stands before a section, in it, and behind it.
fn section<'d>(document: &'d str, name: &str) -> Result<Option<(&'d str, &'d str, &'d str)>> {
    let (begin, end) = bounds(name);
    let Some((before, rest)) = document.split_once(&begin) else {
        ensure!(
            !document.contains(&end),
            "{end} stands there without {begin}"
        );
        return Ok(None);
    };
    let (old, after) = rest
        .split_once(&end)
        .with_context(|| format!("{begin} stands there without {end} behind it"))?;
    Ok(Some((before, old, after)))
}

fn replace_section(document: &str, name: &str, report: &str) -> Result<String> {
    let (begin, end) = bounds(name);
    let new = format!("{begin}\n{report}{end}");
    Ok(match section(document, name)? {
        Some((before, _, after)) => format!("{before}{new}{after}"),
        None => format!("{}\n\n{new}\n", document.trim_end())
            .trim_start()
            .to_owned(),
    })
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
    fn a_part_is_replaced_in_its_place_and_the_others_stay() {
        let parts = Parts {
            head: "## Head\n",
            order: vec!["a", "b", "c"],
            origin: "\n- Machine: new\n",
        };
        let old = "\n## Old\n\n### c\n\nthird\n\n### a\n\nfirst\n\n### gone\n\n- Machine: old\n";
        let new = parts.replace(old, ("b", "\n### b\n\nsecond\n"));
        let expected =
            "## Head\n\n### a\n\nfirst\n\n### b\n\nsecond\n\n### c\n\nthird\n\n- Machine: new\n";
        assert_eq!(new, expected);
        assert_eq!(parts.replace(&new, ("b", "\n### b\n\nsecond\n")), expected);
        assert_eq!(
            parts.replace("", ("c", "\n### c\n")),
            "## Head\n\n### c\n\n- Machine: new\n"
        );
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
