//! What has come since the last look: in order, each once, in bounded memory. Pure: pages come from a [`Source`].
//!
//! Ids only grow, and pages begin with the newest; so each look goes back to the newest id of the look before.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::value::RawValue;

use super::wanted::Wanted;
use crate::cli::ask::Trouble;
use crate::domain::sensor::SensorId;

/// What one look takes at most, of each list: what is older is passed over, and that is told.
const MAX_ITEMS: usize = 50_000;
const MAX_BYTES: usize = 32 << 20;

/// The first of a look's pages has at least so many.
const SMALLEST_PAGE: usize = 10;

/// So many are looked through at most for what is shown of the past.
const MAX_PAST: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Readings,
    Alerts,
}

impl List {
    /// The most items of a page.
    const fn largest_page(self) -> usize {
        match self {
            Self::Readings => 10_000,
            Self::Alerts => 1000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Alerts => "alerts",
        }
    }
}

/// A reading or an alert.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) list: List,
    pub(super) id: i64,
    /// The reading that it is, or that it came with.
    pub(super) reading_id: i64,
    pub(super) sensor_id: String,
    /// As the API has it.
    pub(super) raw: Box<RawValue>,
}

/// Newest first. `next` is where the next page begins: what it has is older than that id.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<i64>,
}

/// Where pages come from.
pub(super) trait Source {
    fn page(
        &mut self,
        list: List,
        sensor: Option<&SensorId>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Page, Trouble>;
}

/// What was there before.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) items: Vec<Item>,
    /// There may be more of it that was not looked for.
    pub(super) is_cut: bool,
}

/// What came since the last look, oldest first, and what there is to say about it.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) items: Vec<Item>,
    pub(super) remarks: Vec<String>,
}

/// Both lists, as far as they are wanted.
#[derive(Debug)]
pub(super) struct Tail {
    wanted: Wanted,
    readings: Option<Place>,
    alerts: Option<Place>,
}

/// How far one list has been looked at.
#[derive(Clone, Copy, Debug)]
struct Place {
    list: List,
    seen: i64,
    /// How many are likely to come until the next look.
    expected: usize,
}

impl Tail {
    /// Begins with what comes from now on; gives the last `count` before that.
    pub(super) fn begin(
        source: &mut impl Source,
        wanted: Wanted,
        count: usize,
    ) -> Result<(Self, Past), Trouble> {
        let mut places = [None, None];
        let mut lists = [Vec::new(), Vec::new()];
        let mut is_cut = false;
        let of = [
            (List::Readings, wanted.readings),
            (List::Alerts, wanted.alerts),
        ];
        for (at, (list, _)) in of.into_iter().enumerate().filter(|(_, (_, is))| *is) {
            let place = Place::newest(source, list)?;
            let (items, cut) = place.past(source, &wanted, count)?;
            (places[at], lists[at]) = (Some(place), items);
            is_cut |= cut;
        }
        let [readings, alerts] = lists;
        let mut items = merge(readings, alerts);
        let surplus = items.len().saturating_sub(count);
        items.drain(..surplus);
        let is_cut = is_cut && items.len() < count;
        let [readings, alerts] = places;
        let tail = Self {
            wanted,
            readings,
            alerts,
        };
        Ok((tail, Past { items, is_cut }))
    }

    /// What came since. After an error it is as if nothing had been looked at.
    pub(super) fn look(&mut self, source: &mut impl Source) -> Result<News, Trouble> {
        let mut news = News::default();
        // Alerts first: their readings are on disk with them, so that they come in the same look.
        let (mut alerts, mut readings) = (self.alerts, self.readings);
        let wanted = &self.wanted;
        let mut look = |place: &mut Option<Place>| match place {
            Some(place) => place.look(source, wanted, &mut news.remarks),
            None => Ok(Vec::new()),
        };
        let (came, with) = (look(&mut alerts)?, look(&mut readings)?);
        (self.alerts, self.readings) = (alerts, readings);
        news.items = merge(with, came);
        Ok(news)
    }
}

impl Place {
    fn newest(source: &mut impl Source, list: List) -> Result<Self, Trouble> {
        let page = source.page(list, None, None, 1)?;
        Ok(Self {
            list,
            seen: page.items.first().map_or(0, |item| item.id),
            expected: SMALLEST_PAGE,
        })
    }

    /// The last `count`, and whether more was not looked for.
    fn past(
        self,
        source: &mut impl Source,
        wanted: &Wanted,
        count: usize,
    ) -> Result<(Vec<Item>, bool), Trouble> {
        let only = wanted.only();
        let (mut items, mut looked, mut bytes) = (Vec::new(), 0, 0);
        let mut after = self.seen.checked_add(1);
        while items.len() < count && 0 < self.seen {
            if MAX_PAST <= looked || MAX_BYTES <= bytes {
                items.reverse();
                return Ok((items, true));
            }
            let limit = (count + looked).clamp(1, self.list.largest_page());
            let page = source.page(self.list, only.as_ref(), after, limit)?;
            looked += page.items.len();
            if page.items.len() < limit {
                // It ended early: the gateway looked through many for it.
                looked += MAX_PAST / 10;
            }
            for item in page.items {
                if items.len() < count && wanted.matches(&item.sensor_id) {
                    bytes += item.raw.get().len();
                    items.push(item);
                }
            }
            if page.next.is_none() {
                break;
            }
            after = page.next;
        }
        items.reverse();
        Ok((items, false))
    }

    fn look(
        &mut self,
        source: &mut impl Source,
        wanted: &Wanted,
        remarks: &mut Vec<String>,
    ) -> Result<Vec<Item>, Trouble> {
        let (mut items, mut looked, mut bytes) = (Vec::new(), 0, 0);
        let (mut newest, mut oldest) = (None, self.seen);
        let (mut after, mut limit) = (None, self.expected);
        loop {
            let page = source.page(self.list, None, after, limit)?;
            let first = page.items.first().map_or(0, |item| item.id);
            let newest = *newest.get_or_insert(first);
            if newest < self.seen {
                let name = self.list.name();
                remarks.push(format!("the gateway has not the {name} it had: another store? Shown is what comes from now on"));
                self.seen = newest;
                return Ok(Vec::new());
            }
            for item in page.items {
                if self.seen < item.id {
                    (oldest, looked) = (item.id, looked + 1);
                    if wanted.matches(&item.sensor_id) {
                        bytes += item.raw.get().len();
                        items.push(item);
                    }
                }
            }
            let Some(next) = page.next.filter(|next| self.seen + 1 < *next) else {
                break;
            };
            if MAX_ITEMS <= looked || MAX_BYTES <= bytes {
                let (skipped, name) = (oldest - self.seen - 1, self.list.name());
                remarks.push(format!(
                    "{skipped} {name} of all sensors are not shown: they came faster than they could be"
                ));
                break;
            }
            after = Some(next);
            limit = (limit * 4).min(self.list.largest_page());
        }
        self.seen = newest.unwrap_or(self.seen);
        self.expected = (looked * 2).clamp(SMALLEST_PAGE, self.list.largest_page());
        items.reverse();
        Ok(items)
    }
}

/// Each alert behind its reading, both in the order they have.
fn merge(readings: Vec<Item>, alerts: Vec<Item>) -> Vec<Item> {
    let mut merged = Vec::with_capacity(readings.len() + alerts.len());
    let mut readings: Peekable<IntoIter<Item>> = readings.into_iter().peekable();
    for alert in alerts {
        while let Some(reading) = readings.next_if(|reading| reading.id <= alert.reading_id) {
            merged.push(reading);
        }
        merged.push(alert);
    }
    merged.extend(readings);
    merged
}

#[cfg(test)]
mod tests;
