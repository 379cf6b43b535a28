//! Readings as a Parquet file: columns named as in CSV, times as timestamps, tags and attributes as JSON.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::{Failure, Progress};
use crate::domain::reading::StoredReading;
use crate::store::Extract;

const SCHEMA: &str = "message readings {
    REQUIRED INT64 id;
    REQUIRED BYTE_ARRAY sensor_id (UTF8);
    REQUIRED DOUBLE value;
    REQUIRED INT64 ts (TIMESTAMP_MILLIS);
    REQUIRED INT64 received_at (TIMESTAMP_MILLIS);
    REQUIRED BYTE_ARRAY tags (JSON);
    REQUIRED BYTE_ARRAY attributes (JSON);
}";

/// Readings of a row group, which is in memory while it is written.
const READINGS_OF_A_GROUP: usize = 32_768;

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(error) => Self::Output(*error),
                Err(inner) => Self::Parquet(ParquetError::External(inner)),
            },
            other => Self::Parquet(other),
        }
    }
}

/// Writes all of it.
pub(super) fn write(
    mut extract: Extract,
    out: impl Write + Send,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(Default::default()))
        .build();
    let mut writer = SerializedFileWriter::new(BufWriter::new(out), schema, Arc::new(properties))?;
    while let Some(page) = extract.next_page()? {
        for readings in page.chunks(READINGS_OF_A_GROUP) {
            let mut group = writer.next_row_group()?;
            write_group(&mut group, readings)?;
            group.close()?;
        }
        let (done, all) = extract.progress();
        progress.show("", done, all);
    }
    let mut out = writer.into_inner()?;
    Ok(out.flush()?)
}

/// In the order of the schema.
fn write_group<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    readings: &[StoredReading],
) -> Result<(), ParquetError> {
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    column::<Int64Type, W>(group, readings, |r| r.id.0)?;
    column::<ByteArrayType, W>(group, readings, |r| text(r.sensor_id.as_str()))?;
    column::<DoubleType, W>(group, readings, |r| r.value)?;
    column::<Int64Type, W>(group, readings, |r| r.ts.millis())?;
    column::<Int64Type, W>(group, readings, |r| r.received_at.millis())?;
    column::<ByteArrayType, W>(group, readings, |r| text(r.tags.get()))?;
    column::<ByteArrayType, W>(group, readings, |r| text(r.attributes.get()))
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    readings: &[StoredReading],
    value: impl Fn(&StoredReading) -> T::T,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = readings.iter().map(value).collect();
    let next = group.next_column()?;
    let mut column = next.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
    column.typed::<T>().write_batch(&values, None, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;
    use crate::domain::reading::{Attributes, Reading};
    use crate::domain::sensor::SensorId;
    use crate::domain::timestamp::Timestamp;
    use crate::domain::uplink::UplinkSet;
    use crate::store::{Group, History, Writer};

    #[test]
    fn a_file_has_every_reading_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let mut writer = Writer::open(&path).unwrap();
        let mut group = Group::default();
        for number in 0..40_000 {
            let reading = Reading {
                sensor_id: SensorId::new(&format!("s{}", number % 3)).unwrap(),
                value: f64::from(number) / 2.0,
                ts: Timestamp::from_millis(1_764_000_000_000 + i64::from(number)),
                received_at: Timestamp::from_millis(1_764_000_100_000),
                attributes: Attributes::from_json("{\"a\":1}".to_owned()),
                topic: None,
            };
            let tags = (number % 2 == 0).then(|| "[\"high\"]".into());
            writer
                .add_reading(&mut group, reading, tags, UplinkSet::NONE)
                .unwrap();
        }
        writer.commit(&group).unwrap();
        let extract = Extract::new(History::open(&path).unwrap(), None, None, None).unwrap();
        let mut file = Vec::new();
        write(extract, &mut file, &mut Progress::new()).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 40_000);
        for (number, row) in (0..).zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            assert_eq!(row.get_long(0).unwrap(), number + 1);
            assert_eq!(row.get_string(1).unwrap(), &format!("s{}", number % 3));
            assert_eq!(row.get_double(2).unwrap(), number as f64 / 2.0);
            assert_eq!(
                row.get_timestamp_millis(3).unwrap(),
                1_764_000_000_000 + number
            );
            assert_eq!(row.get_timestamp_millis(4).unwrap(), 1_764_000_100_000);
        }
    }
}
