//! Copying tables whose rows come at the end, never change and leave from anywhere: the outbox, alerts, rejects, dead letters.
//! They are copied range by range; before the end each range is looked at again, whether rows have come or gone.

use rusqlite::{Connection, params_from_iter};

use super::CareError;
use super::copying::{copy_rows, remove_rows};

/// Tables that are copied in ranges, with the column that grows, and how many rows are copied at once: a few MB at most.
pub(super) const LISTS: [(&str, &str, i64); 4] = [
    ("outbox_entry", "reading", 20_000),
    ("alert", "id", 10_000),
    ("reject", "id", 200),
    ("dead_letter", "id", 1000),
];

/// One of them, or the part of one that belongs to an uplink.
#[derive(Debug)]
pub(super) struct List {
    table: &'static str,
    column: &'static str,
    rows_at_once: i64,
    /// The uplink's key, where the table is divided by them.
    uplink: Option<i64>,
    /// The ranges that were copied, ascending.
    copied: Vec<Range>,
}

/// Rows that were copied.
#[derive(Debug)]
struct Range {
    /// The first and the last place.
    ends: [i64; 2],
    /// How many there are, and the sum of their places from the first on: less with each row that leaves, more with each that comes.
    sum: [i64; 2],
}

impl List {
    pub(super) fn new(table: &str, uplink: Option<i64>) -> Option<Self> {
        let (table, column, rows_at_once) = LISTS.into_iter().find(|(name, ..)| *name == table)?;
        Some(Self {
            table,
            column,
            rows_at_once,
            uplink,
            copied: Vec::new(),
        })
    }

    pub(super) fn is_of(&self, table: &str, uplink: Option<i64>) -> bool {
        self.table == table && self.uplink == uplink
    }

    /// Copies the next rows; false if there are no more: under load there are always some soon, which the end brings. In a transaction of
    /// its own, or of the caller.
    pub(super) fn copy_next(
        &mut self,
        from: &Connection,
        to: &Connection,
    ) -> Result<bool, CareError> {
        // Ranges leave nothing out between them: a dead letter that is sent again comes back to its old place.
        let first = self.copied.last().map_or(0, |range| range.ends[1] + 1);
        let (column, table, limit) = (self.column, self.table, self.rows_at_once);
        let of_uplink = self.of_uplink();
        let select = format!(
            "SELECT max({column}), count(*), coalesce(sum({column} - ?1), 0) FROM \
             (SELECT {column} FROM {table} WHERE ?1 <= {column} {of_uplink} ORDER BY {column} LIMIT {limit})"
        );
        let start: Vec<i64> = [Some(first), self.uplink].into_iter().flatten().collect();
        let (last, sum): (Option<i64>, _) = from
            .prepare_cached(&select)?
            .query_row(params_from_iter(&start), |row| {
                Ok((row.get(0)?, [row.get(1)?, row.get(2)?]))
            })?;
        let Some(last) = last else {
            return Ok(false);
        };
        let ends = [first, last];
        copy_rows(from, to, self.table, &self.within(), &self.values(ends))?;
        self.copied.push(Range { ends, sum });
        Ok(sum[0] == limit)
    }

    /// Copies again the ranges in which rows have come or gone.
    pub(super) fn renew(&mut self, from: &Connection, to: &Connection) -> Result<(), CareError> {
        for at in 0..self.copied.len() {
            let values = self.values(self.copied[at].ends);
            let sum = self.sum(from, &values)?;
            if sum != self.copied[at].sum {
                remove_rows(to, self.table, &self.within(), &values)?;
                copy_rows(from, to, self.table, &self.within(), &values)?;
                self.copied[at].sum = sum;
            }
        }
        Ok(())
    }

    fn sum(&self, connection: &Connection, values: &[i64]) -> Result<[i64; 2], CareError> {
        let (column, table) = (self.column, self.table);
        let select = format!(
            "SELECT count(*), coalesce(sum({column} - ?1), 0) FROM {table} WHERE {}",
            self.within()
        );
        let mut select = connection.prepare_cached(&select)?;
        Ok(select.query_row(params_from_iter(values), |row| {
            Ok([row.get(0)?, row.get(1)?])
        })?)
    }

    fn within(&self) -> String {
        let (column, of_uplink) = (self.column, self.of_uplink());
        let last = 2 + usize::from(self.uplink.is_some());
        format!("?1 <= {column} AND {column} <= ?{last} {of_uplink}")
    }

    fn of_uplink(&self) -> &'static str {
        if self.uplink.is_some() {
            "AND uplink = ?2"
        } else {
            ""
        }
    }

    fn values(&self, [first, last]: [i64; 2]) -> Vec<i64> {
        [Some(first), self.uplink, Some(last)]
            .into_iter()
            .flatten()
            .collect()
    }
}
