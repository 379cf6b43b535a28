//! Which readings and alerts are shown. Pure.

use crate::domain::sensor::{SensorId, SensorIdError};
use crate::domain::topic::{TopicFilter, TopicName};

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `None`: all sensors.
    filter: Option<TopicFilter>,
    pub(super) readings: bool,
    pub(super) alerts: bool,
}

impl Wanted {
    /// The error says what is wrong with the filter.
    pub(super) fn new(filter: Option<&str>, readings: bool, alerts: bool) -> Result<Self, String> {
        let refused = |text: &str, error: &dyn std::fmt::Display| {
            format!(
                "{text:?} is no filter of sensors: it {error}; expected one such as \"boiler/+\", \"hall/#\" or \"s1\""
            )
        };
        let checked = |text: &str| {
            let filter = TopicFilter::new(text).map_err(|error| refused(text, &error))?;
            // What no sensor can be called would show nothing, without a word. The gateway's own alerts begin with `$`.
            match sensor(&filter) {
                Some(Err(error)) if error != SensorIdError::LeadingDollar => {
                    Err(format!("{text:?} is no sensor's id: {error}"))
                }
                _ => Ok(filter),
            }
        };
        Ok(Self {
            filter: filter.map(checked).transpose()?,
            readings,
            alerts,
        })
    }

    /// The only sensor it can be.
    pub(super) fn only(&self) -> Option<SensorId> {
        self.filter.as_ref().and_then(sensor)?.ok()
    }

    pub(super) fn matches(&self, sensor_id: &str) -> bool {
        let matches = |filter: &TopicFilter| {
            TopicName::new(sensor_id).is_ok_and(|sensor| filter.matches(&sensor))
        };
        self.filter.as_ref().is_none_or(matches)
    }
}

/// The sensor that a filter without wildcards names.
fn sensor(filter: &TopicFilter) -> Option<Result<SensorId, SensorIdError>> {
    let text = filter.as_str();
    let is_pattern = text.contains(['+', '#']);
    (!is_pattern).then(|| SensorId::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_of_topics_over_the_ids() {
        let check = |filter: &str, sensor: &str, expected: bool| {
            let wanted = Wanted::new(Some(filter), true, true).unwrap();
            assert_eq!(wanted.matches(sensor), expected, "{filter} {sensor}");
        };
        check("boiler/+", "boiler/1", true);
        check("boiler/+", "boiler/1/x", false);
        check("boiler/#", "boiler", true);
        check("s1", "s1", true);
        check("s1", "s10", false);
        check("$gateway", "$gateway", true);
        assert!(Wanted::new(None, true, true).unwrap().matches("$gateway"));
    }

    #[test]
    fn what_can_match_nothing_is_refused() {
        let check = |filter: &str, part: &str| {
            let error = Wanted::new(Some(filter), true, true).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        check("a/#/b", "has `#` elsewhere");
        check("boiler*+", "has `+` beside");
        check("", "is empty");
        check("a//b", "has an empty level");
    }
}
