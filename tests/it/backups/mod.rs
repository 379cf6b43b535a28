//! Backups: made while the gateway runs, consistent, and put back so that no receiver is led astray.

mod made;
mod restored;
mod under_load;

use crate::support::Site;

/// What a backup says of itself where its parts do not fit together; nothing if they do.
#[track_caller]
fn assert_is_whole(site: &Site, file: &str) {
    let number = |query: &str| -> i64 { site.sql_in(file, query) };
    assert_eq!(site.sql_in::<String>(file, "PRAGMA integrity_check"), "ok");
    let last = number("SELECT reading FROM counter");
    assert_eq!(
        number("SELECT count(*) FROM readings"),
        last,
        "ids have no gaps"
    );
    assert_eq!(number("SELECT max(id) FROM readings"), last);
    for rows in [
        "outbox WHERE reading_id NOT IN (SELECT id FROM readings)",
        "alerts WHERE reading_id NOT IN (SELECT id FROM readings)",
        "batch WHERE id > (SELECT batch FROM counter)",
    ] {
        assert_eq!(number(&format!("SELECT count(*) FROM {rows}")), 0, "{rows}");
    }
    let alerts: Vec<i64> = site.sql_all_in(
        file,
        "SELECT reading_id FROM alerts WHERE state = 'raised' ORDER BY reading_id",
    );
    let alarming: Vec<i64> =
        site.sql_all_in(file, "SELECT id FROM readings WHERE value > 75 ORDER BY id");
    assert!(alerts == alarming, "each reading over 75 has one alert");
}
