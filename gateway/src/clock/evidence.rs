//! What the system says of its wall clock.

use std::fs;
use std::path::Path;

use crate::domain::timestamp::Timestamp;

/// The file of systemd-timesyncd, and of what waits for another time service (systemd-time-wait-sync).
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// Clocks with a battery.
const REAL_TIME_CLOCKS: &str = "/sys/class/rtc";

/// Who speaks for the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Whether a time service has it in hand; `None` if the system does not say.
    pub synchronised: Option<bool>,
    /// What a clock with a battery shows.
    pub rtc: Option<Timestamp>,
}

impl Evidence {
    /// Asks the kernel, and whoever left a word.
    pub(super) fn gather() -> Self {
        let of_kernel = kernel_clock::is_synchronised();
        let synchronised = if Path::new(SYNCHRONISED).exists() {
            Some(true)
        } else {
            of_kernel
        };
        Self {
            synchronised,
            rtc: rtc(Path::new(REAL_TIME_CLOCKS)),
        }
    }
}

/// The first that shows a time.
fn rtc(folder: &Path) -> Option<Timestamp> {
    let clocks = fs::read_dir(folder).ok()?;
    let shown = clocks.flatten().find_map(|clock| {
        let seconds = fs::read_to_string(clock.path().join("since_epoch")).ok()?;
        seconds.trim().parse::<i64>().ok()
    });
    shown.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_with_a_battery_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rtc(folder.path()), None);
        assert_eq!(rtc(&folder.path().join("rtc0")), None);
        let clock = folder.path().join("rtc0");
        fs::create_dir(&clock).unwrap();
        assert_eq!(rtc(folder.path()), None);
        fs::write(clock.join("since_epoch"), "1764000000\n").unwrap();
        let shown = Timestamp::from_millis(1_764_000_000_000);
        assert_eq!(rtc(folder.path()), Some(shown));
    }
}
