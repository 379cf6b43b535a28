use super::*;
use crate::support::accounts::seeded;
use crate::support::http::try_post;

/// Where a database has the number of its schema. One that is a little larger is that of a newer gateway, for people to decide.
const SCHEMA_NUMBER: std::ops::Range<usize> = 60..64;

/// What is done to one of the files; tells what.
fn damage(site: &Site, rng: &mut fastrand::Rng) -> String {
    let name = ["gateway.db", "gateway.db-wal", "gateway.db-shm"][rng.usize(..3)];
    let path = site.path(name);
    let Ok(mut bytes) = fs::read(&path) else {
        return format!("{name} is not there");
    };
    if bytes.is_empty() {
        return format!("{name} is empty");
    }
    let length = bytes.len();
    let before = bytes.clone();
    let what = match rng.u8(..8) {
        0..=3 => {
            let flips = rng.usize(1..=16);
            for _ in 0..flips {
                bytes[rng.usize(..length)] ^= 1 << rng.u8(..8);
            }
            format!("{flips} bits of {name} are flipped")
        }
        4 => {
            for _ in 0..4 {
                bytes[rng.usize(..length.min(100))] ^= rng.u8(1..);
            }
            format!("the header of {name} has changed")
        }
        5 => {
            bytes.truncate(rng.usize(..length));
            format!("{name} is cut at {}", bytes.len())
        }
        6 => {
            let at = rng.usize(..length);
            let end = (at + rng.usize(1..16_384)).min(length);
            bytes[at..end].fill(rng.u8(..));
            format!("{name} is overwritten from {at} to {end}")
        }
        _ => {
            fs::remove_file(&path).unwrap();
            return format!("{name} is gone");
        }
    };
    if name == "gateway.db" && SCHEMA_NUMBER.end <= bytes.len() {
        bytes[SCHEMA_NUMBER].copy_from_slice(&before[SCHEMA_NUMBER]);
    }
    fs::write(&path, bytes).unwrap();
    what
}

/// Waits until the gateway has found what there is to find, if it looks for it: after an unclean end, of which a log speaks.
async fn looked_through(site: &Site, gateway: &Gateway<'_>, log: u64) {
    const EMPTY_LOG: u64 = 32;
    if log <= EMPTY_LOG {
        return;
    }
    eventually("the whole was read", || {
        let is_sound = gateway.log().contains("was read as a whole");
        (is_sound || !moved(site).is_empty()).then_some(())
    })
    .await;
}

/// `DAMAGES` draws so many, `IT_SEED` repeats them.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_damaged_the_gateway_starts_serves_and_has_what_was_readable() {
    let count: i32 = std::env::var("DAMAGES").map_or(24, |text| text.parse().unwrap());
    let mut rng = seeded();
    let site = Site::new().allow(&TOLD).allow(&[
        "make no sense and are left out",
        "cannot be understood and is left out",
        "begin anew",
        "the first event of an alert is gone",
        "its block is looked through",
        "wait for an uplink that is not configured",
        // How the clock stood has changed.
        "the clock is not trusted",
        // A reader met it.
        "an HTTP request failed",
        "the store cannot be looked after",
    ]);
    let gateway = site.start();
    fill(&gateway);
    gateway.stop();
    let gateway = site.start();
    fill(&gateway);
    gateway.kill();
    let files = [
        "gateway.db",
        "gateway.db-wal",
        "gateway.db-shm",
        "gateway.db-lock",
    ];
    let kept = files.map(|name| fs::read(site.path(name)).unwrap());
    let (mut times_moved, mut whole, mut back) = (0, 0, 0);
    for number in 1..=count {
        for folder in moved(&site) {
            fs::remove_dir_all(folder).unwrap();
        }
        for (name, bytes) in files.iter().zip(&kept) {
            fs::write(site.path(name), bytes).unwrap();
        }
        let what = damage(&site, &mut rng);
        println!("{number}: {what}");
        let log = fs::metadata(site.path("gateway.db-wal")).map_or(0, |log| log.len());
        let gateway = site.start();
        serves(&gateway).await;
        looked_through(&site, &gateway, log).await;
        healed(&site, &gateway).await;
        // What is looked at only now may be damaged as well.
        let new = r#"{"id":"new","value":99}"#;
        eventually("it takes readings", || {
            let answer = try_post(&gateway, "/data", new).ok()?;
            (answer.status == 201).then_some(())
        })
        .await;
        healed(&site, &gateway).await;
        // With ids ahead of all that is there. Of older ones it may have changed whose they are.
        let ends = "SELECT (SELECT max(id) FROM readings WHERE sensor_id = 'new') \
                    > (SELECT coalesce(max(id), 0) FROM readings WHERE sensor_id <> 'new')";
        assert!(site.sql::<bool>(ends));
        let stored: i64 = site.sql("SELECT count(*) FROM readings WHERE id <= 2000");
        times_moved += usize::from(!moved(&site).is_empty());
        (whole, back) = (whole + usize::from(stored == 2000), back + stored);
        gateway.kill();
    }
    println!(
        "{count} damaged stores: {times_moved} were moved aside, {whole} lost no reading, {back} of {} readings are back",
        i64::from(count) * 2000
    );
}
