//! How a connection is asked for. The files are read each time, so that they can be replaced while the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use tokio::task::spawn_blocking;

use crate::config::MqttUplink;
use crate::forwarder::secret::read_text;
use crate::tls::ClientFiles;

/// A broker that says nothing for twice as long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Packet ids. Many more than batches can be on their way, so that none is used again while an old one stands.
const PACKET_IDS: u16 = 1024;

/// The longest packet that is read; a longer one ends the connection.
const MOST_INCOMING: usize = 16 << 20;

/// The longest packet of MQTT 3.1.1 (section 2.2.3). How long a batch may be is for the configuration to say.
const MOST_OUTGOING: usize = 268_435_455;

/// What the section and its files say now; the error is what is wrong with them.
pub(super) async fn read(mqtt: Arc<MqttUplink>, files: ClientFiles) -> Result<MqttOptions, String> {
    let read = move || {
        let broker = &mqtt.broker;
        let mut options = MqttOptions::new(&*mqtt.client_id, &*broker.host, broker.port);
        options
            .set_clean_session(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_inflight(PACKET_IDS)
            .set_manual_acks(true)
            .set_max_packet_size(MOST_INCOMING, MOST_OUTGOING);
        if let Some(user) = &mqtt.user {
            let password = mqtt.password.as_ref();
            let password = password.map(|path| read_text(path, "password_file"));
            let password = password.transpose()?.unwrap_or_default();
            options.set_credentials(&**user, password);
        }
        if broker.is_encrypted {
            let tls = files.config().map_err(|fault| fault.to_string())?;
            let tls = TlsConfiguration::Rustls(Arc::new(tls));
            options.set_transport(Transport::tls_with_config(tls));
        }
        Ok(options)
    };
    spawn_blocking(read)
        .await
        .map_err(|error| error.to_string())?
}
