//! A store with something of everything is damaged in one way after another, opened, and what was readable must be back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Seek, SeekFrom, Write};

use super::pages::Pages;
use super::*;
use crate::clock::{self, Standing, Trust};
use crate::config::WhenFull;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::message::{Message, Qos};
use crate::domain::reading::{Attributes, Reading, ReadingId};
use crate::domain::timestamp::Timestamp;
use crate::domain::topic::TopicName;
use crate::domain::uplink::UplinkSet;
use crate::store::connection::beside;
use crate::store::inspect::HEADER;
use crate::store::outbox::{Batch, Change, Refusal, Settled, UplinkKey};
use crate::store::{ClockChange, Group, Limits, NewReject, SeriesQuery, Step, Writer, sessions};

const READINGS: i64 = 3000;
const CLOUD_KEY: UplinkKey = UplinkKey(1);

pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("gateway.db")
    }

    fn damaged(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.is_dir() && path.to_string_lossy().contains(".damaged-"))
            .collect()
    }

    fn lose_header(&self) {
        let mut bytes = fs::read(self.path()).unwrap();
        bytes[..20].fill(b'x');
        fs::write(self.path(), bytes).unwrap();
    }

    /// Opens it and takes over what can be read.
    fn heal(&self) -> Writer {
        let mut writer = Writer::open(&self.path()).unwrap();
        take_over(&mut writer, &self.path(), usize::MAX);
        writer
    }
}

/// Takes over so many slices at the most.
fn take_over(writer: &mut Writer, path: &Path, slices: usize) {
    take_over_by(writer, path, slices, |writer, group| {
        writer.commit(group).unwrap();
    });
}

fn take_over_by(
    writer: &mut Writer,
    path: &Path,
    slices: usize,
    commit: impl Fn(&mut Writer, &Group),
) {
    let mut left = slices;
    for progress in writer.salvages().unwrap() {
        if progress.is_done() {
            continue;
        }
        let mut salvage = Salvage::open(path, progress).unwrap();
        loop {
            if left == 0 {
                return;
            }
            left -= 1;
            let slice = salvage.next_slice().unwrap();
            let is_last = slice.progress().is_done();
            let mut group = Group::default();
            writer.add_salvage(&mut group, slice);
            commit(writer, &group);
            if is_last {
                salvage.finish().unwrap();
                break;
            }
        }
    }
}

fn add(writer: &mut Writer, group: &mut Group, number: i64) -> ReadingId {
    let reading = Reading {
        sensor_id: SensorId::new(&format!("s{}", number % 10)).unwrap(),
        value: number as f64,
        ts: Timestamp::from_millis(1_764_000_000_000 + number),
        received_at: Timestamp::from_millis(1_764_000_000_003 + number),
        attributes: Attributes::from_json(format!(r#"{{"seq":{number}}}"#)),
        topic: None,
    };
    let forward = if number % 2 == 0 {
        UplinkSet::one(0)
    } else {
        UplinkSet::NONE
    };
    writer.add_reading(group, reading, None, forward).unwrap()
}

/// Readings 1 to 3,000, every second to be forwarded: 2 is refused, 4 and 6 are in a batch. The last third is in the log.
fn fill(writer: &mut Writer) {
    for first in (1..READINGS).step_by(250) {
        let mut group = Group::default();
        for number in first..first + 250 {
            let id = add(writer, &mut group, number);
            if number % 100 == 0 {
                let alert_id = writer.next_alert_id();
                let alert = Alert {
                    gateway_id: "g".into(),
                    alert_id,
                    episode: alert_id,
                    rule: "high".into(),
                    state: AlertState::Raised,
                    sensor_id: SensorId::new(&format!("s{}", number % 10)).unwrap(),
                    value: number as f64,
                    ts: Timestamp::from_millis(1_764_000_000_000),
                    reading_id: id,
                    attributes: Attributes::default(),
                    severity: None,
                    message: None,
                    group: None,
                };
                writer.add_alert(&mut group, alert);
            }
        }
        if first == 1 {
            rest(writer, &mut group);
        }
        writer.commit(&group).unwrap();
        if first == 1751 {
            writer
                .connection_of_test()
                .query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
                .unwrap();
        }
    }
}

fn rest(writer: &mut Writer, group: &mut Group) {
    let batch = |id, readings: &[i64]| Batch {
        id,
        uplink: CLOUD_KEY,
        gateway_id: "g".into(),
        format: "batch".into(),
        compression: "gzip".into(),
        tries: 0,
        readings: readings.iter().copied().map(ReadingId).collect(),
    };
    let (first, second) = (writer.next_batch_id(), writer.next_batch_id());
    let refused = batch(first, &[2]);
    group.push_outbox(Change::Record(refused.clone()));
    group.push_outbox(Change::Settle(Settled {
        batch: refused,
        refused: vec![ReadingId(2)],
        refusal: Refusal {
            status: 400,
            answer: "no".into(),
            at: Timestamp::from_millis(5),
        },
    }));
    group.push_outbox(Change::Record(batch(second, &[4, 6])));
    writer.add_reject(
        group,
        NewReject {
            topic: None,
            payload: Box::from(*b"x"),
            reason: "syntax".into(),
            received_at: Timestamp::from_millis(5),
        },
    );
    let message = Message {
        topic: TopicName::new("a/b").unwrap(),
        payload: b"kept".to_vec().into(),
        qos: Qos::AtLeastOnce,
        retain: true,
        received_at: Timestamp::from_millis(5),
        publisher: "p".into(),
        properties: None,
    };
    group.push_session(sessions::Change::Retain(message.into()));
    group.push_session(sessions::Change::Open {
        session: 7,
        client_id: "c".into(),
        user: None,
        expiry: u32::MAX,
        will: None,
    });
}

/// A store as a gateway leaves it that is killed: the last third of its readings are in the log.
fn killed(place: &Place) -> String {
    let origin = Place::new();
    let mut writer = Writer::open(&origin.path()).unwrap();
    fill(&mut writer);
    for suffix in ["", "-wal", "-lock"] {
        fs::copy(
            beside(&origin.path(), suffix),
            beside(&place.path(), suffix),
        )
        .unwrap();
    }
    writer.reader().store_id().to_owned()
}

/// As a gateway leaves it that is stopped.
pub(super) fn stopped(place: &Place) -> String {
    let mut writer = Writer::open(&place.path()).unwrap();
    fill(&mut writer);
    let store_id = writer.reader().store_id().to_owned();
    writer.end();
    store_id
}

/// The same with pages as they were before decision 8.
#[expect(clippy::disallowed_methods, reason = "as an older gateway made it")]
fn former(place: &Place) -> String {
    let older = Connection::open(place.path()).unwrap();
    older.pragma_update(None, "page_size", 4096).unwrap();
    older.execute_batch("VACUUM").unwrap();
    drop(older);
    let store_id = stopped(place);
    assert_eq!(fs::read(place.path()).unwrap()[16..18], [16, 0]);
    store_id
}

fn flip(path: &Path, at: u64, bits: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= bits;
    fs::write(path, bytes).unwrap();
}

fn numbers(writer: &Writer, query: &str) -> Vec<i64> {
    let connection = writer.connection_of_test();
    let mut select = connection.prepare(query).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn number(writer: &Writer, query: &str) -> i64 {
    numbers(writer, query)[0]
}

/// What holds whatever was damaged.
fn assert_sound(writer: &mut Writer) {
    let connection = writer.connection_of_test();
    let integrity: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
    let orphans = "SELECT count(*) FROM outbox_entry WHERE reading NOT IN (SELECT id FROM reading)";
    assert_eq!(number(writer, orphans), 0);
    let pending = number(
        writer,
        "SELECT (SELECT count(*) FROM outbox_entry) + (SELECT coalesce(sum(count), 0) FROM batch)",
    );
    assert_eq!(writer.reader().outbox_pending(None), pending.unsigned_abs());
    for total in writer.reader().sensor_totals(0, 100) {
        let count = format!("SELECT count(*) FROM reading WHERE sensor = {}", total.key);
        assert_eq!(number(writer, &count).unsigned_abs(), total.readings);
        let last = format!(
            "SELECT coalesce(max(id), 0) FROM reading WHERE sensor = {}",
            total.key
        );
        assert_eq!(number(writer, &last), total.last.map_or(0, |last| last.0));
    }
    let newest = number(writer, "SELECT max(id) FROM reading");
    let mut group = Group::default();
    let id = add(writer, &mut group, 9998);
    let jump = if writer.salvages().unwrap().is_empty() {
        0
    } else {
        1 << 23
    };
    assert!(newest + jump < id.0, "{newest} {id}");
    writer.commit(&group).unwrap();
}

/// Each reading says by its value what its id was.
fn kept(writer: &Writer) -> BTreeSet<i64> {
    let wrong = format!("SELECT count(*) FROM reading WHERE id <= {READINGS} AND value <> id");
    assert_eq!(number(writer, &wrong), 0);
    let select = format!("SELECT id FROM reading WHERE id <= {READINGS}");
    numbers(writer, &select).into_iter().collect()
}

fn assert_all_there(writer: &Writer) {
    assert_eq!(kept(writer).len(), 3000);
    assert_eq!(number(writer, "SELECT count(*) FROM alert"), 30);
    assert_eq!(number(writer, "SELECT count(*) FROM reject"), 1);
    assert_eq!(numbers(writer, "SELECT reading FROM dead_letter"), [2]);
    let outbox = numbers(writer, "SELECT reading FROM outbox_entry ORDER BY reading");
    assert_eq!(
        outbox,
        (4..=1500).map(|half| half * 2).collect::<Vec<i64>>()
    );
    let batches = writer.reader().recorded_batches(CLOUD_KEY, 0, 9).unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].readings, [ReadingId(4), ReadingId(6)]);
    let state = writer.broker_state().unwrap();
    assert_eq!((state.sessions.len(), state.retained.len()), (1, 1));
}

#[test]
fn a_sound_store_is_left_alone() {
    for make in [killed, stopped] {
        let place = Place::new();
        let store_id = make(&place);
        let writer = place.heal();
        assert_eq!(writer.reader().store_id(), store_id);
        assert!(place.damaged().is_empty());
        assert_all_there(&writer);
    }
}

#[test]
fn a_header_that_is_overwritten_costs_nothing() {
    for make in [killed, stopped, former] {
        let place = Place::new();
        let store_id = make(&place);
        place.lose_header();
        let mut writer = place.heal();
        assert_eq!(writer.reader().store_id(), store_id);
        assert_all_there(&writer);
        // Where the log has the first page, it stands for that of the database.
        for folder in place.damaged() {
            assert!(folder.join(aside::SALVAGED).exists());
        }
        assert_sound(&mut writer);
    }
}

/// Which readings are still to be forwarded, whether they are in a batch or not.
fn waiting(writer: &Writer) -> BTreeSet<i64> {
    let entries = numbers(writer, "SELECT reading FROM outbox_entry");
    let batches = writer.reader().recorded_batches(CLOUD_KEY, 0, 9).unwrap();
    let of_batches = batches.iter().flat_map(|batch| &batch.readings);
    entries
        .into_iter()
        .chain(of_batches.map(|id| id.0))
        .collect()
}

#[test]
fn without_the_pages_that_lead_to_rows_the_rows_are_found() {
    for make in [stopped, former] {
        let origin = Place::new();
        make(&origin);
        let writer = Writer::open(&origin.path()).unwrap();
        let inner = |table: &str| {
            let select = "SELECT pageno FROM dbstat WHERE pagetype = 'internal'";
            numbers(
                &writer,
                &format!("{select} AND name = '{table}' ORDER BY path"),
            )
        };
        let (inner, of_outbox) = (inner("reading"), inner("outbox_entry"));
        assert!(!inner.is_empty() && !of_outbox.is_empty());
        writer.end();
        let mut losses: Vec<Vec<i64>> = inner
            .iter()
            .chain(&of_outbox)
            .map(|page| vec![*page])
            .collect();
        losses.push([&inner[..], &of_outbox].concat());
        for lost in losses {
            let place = Place::new();
            fs::copy(origin.path(), place.path()).unwrap();
            lose(&place, &lost);
            fs::write(beside(&place.path(), "-lock"), "").unwrap();
            let mut writer = place.heal();
            assert_eq!(kept(&writer).len(), 3000, "{lost:?} of {inner:?}");
            let even: BTreeSet<i64> = (2..=1500).map(|half| half * 2).collect();
            let missing = even.difference(&waiting(&writer)).count();
            // Their inner pages have entries as well, one for each page below.
            let most = if lost.iter().any(|page| of_outbox.contains(page)) {
                30
            } else {
                0
            };
            assert!(missing <= most, "{missing} of {lost:?}");
            assert!(waiting(&writer).is_subset(&even), "{lost:?}");
            assert_eq!(numbers(&writer, "SELECT reading FROM dead_letter"), [2]);
            let unreadable = "SELECT sum(unreadable) FROM salvage";
            assert_eq!(number(&writer, unreadable), 0, "{lost:?} of {of_outbox:?}");
            assert_sound(&mut writer);
        }
    }
}

fn page_size(database: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([database[16], database[17]]))
}

/// Loses pages, and the header so that it is noticed.
fn lose(place: &Place, pages: &[i64]) {
    let mut bytes = fs::read(place.path()).unwrap();
    let page_size = page_size(&bytes);
    for page in pages {
        let at = (*page as usize - 1) * page_size;
        bytes[at..at + page_size].fill(0);
    }
    bytes[..20].fill(b'x');
    fs::write(place.path(), bytes).unwrap();
}

#[test]
fn rows_that_are_said_to_have_gigabytes_cost_no_more_than_their_pages() {
    let origin = Place::new();
    stopped(&origin);
    let bytes = fs::read(origin.path()).unwrap();
    let page_size = page_size(&bytes);
    let (mut least, mut sum) = (3000, 0);
    // All small tables and the schema, and some of the readings.
    for end in (2 * page_size..=bytes.len()).step_by(page_size).take(50) {
        let mut damaged = bytes.clone();
        // Where the first rows of the page are. SQLite says of their sizes that it is out of memory.
        damaged[end - 64..end].fill(0xdf);
        damaged[..20].fill(b'x');
        let place = Place::new();
        fs::write(place.path(), damaged).unwrap();
        fs::write(beside(&place.path(), "-lock"), "").unwrap();
        let mut writer = place.heal();
        let there = kept(&writer).len();
        assert_sound(&mut writer);
        (least, sum) = (least.min(there), sum + 3000 - there);
    }
    // Each is lost with one page at the most.
    assert!(2900 < least && sum <= 3000, "{least} {sum}");
}

/// The pages of the schema of a store that was stopped, and its bytes.
fn with_schema(place: &Place) -> (Vec<u32>, Vec<u8>) {
    stopped(place);
    let writer = Writer::open(&place.path()).unwrap();
    let schema = "SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' ORDER BY pageno";
    let schema = numbers(&writer, schema);
    writer.end();
    assert!(5 < schema.len());
    let schema = schema.into_iter().map(|page| page as u32).collect();
    (schema, fs::read(place.path()).unwrap())
}

#[test]
fn a_page_of_the_schema_that_is_lost_costs_nothing() {
    let origin = Place::new();
    let (schema, bytes) = with_schema(&origin);
    for page in schema {
        let place = Place::new();
        fs::write(place.path(), &bytes).unwrap();
        lose(&place, &[page.into()]);
        fs::write(beside(&place.path(), "-lock"), "").unwrap();
        let mut writer = place.heal();
        println!("{page}");
        assert_all_there(&writer);
        assert_sound(&mut writer);
        let left = |store: &Path| ["", "-wal", "-shm"].map(|suffix| beside(store, suffix).exists());
        assert_eq!(left(&beside(&place.path(), "-new")), [false; 3]);
        for folder in place.damaged() {
            assert_eq!(left(&folder.join("salvage.db-new")), [false; 3]);
        }
    }
}

#[test]
fn most_of_the_schema_may_be_lost() {
    let place = Place::new();
    let (schema, _) = with_schema(&place);
    let lost: Vec<i64> = schema[2..].iter().map(|page| (*page).into()).collect();
    lose(&place, &lost);
    fs::write(beside(&place.path(), "-lock"), "").unwrap();
    let mut writer = place.heal();
    assert_all_there(&writer);
    assert_sound(&mut writer);
}

#[test]
fn a_bit_of_the_schema_that_changed_is_as_it_was() {
    let place = Place::new();
    let (schema, bytes) = with_schema(&place);
    let page_size = page_size(&bytes);
    let page_of = |page: u32| &bytes[(page as usize - 1) * page_size..page as usize * page_size];
    let mut rng = fastrand::Rng::with_seed(7);
    for page in &schema {
        let places: Vec<usize> = if *page == 1 {
            // Of the file's header nothing; all that the tree has.
            (HEADER..HEADER + 32)
                .chain(page_size - 64..page_size)
                .collect()
        } else {
            let some = (0..12).map(|_| rng.usize(8..page_size)).collect::<Vec<_>>();
            (0..8).chain(some).collect()
        };
        for at in places {
            let begin = (*page as usize - 1) * page_size;
            let mut damaged = bytes.clone();
            damaged[begin + at] ^= 1 << rng.u8(..8);
            fs::write(place.path(), damaged).unwrap();
            let mut pages = Pages::of(&place.path(), &place.path()).unwrap().unwrap();
            println!("{page}: {at}");
            let there = schema::leaves(&pages.read(1).unwrap());
            assert_eq!(there.as_deref(), Some(&schema[1..]));
            for leaf in &schema[1..] {
                assert_eq!(pages.read(*leaf).unwrap(), page_of(*leaf));
            }
        }
    }
}

const MANY: i64 = 12_000;

/// So many readings that trees are deep, all to be forwarded.
fn fill_deep(writer: &mut Writer) {
    for first in (1..=MANY).step_by(1000) {
        let mut group = Group::default();
        for number in first..first + 1000 {
            add(writer, &mut group, number * 2);
        }
        writer.commit(&group).unwrap();
    }
}

#[test]
fn an_outbox_without_its_root_loses_what_was_on_it() {
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    fill_deep(&mut writer);
    let of_outbox = "FROM dbstat WHERE name = 'outbox_entry' AND pagetype = 'internal'";
    let inner = number(&writer, &format!("SELECT count(*) {of_outbox}"));
    let root = number(
        &writer,
        &format!("SELECT pageno {of_outbox} AND path = '/'"),
    );
    let on_root = number(&writer, &format!("SELECT ncell {of_outbox} AND path = '/'"));
    assert!(1 < inner && on_root < 10, "{inner} {on_root}");
    writer.end();
    lose(&place, &[root]);
    let writer = place.heal();
    assert_eq!(number(&writer, "SELECT count(*) FROM reading"), MANY);
    let waiting = waiting(&writer);
    assert_eq!(waiting.len() as i64, MANY - on_root);
    assert!(waiting.contains(&1));
}

#[test]
fn what_is_found_late_waits_for_each_uplink_that_was_to_get_it() {
    let place = Place::new();
    let uplinks = ["cloud".into(), "hall".into()];
    let mut writer = Writer::open_for(&place.path(), &uplinks).unwrap();
    let keys = writer.reader().uplinks();
    let mut group = Group::default();
    for number in 1..=1000 {
        let reading = Reading {
            sensor_id: SensorId::new("s1").unwrap(),
            value: f64::from(number),
            ts: Timestamp::from_millis(1_764_000_000_000),
            received_at: Timestamp::from_millis(1_764_000_000_000),
            attributes: Attributes::default(),
            topic: None,
        };
        let both = UplinkSet::one(0).and(UplinkSet::one(1));
        writer.add_reading(&mut group, reading, None, both).unwrap();
    }
    writer.commit(&group).unwrap();
    // 10 and 20 are in a batch of each, 30 in one of them.
    let mut group = Group::default();
    for (uplink, readings) in [(keys[0], vec![10, 20, 30]), (keys[1], vec![10, 20])] {
        let batch = Batch {
            id: writer.next_batch_id(),
            uplink,
            gateway_id: "g".into(),
            format: "batch".into(),
            compression: "gzip".into(),
            tries: 0,
            readings: readings.into_iter().map(ReadingId).collect(),
        };
        group.push_outbox(Change::Record(batch));
    }
    writer.commit(&group).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'reading'";
    let root = number(&writer, root);
    writer.end();
    lose(&place, &[root]);
    let mut writer = Writer::open_for(&place.path(), &uplinks).unwrap();
    take_over(&mut writer, &place.path(), usize::MAX);
    for uplink in keys {
        let entries = format!(
            "SELECT count(*) FROM outbox_entry WHERE uplink = {}",
            uplink.0
        );
        assert_eq!(number(&writer, &entries), 1000);
        assert_eq!(writer.reader().outbox_pending(Some(uplink)), 1000);
    }
}

#[test]
fn a_page_to_which_two_lead_goes_to_whom_it_belongs() {
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    fill_deep(&mut writer);
    let pages = |which: &str| {
        let select = "SELECT pageno FROM dbstat WHERE name = 'reading' AND pagetype";
        numbers(&writer, &format!("{select} = {which} ORDER BY path"))
    };
    let (leaves, inner) = (pages("'leaf'"), pages("'internal' AND path <> '/'"));
    assert!(1 < inner.len());
    writer.end();
    let whole = fs::read(place.path()).unwrap();
    let page_size = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    // Each inner page leads to its first leaf twice, and in its turn to one of another.
    for page in &inner {
        let at = (*page as usize - 1) * page_size;
        let cell = |place: usize| {
            let place = at + 12 + 2 * place;
            at + usize::from(u16::from_be_bytes([whole[place], whole[place + 1]]))
        };
        let first = cell(0)..cell(0) + 4;
        for other in [
            &whole[first.clone()],
            &(leaves[leaves.len() - 1] as u32).to_be_bytes(),
            &(leaves[0] as u32).to_be_bytes(),
        ] {
            let here = Place::new();
            let mut bytes = whole.clone();
            bytes[cell(1)..cell(1) + 4].copy_from_slice(other);
            fs::write(here.path(), bytes).unwrap();
            fs::write(beside(&here.path(), "-lock"), "").unwrap();
            lose(&here, &[]);
            let writer = here.heal();
            let right = "SELECT count(*) FROM reading WHERE value = 2 * id";
            assert_eq!(number(&writer, right), MANY, "{page} {other:?}");
        }
    }
}

#[test]
fn a_byte_of_the_log_that_changed_costs_nothing_but_what_it_was() {
    let place = Place::new();
    let store_id = killed(&place);
    let mut rows = 0;
    for at in [3, 20, 40, 200] {
        let here = Place::new();
        for suffix in ["", "-wal", "-lock"] {
            fs::copy(beside(&place.path(), suffix), beside(&here.path(), suffix)).unwrap();
        }
        flip(&beside(&here.path(), "-wal"), at, 1);
        let mut writer = here.heal();
        rows += kept(&writer).len();
        assert_eq!(writer.reader().store_id(), store_id, "{at}");
        assert_sound(&mut writer);
    }
    assert_eq!(rows, 3000 * 4);
}

#[test]
fn without_counters_the_store_has_another_name_and_ids_go_on_far_ahead() {
    let place = Place::new();
    let store_id = stopped(&place);
    let writer = Writer::open(&place.path()).unwrap();
    let behind = "UPDATE counter SET reading = 17";
    writer.connection_of_test().execute(behind, []).unwrap();
    drop(writer);
    let mut writer = place.heal();
    assert_ne!(writer.reader().store_id(), store_id);
    assert_eq!(place.damaged().len(), 1);
    assert_all_there(&writer);
    assert_sound(&mut writer);
}

#[test]
fn what_is_no_store_is_moved_aside_and_kept() {
    let check = |content: &[u8], kind: &str| {
        let place = Place::new();
        fs::write(place.path(), content).unwrap();
        // A gateway has served there.
        for suffix in ["-lock", "-reserve"] {
            fs::write(beside(&place.path(), suffix), "").unwrap();
        }
        let mut writer = place.heal();
        let [folder] = &place.damaged()[..] else {
            panic!("{:?}", place.damaged());
        };
        assert!(folder.to_string_lossy().ends_with(kind), "{folder:?}");
        assert_eq!(fs::read(folder.join("gateway.db")).unwrap(), content);
        let mut group = Group::default();
        let id = add(&mut writer, &mut group, 1);
        assert!(JUMPED < id.0);
        writer.commit(&group).unwrap();
        drop(writer);
        // Once is enough.
        drop(place.heal());
        assert_eq!(place.damaged().len(), 1);
    };
    check(b"", "empty");
    check(&b"a text\n".repeat(1000), "not-a-database");
    check(&[0; 40_000], "not-a-database");
}

const JUMPED: i64 = 1 << 24;

#[test]
fn a_log_without_its_database_gives_what_it_has() {
    let place = Place::new();
    killed(&place);
    fs::remove_file(place.path()).unwrap();
    let mut writer = place.heal();
    assert_eq!(place.damaged().len(), 1);
    assert!(place.damaged()[0].join("gateway.db-wal").exists());
    assert!(kept(&writer).len() < 3000);
    let mut group = Group::default();
    assert!(JUMPED < add(&mut writer, &mut group, 1).0);
}

#[test]
fn a_restart_in_the_middle_goes_on_and_doubles_nothing() {
    let place = Place::new();
    stopped(&place);
    place.lose_header();
    for slices in 1..12 {
        let mut writer = Writer::open(&place.path()).unwrap();
        take_over(&mut writer, &place.path(), slices % 3 + 1);
    }
    let mut writer = place.heal();
    assert_all_there(&writer);
    assert_eq!(place.damaged().len(), 1);
    let [progress] = &writer.salvages().unwrap()[..] else {
        panic!("one store was damaged");
    };
    // 1,497 places in the outbox, a dead letter, 30 alerts, 3,000 readings, a reject.
    assert_eq!((progress.saved, progress.unreadable), (4529, 0));
    assert_sound(&mut writer);
}

#[test]
fn what_is_known_of_sensors_follows_a_commit_that_failed_and_is_there() {
    let place = Place::new();
    stopped(&place);
    place.lose_header();
    let mut writer = Writer::open(&place.path()).unwrap();
    take_over_by(&mut writer, &place.path(), usize::MAX, |writer, group| {
        writer.write_in_doubt(group);
        writer.commit(group).unwrap();
    });
    assert_all_there(&writer);
    let totals = writer.reader().sensors().page(0, 100);
    let totals: Vec<_> = totals.iter().map(|sensor| sensor.readings).collect();
    assert_eq!(totals, [300; 10]);
    let waiting = number(&writer, "SELECT count(*) FROM outbox");
    assert_eq!(writer.reader().outbox_pending(None), waiting as u64);
    assert_sound(&mut writer);
}

/// One piece of damage drawn from a seed.
fn damage(place: &Place, rng: &mut fastrand::Rng) -> String {
    let suffix = if rng.bool() { "" } else { "-wal" };
    let path = beside(&place.path(), suffix);
    let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if length == 0 {
        return "nothing".to_owned();
    }
    match rng.u8(0..10) {
        0..=5 => {
            let flips = rng.usize(1..=8);
            for _ in 0..flips {
                flip(&path, rng.u64(..length), 1 << rng.u8(..8));
            }
            format!("{flips} bits of gateway.db{suffix}")
        }
        6 => {
            let (at, size) = (rng.u64(..length), rng.u64(1..20_000));
            let mut file = fs::File::options().write(true).open(&path).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&vec![rng.u8(..); size.min(length - at) as usize])
                .unwrap();
            format!("{size} bytes of gateway.db{suffix} at {at}")
        }
        7 => {
            let at = rng.u64(..length);
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(at)
                .unwrap();
            format!("gateway.db{suffix} cut at {at}")
        }
        8 => {
            for _ in 0..4 {
                flip(&path, rng.u64(..length.min(100)), rng.u8(1..));
            }
            format!("the header of gateway.db{suffix}")
        }
        _ => {
            fs::remove_file(&path).unwrap();
            format!("gateway.db{suffix} is gone")
        }
    }
}

/// `STORE_DAMAGES` draws so many, `IT_SEED` repeats one.
#[test]
fn whatever_is_damaged_the_store_opens_and_goes_on() {
    let count = std::env::var("STORE_DAMAGES").map_or(60, |text| text.parse().unwrap());
    let seed =
        std::env::var("IT_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("IT_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let origins = [Place::new(), Place::new()];
    killed(&origins[0]);
    stopped(&origins[1]);
    let (mut moved, mut rows, mut whole, mut refused) = (0, 0, 0, 0);
    for number in 0..count {
        let place = Place::new();
        let origin = &origins[rng.usize(..2)];
        for suffix in ["", "-wal", "-lock"] {
            let from = beside(&origin.path(), suffix);
            if from.exists() {
                fs::copy(from, beside(&place.path(), suffix)).unwrap();
            }
        }
        let what = damage(&place, &mut rng);
        println!("{number}: {what}");
        // The number of the schema, changed into one that a newer gateway may have, is for people.
        if let Err(StoreError::Newer { .. }) = Writer::open(&place.path()) {
            refused += 1;
            continue;
        }
        // Damage that a start does not meet shows when all is read.
        let mut writer = place.heal();
        let mut examination = writer.reader().examination();
        while let Ok(true) = examination.step() {}
        if let Some(damage) = writer.reader().alarm().damage().cloned() {
            drop(writer);
            Writer::put_aside(&place.path(), &damage).unwrap();
            writer = place.heal();
        }
        let select = format!("SELECT count(*) FROM reading WHERE id <= {READINGS}");
        let there = usize::try_from(numbers(&writer, &select)[0]).unwrap();
        (moved, rows) = (
            moved + usize::from(!place.damaged().is_empty()),
            rows + there,
        );
        whole += usize::from(there == 3000);
        let mut group = Group::default();
        add(&mut writer, &mut group, 9998);
        writer.commit(&group).unwrap();
        drop(writer);
        drop(place.heal());
    }
    println!(
        "{count} damaged stores: {refused} refused as newer, {moved} moved aside, {whole} lost no reading, {rows} of {} readings are back",
        count * 3000
    );
}

#[test]
fn numbers_of_a_last_transaction_that_cannot_be_read_are_not_given_again() {
    let place = Place::new();
    let store_id = killed(&place);
    let log = beside(&place.path(), "-wal");
    // Its last page, before what is left over of an older log.
    let bytes = fs::read(&log).unwrap();
    let salts = &bytes[16..24];
    let frames = bytes[32..].chunks_exact(24 + 1024);
    let last = frames.take_while(|frame| &frame[8..16] == salts).count() as u64;
    flip(&log, 32 + last * (24 + 1024) - 100, 1);
    let mut writer = place.heal();
    assert!(place.damaged().is_empty());
    assert_eq!(writer.reader().store_id(), store_id);
    assert_eq!(kept(&writer).len(), 2750);
    let batch = writer.next_batch_id();
    let mut group = Group::default();
    let id = add(&mut writer, &mut group, 1);
    assert!(3000 < id.0 && 250 < batch, "{id} {batch}");
    writer.commit(&group).unwrap();
    drop(writer);
    let mut writer = place.heal();
    assert_eq!(add(&mut writer, &mut group, 1).0, id.0 + 1);
}

/// Readings 1 to `many`, in thousands.
fn add_many(writer: &mut Writer, many: i64) {
    for first in (1..=many).step_by(1000) {
        let mut group = Group::default();
        for number in first..first + 1000 {
            add(writer, &mut group, number);
        }
        writer.commit(&group).unwrap();
    }
}

#[track_caller]
fn keep_up_until(writer: &mut Writer, limits: &Limits, is_done: impl Fn(&Writer) -> bool) {
    let later = Timestamp::from_millis(1_764_000_000_000 + 100 * 86_400_000);
    for _ in 0..1000 {
        for step in writer.reader().upkeep(Some(later), limits).unwrap() {
            let mut group = Group::default();
            group.push_upkeep(step);
            writer.commit(&group).unwrap();
        }
        if is_done(writer) {
            return;
        }
    }
    panic!("it is never done");
}

/// Of each sensor: how many readings there are or were, the smallest and the largest.
fn sums(writer: &Writer) -> Vec<(u64, f64, f64)> {
    let reader = writer.reader();
    let of = |sensor: i64| {
        let query = SeriesQuery {
            sensor_id: SensorId::new(&format!("s{sensor}")).unwrap(),
            from: Timestamp::from_millis(1_763_000_000_000),
            to: Timestamp::from_millis(1_765_000_000_000),
            points: 1,
        };
        let found = reader.series(&query).unwrap();
        (found[0].count, found[0].min, found[0].max)
    };
    (0..10).map(of).collect()
}

#[test]
fn times_of_an_untrusted_clock_are_put_right_once_their_readings_are_back() {
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    let mut group = Group::default();
    let first = writer.next_reading_id();
    let offset = -clock::monotonic();
    group.push_upkeep(Step::clock(ClockChange::Open { first, offset }));
    writer.commit(&group).unwrap();
    add_many(&mut writer, 2000);
    writer.end();
    place.lose_header();
    let mut writer = Writer::open(&place.path()).unwrap();
    // It was still open, and ends with the last reading of its store.
    let spans = "SELECT first FROM clock_span WHERE last = 2000";
    assert_eq!(numbers(&writer, spans), [first.0]);
    let standing = Standing {
        offset: offset + 1_700_000_000_000,
        trust: Trust::Set,
    };
    assert_eq!(writer.to_put_right(standing).unwrap(), []);
    take_over(&mut writer, &place.path(), usize::MAX);
    let jobs = writer.to_put_right(standing).unwrap();
    assert_eq!((jobs.len(), jobs[0].last.0), (1, 2000));
}

#[test]
fn what_thinned_readings_come_to_comes_back() {
    const MANY: i64 = 66_000;
    let thinned = |writer: &Writer| {
        let of_block = "SELECT count(*) FROM reading_block WHERE number = 0 AND packed = 3";
        number(writer, of_block) == 1
    };
    let limits = Limits {
        keep: None,
        max_bytes: 1 << 20,
        when_full: WhenFull::Thin,
    };
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    add_many(&mut writer, MANY);
    let before = sums(&writer);
    assert_eq!(before.iter().map(|(count, ..)| count).sum::<u64>(), 66_000);
    keep_up_until(&mut writer, &limits, thinned);
    let units = "SELECT count FROM summary_block";
    let were = number(&writer, units);
    assert!(10_000 < were, "{were}");
    assert_eq!(sums(&writer), before);
    writer.end();
    place.lose_header();
    let mut writer = place.heal();
    assert_eq!(number(&writer, units), were);
    assert_eq!(sums(&writer), before);
    let of_sensors = writer.reader().sensor_totals(0, 100);
    assert_eq!(of_sensors.iter().map(|of| of.readings).sum::<u64>(), 66_000);
    assert_eq!(number(&writer, "SELECT sum(readings) FROM sensor"), 66_000);
    // What waited then is delivered, and thinned into the same unit.
    let readings = numbers(&writer, "SELECT reading FROM outbox_entry");
    let batch = Batch {
        id: writer.next_batch_id(),
        uplink: CLOUD_KEY,
        gateway_id: "g".into(),
        format: "batch".into(),
        compression: "none".into(),
        tries: 0,
        readings: readings.into_iter().map(ReadingId).collect(),
    };
    let mut group = Group::default();
    group.push_outbox(Change::Record(batch.clone()));
    group.push_outbox(Change::Settle(Settled {
        batch,
        refused: Vec::new(),
        refusal: Refusal::default(),
    }));
    writer.commit(&group).unwrap();
    keep_up_until(&mut writer, &limits, |writer| were < number(writer, units));
    assert_eq!(sums(&writer), before);
    let checked = crate::store::care::check(&place.path(), &mut |_, _, _| {}).unwrap();
    assert_eq!(checked.faults, [""; 0]);
}

/// What is emptied under the salvage stands for a disk that gives nothing any more.
#[test]
fn a_disk_that_gives_nothing_any_more_ends_the_salvage_and_counts_nothing_as_lost() {
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    add_many(&mut writer, 20_000);
    writer.end();
    place.lose_header();
    let mut writer = Writer::open(&place.path()).unwrap();
    take_over(&mut writer, &place.path(), 1);
    let [progress] = &writer.salvages().unwrap()[..] else {
        panic!("one store was damaged");
    };
    let mut salvage = Salvage::open(&place.path(), progress.clone()).unwrap();
    let moved = place.folder.path().join(&*progress.folder);
    fs::write(moved.join("gateway.db"), "").unwrap();
    let ended = loop {
        match salvage.next_slice() {
            Ok(slice) => {
                assert_eq!(slice.progress().unreadable, 0);
                assert!(!slice.progress().is_done());
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, StoreError::Unreadable { .. }), "{ended}");
}

#[test]
fn readings_that_were_packed_come_back_as_rows() {
    const MANY: i64 = 33_000;
    let place = Place::new();
    let mut writer = Writer::open(&place.path()).unwrap();
    add_many(&mut writer, MANY);
    writer.end();
    let mut writer = Writer::open(&place.path()).unwrap();
    // Half of them wait for the cloud; those stay.
    let limits = Limits {
        keep: None,
        max_bytes: u64::MAX / 2,
        when_full: WhenFull::Refuse,
    };
    keep_up_until(&mut writer, &limits, |writer| {
        number(writer, "SELECT packed FROM reading_block WHERE number = 0") == 2
    });
    let rows = number(&writer, "SELECT count(*) FROM reading");
    assert!(rows < 20_000, "{rows}");
    writer.end();
    place.lose_header();
    let mut writer = place.heal();
    let same = format!(
        "SELECT count(*) FROM reading WHERE id <= {MANY} AND value = id AND json_extract(attributes, '$.seq') = id"
    );
    assert_eq!(number(&writer, &same), MANY);
    assert_sound(&mut writer);
}
