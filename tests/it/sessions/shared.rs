//! What a member of a group was chosen for is not lost with its session.

use super::{expiry, keeper, leave};
use crate::support::Site;
use crate::support::frames::{Connect, Publish, V5};
use crate::support::raw::Raw;

#[test]
fn what_a_member_was_chosen_for_goes_to_another_when_its_session_ends_after_a_kill() {
    let brief = Connect {
        is_clean: false,
        ..Connect::new(V5, "brief").with(expiry(1))
    };
    let cleaned = keeper(V5, "cleaned");
    for connect in [&brief, &cleaned] {
        let site = Site::new();
        let gateway = site.start();
        let mut member = Raw::connect_with(&gateway, connect);
        member.subscribe("$share/g/jobs/+", 1);
        let mut publisher = Raw::connect(&gateway, V5, "publisher");
        for number in 0..3 {
            publisher.publish(Publish::new("jobs/a", number.to_string()).qos(1, 0));
        }
        // One of them is under way.
        member.unacknowledged();
        let mut other = Raw::connect_with(&gateway, &keeper(V5, "other"));
        other.subscribe("$share/g/jobs/#", 1);
        other.subscribe("$share/g/jobs/+", 1);
        gateway.kill();
        drop((member, other));

        let gateway = site.start();
        let mut other = Raw::resume(&gateway, &keeper(V5, "other"));
        if connect.client_id == cleaned.client_id {
            leave(Raw::connect(&gateway, V5, cleaned.client_id));
        }
        let texts = [(); 3].map(|()| other.text());
        assert_eq!(texts, ["0", "1", "2"], "{}", connect.client_id);
        other.ping();
        assert_eq!(gateway.stop().code(), Some(0));
        assert_eq!(site.sql::<i64>("SELECT count(*) FROM queued"), 0);
    }
}
