//! How many connections come from each address. Those beyond the limit may say CONNECT to hear why they are refused; as
//! many of them as the limit, the rest is closed unheard.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// Who is there, by address.
#[derive(Debug)]
pub(super) struct Addresses {
    most: Option<NonZeroUsize>,
    counts: Mutex<HashMap<IpAddr, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    served: usize,
    refused: usize,
}

/// A connection's place among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// Whether it may not stay.
    pub(super) is_one_too_many: bool,
    /// `None` if nobody counts.
    counted: Option<(Arc<Addresses>, IpAddr)>,
}

impl Addresses {
    pub(super) fn new(most: Option<NonZeroUsize>) -> Self {
        Self {
            most,
            counts: Mutex::default(),
        }
    }

    /// Counts a connection; `None` if it is not even to be heard.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let Some(most) = self.most else {
            return Some(Place {
                is_one_too_many: false,
                counted: None,
            });
        };
        let address = network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry(address).or_default();
        let is_one_too_many = most.get() <= counts.served;
        let count = counts.of(is_one_too_many);
        if most.get() <= *count {
            return None;
        }
        *count += 1;
        Some(Place {
            is_one_too_many,
            counted: Some((Arc::clone(self), address)),
        })
    }
}

impl Counts {
    fn of(&mut self, is_one_too_many: bool) -> &mut usize {
        if is_one_too_many {
            &mut self.refused
        } else {
            &mut self.served
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((addresses, address)) = &self.counted else {
            return;
        };
        let mut all = addresses
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = all.get_mut(address) {
            *counts.of(self.is_one_too_many) -= 1;
            if counts.served + counts.refused == 0 {
                all.remove(address);
            }
        }
    }
}

/// One subscriber of IPv6 has at least the last 64 bits to choose from.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(addresses: &Arc<Addresses>, address: &str) -> Option<Place> {
        addresses.enter(address.parse().unwrap())
    }

    #[test]
    fn as_many_as_the_limit_are_served_and_as_many_again_heard() {
        let addresses = Arc::new(Addresses::new(NonZeroUsize::new(2)));
        let ours = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"];
        let mut places: Vec<Place> = ours.iter().filter_map(|a| enter(&addresses, a)).collect();
        let refused: Vec<bool> = places.iter().map(|place| place.is_one_too_many).collect();
        assert_eq!(refused, [false, false, true, true]);
        assert!(enter(&addresses, "10.0.0.1").is_none());
        assert!(!enter(&addresses, "10.0.0.2").unwrap().is_one_too_many);
        places.remove(0);
        places.push(enter(&addresses, "10.0.0.1").unwrap());
        assert!(!places.last().unwrap().is_one_too_many);
        drop(places);
        assert!(addresses.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        let addresses = Arc::new(Addresses::new(NonZeroUsize::new(1)));
        let _first = enter(&addresses, "2001:db8::1").unwrap();
        assert!(
            enter(&addresses, "2001:db8::ffff:1")
                .unwrap()
                .is_one_too_many
        );
        assert!(
            !enter(&addresses, "2001:db8:0:1::1")
                .unwrap()
                .is_one_too_many
        );
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let addresses = Arc::new(Addresses::new(None));
        let _place = enter(&addresses, "10.0.0.1").unwrap();
        assert!(addresses.counts.lock().unwrap().is_empty());
    }
}
