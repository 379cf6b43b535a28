//! A request: its body is made and sent.

use std::future::Future;
use std::sync::Arc;

use tokio::task::{JoinSet, spawn_blocking};

use super::{Landing, Made, Pump};
use crate::domain::reading::StoredReading;
use crate::forwarder::flights::Departure;
use crate::forwarder::payload::{self, Body, Sender};
use crate::forwarder::trouble::Trouble;
use crate::store::Reader;
use crate::store::outbox::Batch;

impl Pump {
    /// Readings that were kept since the claim are not read again.
    pub(super) fn request(
        &self,
        departure: Departure,
        readings: Option<Vec<StoredReading>>,
    ) -> impl Future<Output = Landing> + Send + 'static {
        let (reader, uplink) = (self.reader.clone(), Arc::clone(&self.uplink));
        let encoders = Arc::clone(&self.encoders);
        // Who receives from a broker is not told how a body is packed: what was recorded before the settings changed goes by
        // those of now.
        let config = self.config.mqtt.as_ref().map(|_| &self.config);
        let compression = config.map(|config| config.compression.name());
        let (batch, started) = (departure.batch.clone(), departure.started);
        let made = async move {
            let key = format!("{}:{}:{}", batch.gateway_id, reader.store_id(), batch.id);
            let permit = encoders.acquire().await;
            let body = encode(reader, batch, readings, compression).await?;
            drop(permit);
            Ok(Made {
                plain_bytes: body.plain_bytes,
                sent: uplink.send(&key, body, started).await,
            })
        };
        async move {
            // In a set of its own, dropped with it, so that a panic leaves no batch on its way for ever.
            let outcome = match JoinSet::from_iter([made]).join_next().await {
                Some(Ok(outcome)) => outcome,
                Some(Err(error)) => Err(error.into()),
                None => Err(Trouble::Stopped),
            };
            Landing { departure, outcome }
        }
    }
}

async fn encode(
    reader: Reader,
    batch: Batch,
    readings: Option<Vec<StoredReading>>,
    compression: Option<&'static str>,
) -> Result<Body, Trouble> {
    let encode = move || {
        let readings = match readings {
            Some(readings) => readings,
            None => reader.readings_by_id(&batch.readings)?,
        };
        let sender = Sender {
            gateway_id: &batch.gateway_id,
            store_id: reader.store_id(),
        };
        let compression = compression.unwrap_or(&batch.compression);
        let format = &batch.format;
        let body = payload::encode(sender, batch.id, format, compression, &readings);
        Ok::<_, Trouble>(body?)
    };
    spawn_blocking(encode).await?
}
