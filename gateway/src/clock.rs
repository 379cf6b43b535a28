//! The gateway's clock: the machine's monotonic one, which counts while it sleeps too, and by how much the wall clock is ahead of
//! it. Nobody else reads the wall clock: time comes in as `now`.
//!
//! So a step of the wall clock is taken in one place: who asks for the time sees it when [`stand`] says so, and not before. A clock
//! that stands in 1970 is a clock as well; what is [trusted](Trust) of it is another question.

mod evidence;
mod trust;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

pub use self::evidence::Evidence;
pub use self::trust::{Known, Left, Trust};
use crate::domain::timestamp::Timestamp;

/// A difference that is a step of the wall clock, in milliseconds. Smaller ones are taken over without a word.
pub const STEP: i64 = 1000;

/// A smaller one is how long it takes to read two clocks.
const NOISE: i64 = 10;

/// After a leap ahead nothing goes by age for so long, in milliseconds: it may be taken back.
const CALM: i64 = 60 * 60 * 1000;

/// What counts as one.
const LEAP: i64 = 24 * 60 * 60 * 1000;

/// Until the clock was looked at.
const UNKNOWN: i64 = i64::MIN;

static OFFSET: AtomicI64 = AtomicI64::new(UNKNOWN);
static TRUST: AtomicU8 = AtomicU8::new(0);
/// By the monotonic clock.
static LEAPT_AT: AtomicI64 = AtomicI64::new(UNKNOWN);
/// The last time that was trusted.
static NEWEST: AtomicI64 = AtomicI64::new(UNKNOWN);

/// How the clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The wall clock less the monotonic one, in milliseconds.
    pub offset: i64,
    pub trust: Trust,
}

/// The time; 1970 if the clock stands before that.
pub fn now() -> Timestamp {
    match OFFSET.load(Ordering::Relaxed) {
        UNKNOWN => Timestamp::from_millis(wall().max(0)),
        offset => Timestamp::from_millis((monotonic() + offset).max(0)),
    }
}

/// The time if it can be trusted, else 1970: of what carries that, nobody says how long ago it was.
pub fn now_if_trusted() -> Timestamp {
    if standing().trust.is_trusted() {
        now()
    } else {
        Timestamp::MIN
    }
}

/// How long ago something was, over a restart; zero where the clock does not say.
pub fn gone_since(then: Timestamp) -> Duration {
    if standing().trust.is_trusted() {
        then.gone_until(now())
    } else {
        Duration::ZERO
    }
}

/// Milliseconds since the machine was started, those with it in which it slept.
pub fn monotonic() -> i64 {
    #[cfg(target_os = "linux")]
    const SINCE_BOOT: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const SINCE_BOOT: ClockId = ClockId::Monotonic;
    let since = clock_gettime(SINCE_BOOT);
    #[allow(clippy::useless_conversion, reason = "not so on 32 bits")]
    let (seconds, nanos) = (i64::from(since.tv_sec), i64::from(since.tv_nsec));
    seconds * 1000 + nanos / 1_000_000
}

/// Names the time since the machine was started; within one the monotonic clock counts on. Where the system does not say, each
/// process counts for itself.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<Box<str>> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        match id.as_deref().map(str::trim) {
            Ok(id) if !id.is_empty() => id.into(),
            _ => format!("{:016x}", fastrand::u64(..)).into(),
        }
    })
}

/// How the clock stands for the whole gateway.
pub fn standing() -> Standing {
    match OFFSET.load(Ordering::Relaxed) {
        UNKNOWN => Standing {
            offset: offset(),
            trust: Trust::Plausible,
        },
        offset => Standing {
            offset,
            trust: Trust::from_number(TRUST.load(Ordering::Relaxed)),
        },
    }
}

/// Looks at the clock for the first time, and says how it stands.
pub fn start(known: &Known) -> Standing {
    let offset = offset();
    let now = Timestamp::from_millis(monotonic() + offset);
    let trust = Trust::at_start(now, offset, boot_id(), known, &Evidence::gather());
    if known.may_have_leapt(now, offset, boot_id(), trust) {
        LEAPT_AT.store(monotonic(), Ordering::Relaxed);
    }
    let newest = known.newest.map_or(UNKNOWN, Timestamp::millis);
    NEWEST.store(newest, Ordering::Relaxed);
    let standing = Standing { offset, trust };
    stand(standing);
    standing
}

/// Takes a step of the wall clock, or says that it is trusted.
pub fn stand(standing: Standing) {
    let before = OFFSET.load(Ordering::Relaxed);
    if before != UNKNOWN && before + LEAP < standing.offset {
        LEAPT_AT.store(monotonic(), Ordering::Relaxed);
    }
    TRUST.store(standing.trust.number(), Ordering::Relaxed);
    OFFSET.store(standing.offset, Ordering::Relaxed);
}

/// How the clock should stand now, if that is not as it stands. Small differences are taken over at once.
pub fn look() -> Option<Standing> {
    let Standing {
        offset: before,
        trust,
    } = standing();
    let offset = offset();
    let by = offset - before;
    if by.abs() < STEP && trust.is_trusted() {
        if NOISE < by.abs() {
            OFFSET.store(offset, Ordering::Relaxed);
        }
        NEWEST.store(now().millis(), Ordering::Relaxed);
        return None;
    }
    let now = Timestamp::from_millis(monotonic() + offset);
    let newest = NEWEST.load(Ordering::Relaxed);
    let newest = (newest != UNKNOWN).then(|| Timestamp::from_millis(newest));
    let evidence = Evidence::gather();
    let looked = if by.abs() < STEP {
        trust.meanwhile(now, &evidence)
    } else {
        trust.after_step(by, now, newest, &evidence)
    };
    let has_changed = STEP <= by.abs() || looked.is_trusted();
    has_changed.then_some(Standing {
        offset,
        trust: looked,
    })
}

/// Whether what is old may be told by the clock, so that it may go: it is trusted, and has not leapt ahead within the hour.
pub fn tells_age() -> bool {
    let leapt_at = LEAPT_AT.load(Ordering::Relaxed);
    let is_calm = leapt_at == UNKNOWN || leapt_at + CALM < monotonic();
    standing().trust.is_trusted() && is_calm
}

/// The wall clock less the monotonic one: of three looks the one that took the shortest.
fn offset() -> i64 {
    let look = || {
        let before = monotonic();
        let wall = wall();
        let after = monotonic();
        (after - before, wall - before)
    };
    let looks = [look(), look(), look()];
    looks.into_iter().min().map_or(0, |(_, offset)| offset)
}

#[expect(clippy::disallowed_methods, reason = "the one lawful site")]
fn wall() -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_wall_clock() {
        let before = wall();
        let now = now().millis();
        let between = before - NOISE..=wall() + NOISE;
        assert!(between.contains(&now), "{between:?} {now}");
        assert!((offset() - (wall() - monotonic())).abs() < STEP);
        assert_eq!(boot_id(), boot_id());
    }

    /// Where the C library counts seconds in 32 bits, its times end (docker/cross.sh).
    #[test]
    fn times_go_on_behind_2038() {
        let file = tempfile::tempfile().unwrap();
        let then = UNIX_EPOCH + Duration::from_secs(1 << 32);
        file.set_modified(then).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), then);
    }
}
