//! What the end of a connection means for the batches that were on their way. Pure.

use rumqttc::{ConnectReturnCode, ConnectionError};

use crate::forwarder::failure::describe;
use crate::forwarder::verdict::Verdict;

/// Refusals of CONNECT (MQTT 3.1.1, section 3.2.2.3) are for people to put right, but for a broker that is not available.
pub(super) fn judge(error: &ConnectionError) -> Verdict {
    let ConnectionError::ConnectionRefused(code) = error else {
        return Verdict::retry(describe("no connection", Some(error)));
    };
    match code {
        ConnectReturnCode::ServiceUnavailable => {
            Verdict::retry("the broker refuses the connection: it is not available")
        }
        ConnectReturnCode::BadUserNamePassword => Verdict::held(
            "the broker refuses the connection: user or password is wrong (see user and password_file)",
        ),
        ConnectReturnCode::NotAuthorized => Verdict::held(
            "the broker refuses the connection: not authorised (see user, password_file and client_certificate)",
        ),
        ConnectReturnCode::BadClientId => {
            Verdict::held("the broker refuses the connection: client_id is not one it takes")
        }
        ConnectReturnCode::RefusedProtocolVersion => {
            Verdict::held("the broker refuses the connection: it does not speak MQTT 3.1.1")
        }
        ConnectReturnCode::Success => Verdict::retry("the broker refuses the connection"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_be_put_right_by_people_holds() {
        let check = |code: ConnectReturnCode, label: &str, words: &str| {
            let verdict = judge(&ConnectionError::ConnectionRefused(code));
            assert_eq!(verdict.label(), label, "{verdict:?}");
            let (Verdict::Held { reason, .. } | Verdict::Retry { reason, .. }) = verdict else {
                panic!("{verdict:?}");
            };
            assert!(reason.contains(words), "{reason}");
        };
        check(
            ConnectReturnCode::BadUserNamePassword,
            "held",
            "password_file",
        );
        check(ConnectReturnCode::NotAuthorized, "held", "not authorised");
        check(ConnectReturnCode::BadClientId, "held", "client_id");
        check(ConnectReturnCode::RefusedProtocolVersion, "held", "3.1.1");
        check(
            ConnectReturnCode::ServiceUnavailable,
            "retry",
            "not available",
        );
    }

    #[test]
    fn what_time_may_heal_is_retried_and_says_its_cure() {
        let check = |said: &str, cure: &str| {
            let error = ConnectionError::Io(std::io::Error::other(said.to_owned()));
            let Verdict::Retry { reason, .. } = judge(&error) else {
                panic!("{said}");
            };
            assert!(reason.contains(said) && reason.contains(cure), "{reason}");
        };
        check("Connection refused (os error 111)", "nobody listens there");
        check("failed to lookup address information", "cannot be resolved");
        check("invalid peer certificate: UnknownIssuer", "ca_file");
        check(
            "received fatal alert: CertificateRequired",
            "client_certificate",
        );
    }
}
