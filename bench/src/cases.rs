//! Cases in which the brokers are held against each other: their rounds, a table of medians and one of ratios.

use anyhow::{Context, Result, ensure};

use crate::{
    flood::in_turn,
    options::Options,
    subject::{self, Subject},
    table::{median, missed, quotients, row_of},
};

/// One figure of a case.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) show: fn(f64) -> String,
    pub(crate) compare: Compare,
}

/// Whether the gateway's figure is held against the other broker's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compare {
    Not,
    /// Without a goal.
    Ratio,
    AtLeast(f64),
    AtMost(f64),
}

impl Compare {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::Not | Self::Ratio => true,
            Self::AtLeast(goal) => goal <= ratio,
            Self::AtMost(goal) => ratio <= goal,
        }
    }
}

/// A figure for each column.
pub(crate) type Figures = Vec<f64>;

/// What all rounds of all cases gave.
pub(crate) struct Cases {
    columns: &'static [Column],
    names: Vec<String>,
    /// By case and round.
    servers: Vec<(Subject, Vec<Vec<Figures>>)>,
}

impl Cases {
    /// Measures each case that `options` ask for, the brokers in turn.
    pub(crate) fn run<T>(
        options: &Options,
        rounds: u32,
        columns: &'static [Column],
        cases: impl IntoIterator<Item = (String, T)>,
        mut measure: impl FnMut(&Subject, &T) -> Result<Figures>,
    ) -> Result<Self> {
        let brokers = subject::find_brokers(options)?.into_iter();
        let mut servers: Vec<_> = brokers.map(|broker| (broker, Vec::new())).collect();
        let mut names = Vec::new();
        for (name, case) in cases {
            if !options.wants_case(&name) {
                continue;
            }
            for (_, all) in &mut servers {
                all.push(Vec::new());
            }
            in_turn(&mut servers, rounds, |round, (subject, all)| {
                let figures = measure(subject, &case).with_context(|| name.clone())?;
                let shown = columns.iter().zip(&figures);
                let shown: Vec<_> = shown
                    .filter(|(_, figure)| figure.is_finite())
                    .map(|(column, figure)| format!("{} {}", column.title, (column.show)(*figure)))
                    .collect();
                let broker = subject.name();
                eprintln!("round {round}, {name}: {broker}: {}", shown.join("; "));
                all.last_mut().context("a case was begun")?.push(figures);
                Ok(())
            })?;
            names.push(name);
        }
        ensure!(!names.is_empty(), "no case has that in its name");
        Ok(Self {
            columns,
            names,
            servers,
        })
    }

    pub(crate) fn versions(&self) -> Result<Vec<String>> {
        let subjects = self.servers.iter().map(|(subject, _)| subject);
        subjects.map(Subject::version).collect()
    }

    /// The brokers, and of each the rounds of each case.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&Subject, &[Vec<Figures>])> {
        self.servers
            .iter()
            .map(|(subject, all)| (subject, all.as_slice()))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The medians; then, if two brokers were measured, the gateway's figures as parts of the other's.
    pub(crate) fn render(&self) -> String {
        let mut text = self.medians();
        if let [(_, ours), (other, theirs)] = &self.servers[..] {
            text += &format!("\nGateway / {}", other.name());
            text += ", the median and in brackets each round:\n\n";
            text += &self.ratios(ours, theirs);
        }
        text
    }

    fn medians(&self) -> String {
        let mut titles = vec!["case", "broker"];
        titles.extend(self.columns.iter().map(|column| column.title));
        let mut lines = row_of(titles) + &rule(2, self.columns.len());
        for (case, name) in self.names.iter().enumerate() {
            for (subject, all) in &self.servers {
                let mut cells = vec![name.clone(), subject.name().to_owned()];
                for (index, column) in self.columns.iter().enumerate() {
                    let middle = median(rounds_of(&all[case], index));
                    cells.push(middle.map_or("–".to_owned(), column.show));
                }
                lines += &row_of(cells);
            }
        }
        lines
    }

    fn ratios(&self, ours: &[Vec<Figures>], theirs: &[Vec<Figures>]) -> String {
        let compared = self.columns.iter().enumerate();
        let compared: Vec<_> = compared
            .filter(|(_, column)| column.compare != Compare::Not)
            .collect();
        let mut titles = vec!["case"];
        titles.extend(compared.iter().map(|(_, column)| column.title));
        let mut lines = row_of(titles) + &rule(1, compared.len());
        for (case, name) in self.names.iter().enumerate() {
            let mut cells = vec![name.clone()];
            for (index, column) in &compared {
                let (a, b) = (
                    rounds_of(&ours[case], *index),
                    rounds_of(&theirs[case], *index),
                );
                cells.push(ratio_cell(&a, &b, column.compare));
            }
            lines += &row_of(cells);
        }
        lines
    }
}

/// The line under a table's titles: so many columns of words, then of figures.
fn rule(words: usize, figures: usize) -> String {
    format!("|{}{}\n", "---|".repeat(words), "---:|".repeat(figures))
}

/// One column of each round; what was not measured is left out.
pub(crate) fn rounds_of(rounds: &[Figures], column: usize) -> Vec<f64> {
    let figures = rounds.iter().filter_map(|figures| figures.get(column));
    figures
        .copied()
        .filter(|figure| figure.is_finite())
        .collect()
}

fn ratio_cell(ours: &[f64], theirs: &[f64], compare: Compare) -> String {
    let (ratios, each) = quotients(ours, theirs);
    let Some(middle) = median(ratios).filter(|middle| middle.is_finite()) else {
        return "–".to_owned();
    };
    let missed = missed(compare.is_met(middle));
    format!("{middle:.2} ({each}){missed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_when_it_misses_its_goal() {
        let check = |compare, expected: &str| {
            let cell = ratio_cell(&[1.0, 3.0, 1.5], &[2.0, 2.0, 1.0], compare);
            assert_eq!(cell, expected, "{compare:?}");
        };
        check(Compare::AtLeast(1.5), "1.50 (0.50, 1.50, 1.50)");
        check(
            Compare::AtLeast(1.6),
            "1.50 (0.50, 1.50, 1.50), goal missed",
        );
        check(Compare::AtMost(1.5), "1.50 (0.50, 1.50, 1.50)");
        check(Compare::AtMost(1.4), "1.50 (0.50, 1.50, 1.50), goal missed");
        check(Compare::Ratio, "1.50 (0.50, 1.50, 1.50)");
        assert_eq!(ratio_cell(&[], &[], Compare::Ratio), "–");
    }

    #[test]
    fn rounds_without_a_figure_are_left_out() {
        let rounds = [vec![1.0, f64::NAN], vec![2.0, 3.0], vec![4.0]];
        assert_eq!(rounds_of(&rounds, 0), [1.0, 2.0, 4.0]);
        assert_eq!(rounds_of(&rounds, 1), [3.0]);
    }
}
