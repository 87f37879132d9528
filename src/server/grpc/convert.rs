//! Between messages and the domain. Requests are only translated here; constructors of the
//! domain decide whether they are right.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use tonic::{Request, Status};

use super::gate::panicked;
use super::proto;
use crate::domain::chunk::Span;
use crate::domain::document::{Acl, Description, Submission};
use crate::domain::ids::{CollectionId, DocumentId, Version};
use crate::domain::metadata::{Metadata, Scalar, Value};
use crate::domain::principal::Principal;
use crate::fault::{Refusal, RefusalKind};
use crate::ports::ledger::{Intake, Receipt, State, VersionRecord};
use crate::server::status;

/// Largest magnitude of a whole number that a protobuf number holds exactly: 2^53.
const WHOLE_NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Whom the gate let in.
pub(super) fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    request
        .extensions()
        .get::<Principal>()
        .cloned()
        .ok_or_else(|| status::from_refusal(&panicked("a call that passed no gate")))
}

pub(super) fn submission(
    principal: &Principal,
    request: proto::SubmitRequest,
    body_bytes_max: usize,
) -> Result<Submission, Refusal> {
    let metadata = request.metadata.map(metadata).transpose()?.unwrap_or_default();
    let description = Description {
        media_type: request.media_type,
        title: request.title,
        metadata,
        acl: Acl::new(request.acl.map(|acl| acl.groups.into_iter().collect()))?,
    };
    Submission::new(
        principal,
        CollectionId::new(&request.collection)?,
        DocumentId::new(&request.document_id)?,
        request.version.map(Version::new).transpose()?,
        description,
        request.body,
        body_bytes_max,
    )
}

pub(super) fn deletion(principal: &Principal, request: &proto::DeleteRequest) -> Result<Submission, Refusal> {
    Submission::delete(
        principal,
        CollectionId::new(&request.collection)?,
        DocumentId::new(&request.document_id)?,
        request.version.map(Version::new).transpose()?,
    )
}

fn metadata(raw: prost_types::Struct) -> Result<Metadata, Refusal> {
    let mut values = BTreeMap::new();
    for (key, value) in raw.fields {
        let value = value_of(value).ok_or_else(|| {
            Refusal::invalid(
                "invalid_metadata_value",
                &format!("metadata.{key}"),
                "a metadata value is a string, a number, a boolean, or a list of these",
            )
        })?;
        values.insert(key, value);
    }
    Metadata::new(values)
}

fn value_of(value: prost_types::Value) -> Option<Value> {
    if let Some(Kind::ListValue(list)) = value.kind {
        return list.values.into_iter().map(scalar_of).collect::<Option<_>>().map(Value::Many);
    }
    scalar_of(value).map(Value::One)
}

fn scalar_of(value: prost_types::Value) -> Option<Scalar> {
    match value.kind? {
        Kind::BoolValue(flag) => Some(Scalar::Bool(flag)),
        Kind::StringValue(text) => Some(Scalar::Text(text)),
        Kind::NumberValue(number) => Some(number_of(number)),
        Kind::NullValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => None,
    }
}

/// A protobuf number is a float; a whole one was meant as an integer, as JSON would have it.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within 2^53 are converted")]
fn number_of(number: f64) -> Scalar {
    if number.fract() == 0.0 && number.abs() <= WHOLE_NUMBER_MAX {
        return Scalar::Integer(number as i64);
    }
    Scalar::Float(number)
}

/// The receipt of a submission; a conflict is refused, for nothing was stored.
pub(super) fn receipt(document_id: &DocumentId, receipt: &Receipt) -> Result<proto::Receipt, Refusal> {
    let intake = match receipt.intake {
        Intake::Accepted => proto::Intake::Accepted,
        Intake::Duplicate => proto::Intake::Duplicate,
        Intake::Superseded => proto::Intake::Superseded,
        Intake::Conflict => {
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "version_conflict",
                "version",
                format!("version {} is stored with other content", receipt.version),
            ));
        }
    };
    Ok(proto::Receipt {
        document_id: document_id.as_str().to_owned(),
        version: receipt.version.get(),
        intake: intake.into(),
    })
}

pub(super) fn error(refusal: &Refusal) -> proto::Error {
    proto::Error {
        status: status::code(refusal.kind).into(),
        code: refusal.code.to_owned(),
        field: refusal.field.clone(),
        message: status::public_message(refusal),
        retry_after_ms: refusal.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    }
}

pub(super) fn document_version(record: VersionRecord) -> proto::DocumentVersion {
    let state = match record.state {
        State::Accepted => proto::State::Accepted,
        State::Chunked => proto::State::Chunked,
        State::Embedded => proto::State::Embedded,
        State::Visible => proto::State::Visible,
        State::Superseded => proto::State::Superseded,
        State::Dead => proto::State::Dead,
    };
    let (reason_code, reason) = record.reason.map(|reason| (reason.code, reason.detail)).unzip();
    proto::DocumentVersion {
        version: record.key.version.get(),
        state: state.into(),
        reason_code,
        reason,
        deletes: record.deletes,
        content_hash: record.content_hash.to_string(),
        body_bytes: record.body_bytes,
        chunk_count: record.chunk_count,
        accepted_ms: record.accepted_ms,
        updated_ms: record.updated_ms,
    }
}

pub(super) fn byte_span(span: Span) -> proto::ByteSpan {
    proto::ByteSpan { start_byte: span.start as u64, end_byte: span.end as u64 }
}
