//! The report: Markdown for the terminal, and the same as a section of a document that may hold others.

use std::{env, fmt::Write, fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    load::Shape,
    machine::Machine,
    table::{self, Series, median, whole},
};

const BEGIN: &str = "<!-- bench:flood -->";
const END: &str = "<!-- /bench:flood -->";

pub(crate) struct Report {
    pub(crate) shape: Shape,
    pub(crate) machine: Machine,
    pub(crate) gateway: Option<Series>,
    pub(crate) mosquitto: Option<Series>,
}

impl Report {
    pub(crate) fn render(&self) -> Result<String> {
        let all: Vec<_> = self.gateway.iter().chain(&self.mosquitto).collect();
        let Shape {
            clients,
            in_flight,
            readings,
        } = self.shape;
        let mut text = format!(
            "## Flood\n\n{clients} clients publish {} readings of 1,000 sensors with QoS 1, {in_flight} in flight each; \
             a quarter is over 75 and half over 50. Readings per second count to the last PUBACK; CPU seconds are those \
             of the load alone. The generator runs on the same machine.\n\n",
            whole(readings as f64)
        );
        text += &table::render(&all, table::LOAD);
        if let Some(gateway) = &self.gateway {
            write!(
                text,
                "\nThe gateway has each reading in its store, with rules applied, before the PUBACK; bare Mosquitto \
                 stores nothing.\n\n{}",
                table::render(&[gateway], table::KEPT)
            )?;
        }
        if let Some(ratios) = self.ratios() {
            writeln!(text, "\n{ratios}")?;
        }
        self.write_origin(&mut text, &all)?;
        Ok(text)
    }

    /// Each round's rate of the gateway as a part of Mosquitto's.
    fn ratios(&self) -> Option<String> {
        let (gateway, mosquitto) = (self.gateway.as_ref()?, self.mosquitto.as_ref()?);
        let pairs = gateway.rounds.iter().zip(&mosquitto.rounds);
        let ratios: Vec<_> = pairs
            .map(|(ours, theirs)| {
                ours.outcome.readings_per_second() / theirs.outcome.readings_per_second()
            })
            .collect();
        let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let middle = median(ratios)?;
        Some(format!(
            "**Rate of the gateway / rate of Mosquitto: {middle:.2}** (median of {}).",
            each.join(", ")
        ))
    }

    fn write_origin(&self, text: &mut String, all: &[&Series]) -> Result<()> {
        let Machine {
            processor,
            cores,
            memory_gib,
            kernel,
            file_system,
            date,
        } = &self.machine;
        let versions: Vec<_> = all.iter().map(|series| series.version.as_str()).collect();
        write!(
            text,
            "\n- Machine: {processor}, {cores} cores, {memory_gib:.1} GiB memory, Linux {kernel}, servers' files on \
             {file_system}\n- Date: {date}\n- Versions: {}\n- Command: `{}`\n",
            versions.join("; "),
            command()
        )?;
        Ok(())
    }

    /// Fails unless every reading that the gateway acked is in its store.
    pub(crate) fn check_stored(&self) -> Result<()> {
        for (number, round) in self
            .gateway
            .iter()
            .flat_map(|series| &series.rounds)
            .enumerate()
        {
            let (acked, stored) = (
                round.outcome.acked,
                round.kept.as_ref().map_or(0, |kept| kept.stored),
            );
            ensure!(
                stored == acked,
                "round {}: the gateway acked {acked} readings and stored {stored}",
                number + 1
            );
        }
        Ok(())
    }
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

/// Puts the report into the document at `path`, which is made if it does not exist.
pub(crate) fn write_section(path: &Path, report: &str) -> Result<()> {
    let shown = path.display();
    let document = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => "# Measurements\n".to_owned(),
        read => read.with_context(|| format!("cannot read {shown}"))?,
    };
    let document =
        replace_section(&document, report).with_context(|| format!("{shown} stays as it was"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, document).with_context(|| format!("cannot write {shown}"))
}

fn replace_section(document: &str, report: &str) -> Result<String> {
    let section = format!("{BEGIN}\n{report}{END}");
    let Some((before, rest)) = document.split_once(BEGIN) else {
        ensure!(
            !document.contains(END),
            "{END} stands there without {BEGIN}"
        );
        return Ok(format!("{}\n\n{section}\n", document.trim_end())
            .trim_start()
            .to_owned());
    };
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{BEGIN} stands there without {END} behind it"))?;
    Ok(format!("{before}{section}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# A\n\n<!-- bench:flood -->\nold\n<!-- /bench:flood -->\n\n## B\n";

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() -> Result<()> {
        let document = replace_section(OLD, "new\n")?;
        assert_eq!(document, OLD.replace("old", "new"));
        assert_eq!(replace_section(&document, "new\n")?, document);
        Ok(())
    }

    #[test]
    fn a_document_without_the_section_gets_it_at_its_end() -> Result<()> {
        let section = "<!-- bench:flood -->\nnew\n<!-- /bench:flood -->\n";
        assert_eq!(
            replace_section("# A\n", "new\n")?,
            format!("# A\n\n{section}")
        );
        assert_eq!(replace_section("", "new\n")?, section);
        Ok(())
    }

    #[test]
    fn half_a_section_is_a_fault() {
        assert!(replace_section("<!-- bench:flood -->\nold\n", "new\n").is_err());
        assert!(replace_section("old\n<!-- /bench:flood -->\n", "new\n").is_err());
        assert!(replace_section("<!-- /bench:flood --><!-- bench:flood -->", "new\n").is_err());
    }
}
