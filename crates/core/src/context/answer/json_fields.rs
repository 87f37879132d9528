//! How parts of answers are written as fields of JSON objects.

/// A span as the fields `start_byte` and `end_byte`.
pub(super) mod span_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::chunk::TextSpan;

    #[derive(Serialize, Deserialize)]
    struct SpanFields {
        start_byte: usize,
        end_byte: usize,
    }

    pub(in crate::context::answer) fn serialize<S: Serializer>(
        span: &TextSpan,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        SpanFields { start_byte: span.start, end_byte: span.end }.serialize(serializer)
    }

    pub(in crate::context::answer) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TextSpan, D::Error> {
        let SpanFields { start_byte: start, end_byte: end } = SpanFields::deserialize(deserializer)?;
        Ok(TextSpan { start, end })
    }
}

/// A place in the source as the fields `first_line`, `last_line`, `source_start_byte` and `source_end_byte`, or, of
/// sources that have no lines, as the field `place`.
pub(super) mod source_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::chunk::{SourcePlace, SourceUnit};

    #[derive(Serialize, Deserialize)]
    struct NumberedPlace {
        unit: SourceUnit,
        first: usize,
        last: usize,
    }

    #[derive(Default, Serialize, Deserialize)]
    struct SourceFields {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<NumberedPlace>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first_line: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_line: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_start_byte: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_end_byte: Option<usize>,
    }

    #[expect(clippy::ref_option, reason = "serde's `with` calls it so")]
    pub(in crate::context::answer) fn serialize<S: Serializer>(
        place: &Option<SourcePlace>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let fields = place.map_or_else(SourceFields::default, |place| match place.unit {
            SourceUnit::Line => line_fields(place),
            unit => {
                let place = NumberedPlace { unit, first: place.first_line, last: place.last_line };
                SourceFields { place: Some(place), ..SourceFields::default() }
            }
        });
        fields.serialize(serializer)
    }

    fn line_fields(place: SourcePlace) -> SourceFields {
        SourceFields {
            place: None,
            first_line: Some(place.first_line),
            last_line: Some(place.last_line),
            source_start_byte: place.bytes.map(|bytes| bytes.0),
            source_end_byte: place.bytes.map(|bytes| bytes.1),
        }
    }

    pub(in crate::context::answer) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SourcePlace>, D::Error> {
        let fields = SourceFields::deserialize(deserializer)?;
        if let Some(NumberedPlace { unit, first, last }) = fields.place {
            return Ok(Some(SourcePlace { unit, first_line: first, last_line: last, bytes: None }));
        }
        Ok(fields.first_line.zip(fields.last_line).map(|(first_line, last_line)| SourcePlace {
            unit: SourceUnit::Line,
            first_line,
            last_line,
            bytes: fields.source_start_byte.zip(fields.source_end_byte),
        }))
    }
}

/// A chunk id as text.
pub(super) mod chunk_id_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use uuid::Uuid;

    use crate::domain::ids::ChunkId;

    pub(in crate::context::answer) fn serialize<S: Serializer>(
        id: &ChunkId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::context::answer) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ChunkId, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map(ChunkId::from_uuid).map_err(D::Error::custom)
    }
}
