//! Rounds as Markdown tables: a row a round, and a row of medians.

use crate::round::Round;

/// One server's rounds.
pub(crate) struct Series {
    pub(crate) server: &'static str,
    pub(crate) version: String,
    pub(crate) rounds: Vec<Round>,
}

impl Series {
    pub(crate) fn stores(&self) -> bool {
        self.rounds.iter().any(|round| round.kept.is_some())
    }
}

pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) value: fn(&Round) -> Option<f64>,
    pub(crate) show: fn(f64) -> String,
}

pub(crate) const LOAD: &[Column] = &[
    Column {
        title: "readings/s",
        value: |round| Some(round.outcome.readings_per_second()),
        show: whole,
    },
    Column {
        title: "PUBACK p50, ms",
        value: |round| Some(latency_ms(round, 0.50)),
        show: decimals::<2>,
    },
    Column {
        title: "p99, ms",
        value: |round| Some(latency_ms(round, 0.99)),
        show: decimals::<2>,
    },
    Column {
        title: "max, ms",
        value: |round| Some(latency_ms(round, 1.0)),
        show: decimals::<2>,
    },
    Column {
        title: "out of order",
        value: |round| Some(round.outcome.out_of_order as f64),
        show: whole,
    },
    Column {
        title: "idle memory, MiB",
        value: |round| Some(round.idle_kib as f64 / 1024.0),
        show: decimals::<1>,
    },
    Column {
        title: "peak memory, MiB",
        value: |round| Some(round.peak_kib as f64 / 1024.0),
        show: decimals::<1>,
    },
    Column {
        title: "server CPU, s",
        value: |round| Some(round.server_cpu.as_secs_f64()),
        show: decimals::<2>,
    },
    Column {
        title: "generator CPU, s",
        value: |round| Some(round.generator_cpu.as_secs_f64()),
        show: decimals::<2>,
    },
];

pub(crate) const KEPT: &[Column] = &[
    Column {
        title: "acked",
        value: |round| Some(round.outcome.acked as f64),
        show: whole,
    },
    Column {
        title: "stored at the last PUBACK",
        value: |round| Some(round.kept.as_ref()?.stored as f64),
        show: whole,
    },
    Column {
        title: "stored 5 s later",
        value: |round| Some(round.kept.as_ref()?.stored_later as f64),
        show: whole,
    },
    Column {
        title: "readings stored/s",
        value: |round| {
            let until_stored = round.outcome.took + round.kept.as_ref()?.lag?;
            Some(round.outcome.acked as f64 / until_stored.as_secs_f64())
        },
        show: whole,
    },
    Column {
        title: "bytes written per reading",
        value: |round| Some(round.kept.as_ref()?.written_bytes as f64 / round.outcome.acked as f64),
        show: whole,
    },
    Column {
        title: "requests to the cloud meanwhile",
        value: |round| Some(round.kept.as_ref()?.cloud.requests as f64),
        show: whole,
    },
    Column {
        title: "bytes to the cloud meanwhile",
        value: |round| Some(round.kept.as_ref()?.cloud.body_bytes as f64),
        show: whole,
    },
];

/// A row for each round of each series, the rounds side by side, then the medians.
pub(crate) fn render(series: &[&Series], columns: &[Column]) -> String {
    let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
    let mut rows = Vec::new();
    let rounds = series.iter().map(|one| one.rounds.len()).max().unwrap_or(0);
    for number in 0..rounds {
        for one in series {
            if let Some(round) = one.rounds.get(number) {
                let label = (number + 1).to_string();
                rows.push(row(label, one.server, columns, |column| {
                    (column.value)(round)
                }));
            }
        }
    }
    for one in series {
        rows.push(row("median".to_owned(), one.server, columns, |column| {
            median(one.rounds.iter().filter_map(column.value).collect())
        }));
    }
    lines(&titles, &rows)
}

/// A table of rows that begin with round and server.
pub(crate) fn lines(titles: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec!["| round | server |".to_owned(), "|---|---|".to_owned()];
    for title in titles {
        lines[0] += &format!(" {title} |");
        lines[1] += "---:|";
    }
    lines.extend(rows.iter().map(|row| format!("| {} |", row.join(" | "))));
    lines.join("\n") + "\n"
}

fn row(
    label: String,
    server: &str,
    columns: &[Column],
    value: impl Fn(&Column) -> Option<f64>,
) -> Vec<String> {
    let cells = columns
        .iter()
        .map(|column| value(column).map_or("–".to_owned(), column.show));
    [label, server.to_owned()]
        .into_iter()
        .chain(cells)
        .collect()
}

/// A table whose first column is text and whose others are numbers.
pub(crate) fn without_rounds(
    first: &str,
    titles: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut text = row_of(std::iter::once(first).chain(titles.iter().copied()));
    text += &row_of(std::iter::once("---").chain(titles.iter().map(|_| "---:")));
    for row in rows {
        text += &row_of(row);
    }
    text
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        values[middle - 1].midpoint(upper)
    })
}

/// Each of `ours` as a part of its fellow in `theirs`, and the same for people.
pub(crate) fn quotients(ours: &[f64], theirs: &[f64]) -> (Vec<f64>, String) {
    let pairs = ours.iter().zip(theirs);
    let ratios: Vec<_> = pairs.map(|(ours, theirs)| ours / theirs).collect();
    let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    (ratios, each.join(", "))
}

/// A line of a table.
pub(crate) fn row_of(cells: impl IntoIterator<Item: AsRef<str>>) -> String {
    let mut line = "|".to_owned();
    for cell in cells {
        line += " ";
        line += cell.as_ref();
        line += " |";
    }
    line + "\n"
}

fn latency_ms(round: &Round, quantile: f64) -> f64 {
    round.outcome.latency_ns.value_at_quantile(quantile) as f64 / 1e6
}

pub(crate) fn decimals<const DIGITS: usize>(value: f64) -> String {
    format!("{value:.DIGITS$}")
}

/// Rounded, in groups of three digits.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What stands behind a figure that has a goal.
pub(crate) fn missed(is_met: bool) -> &'static str {
    if is_met { "" } else { ", goal missed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middle_values() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn whole_numbers_are_grouped_by_three_digits() {
        assert_eq!(
            [0.4, 999.0, 1_000.0, 1_234_567.0].map(whole),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
