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

/// A place in the source as the fields `first_line`, `last_line`, `source_start_byte` and `source_end_byte`.
pub(super) mod source_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::domain::chunk::SourcePlace;

    #[derive(Default, Serialize, Deserialize)]
    struct SourceFields {
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
        let fields = place.map_or_else(SourceFields::default, |place| SourceFields {
            first_line: Some(place.first_line),
            last_line: Some(place.last_line),
            source_start_byte: place.bytes.map(|bytes| bytes.0),
            source_end_byte: place.bytes.map(|bytes| bytes.1),
        });
        fields.serialize(serializer)
    }

    pub(in crate::context::answer) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SourcePlace>, D::Error> {
        let fields = SourceFields::deserialize(deserializer)?;
        Ok(fields.first_line.zip(fields.last_line).map(|(first_line, last_line)| SourcePlace {
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
