//! What the store takes, for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::cli::visible::visible;
use crate::store::care::Stats;

/// The figures, a line each, then tables.
pub(super) fn text(stats: &Stats) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: &str| {
        // Writing to a text does not fail.
        writeln!(text, "{name:<20} {what}").ok();
    };
    line(
        "store",
        &format!(
            "{} (schema {}, store_id {})",
            stats.path, stats.schema, stats.store_id
        ),
    );
    line("database", &format!("{} bytes", stats.database_bytes));
    line("write-ahead log", &format!("{} bytes", stats.log_bytes));
    line(
        "pages",
        &format!(
            "{} of {} bytes, {} of them free",
            stats.pages, stats.page_bytes, stats.free_pages
        ),
    );
    let each = stats.bytes_per_reading.map_or(String::new(), |bytes| {
        format!(", {bytes:.1} bytes each with their index")
    });
    line("readings", &format!("{}{each}", stats.readings));
    line(
        "received",
        &format!("{} to {}", moment(stats.oldest), moment(stats.newest)),
    );
    line("last id given", &stats.last_reading.to_string());
    line("sensors", &stats.sensors.to_string());
    for sensor in &stats.busiest {
        line(
            "",
            &format!("{} {}", visible(&sensor.sensor_id), sensor.readings),
        );
    }
    for of in &stats.outbox {
        line(
            "outbox",
            &format!(
                "{}: {} readings wait, {} batches, {} dead letters",
                visible(&of.uplink),
                of.pending,
                of.batches,
                of.dead_letters
            ),
        );
    }
    writeln!(
        text,
        "\n{:<20} {:>12} {:>14} {:>10}",
        "table", "rows", "bytes", "per row"
    )
    .ok();
    for table in &stats.tables {
        let each = table.bytes as f64 / table.rows.max(1) as f64;
        let each = if table.rows == 0 {
            String::new()
        } else {
            format!("{each:.1}")
        };
        let (name, rows, bytes) = (&table.name, table.rows, table.bytes);
        writeln!(text, "{name:<20} {rows:>12} {bytes:>14} {each:>10}").ok();
    }
    text
}

fn moment(millis: Option<i64>) -> String {
    let moment = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    moment.map_or_else(|| "-".to_owned(), |moment| moment.to_string())
}
