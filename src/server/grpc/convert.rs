//! Converts between messages and the domain. It only translates; constructors of the domain validate.

use std::collections::BTreeMap;

use super::proto;
use crate::server::status;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::document::{DocumentAcl, DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, DocumentId, Version};
use contexture_core::domain::metadata::{DocumentMetadata, MetadataScalar, MetadataValue};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::{IntakeDecision, SubmissionReceipt, VersionRecord, VersionState};
use prost_types::value::Kind;

/// Largest magnitude of a whole number that a protobuf number holds exactly: 2^53.
const WHOLE_NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn submission_from_request(
    principal: &Principal,
    request: proto::SubmitRequest,
    body_bytes_max: usize,
) -> Result<Submission, Refusal> {
    let metadata = request.metadata.map(metadata_from_struct).transpose()?.unwrap_or_default();
    let description = DocumentDescription {
        media_type: request.media_type,
        title: request.title,
        metadata,
        acl: DocumentAcl::new(request.acl.map(|acl| acl.groups.into_iter().collect()))?,
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

pub(super) fn deletion_from_request(
    principal: &Principal,
    request: &proto::DeleteRequest,
) -> Result<Submission, Refusal> {
    Submission::deletion(
        principal,
        CollectionId::new(&request.collection)?,
        DocumentId::new(&request.document_id)?,
        request.version.map(Version::new).transpose()?,
    )
}

fn metadata_from_struct(raw: prost_types::Struct) -> Result<DocumentMetadata, Refusal> {
    let mut values = BTreeMap::new();
    for (key, value) in raw.fields {
        let value = metadata_value(value).ok_or_else(|| {
            Refusal::invalid(
                "invalid_metadata_value",
                &format!("metadata.{key}"),
                "a metadata value is a string, a number, a boolean, or a list of these",
            )
        })?;
        values.insert(key, value);
    }
    DocumentMetadata::new(values)
}

fn metadata_value(value: prost_types::Value) -> Option<MetadataValue> {
    if let Some(Kind::ListValue(list)) = value.kind {
        return list.values.into_iter().map(metadata_scalar).collect::<Option<_>>().map(MetadataValue::Many);
    }
    metadata_scalar(value).map(MetadataValue::One)
}

fn metadata_scalar(value: prost_types::Value) -> Option<MetadataScalar> {
    match value.kind? {
        Kind::BoolValue(flag) => Some(MetadataScalar::Bool(flag)),
        Kind::StringValue(text) => Some(MetadataScalar::Text(text)),
        Kind::NumberValue(number) => Some(number_scalar(number)),
        // Metadata is flat: no nulls, no objects, no lists in lists.
        Kind::NullValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => None,
    }
}

/// Converts a number of protobuf, which is always a float. A whole number becomes an integer, as in JSON.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within 2^53 are converted")]
fn number_scalar(number: f64) -> MetadataScalar {
    // NaN and infinity have no fraction of 0, so they stay floats, which `DocumentMetadata` refuses.
    if number.fract() == 0.0 && number.abs() <= WHOLE_NUMBER_MAX {
        return MetadataScalar::Integer(number as i64);
    }
    MetadataScalar::Float(number)
}

/// Returns the receipt of a submission. A conflict is a refusal, because nothing was stored.
pub(super) fn receipt_message(
    document_id: &DocumentId,
    receipt: &SubmissionReceipt,
) -> Result<proto::Receipt, Refusal> {
    let intake = match receipt.intake {
        IntakeDecision::Accepted => proto::Intake::Accepted,
        IntakeDecision::Duplicate => proto::Intake::Duplicate,
        IntakeDecision::Superseded => proto::Intake::Superseded,
        IntakeDecision::Conflict => {
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

/// The refusal for a submission without a receipt, which breaks the contract of [`IngestApi`](crate::server::IngestApi).
pub(super) fn receipt_missing_refusal() -> Refusal {
    Refusal::new(RefusalKind::Internal, "receipt_missing", "", "intake returned too few receipts")
}

pub(super) fn error_message(refusal: &Refusal) -> proto::Error {
    proto::Error {
        status: status::grpc_code(refusal.kind).into(),
        code: refusal.code.to_owned(),
        field: refusal.field.clone(),
        message: status::public_message(refusal),
        retry_after_ms: refusal.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    }
}

pub(super) fn document_version_message(record: VersionRecord) -> proto::DocumentVersion {
    let state = match record.state {
        VersionState::Accepted => proto::State::Accepted,
        VersionState::Chunked => proto::State::Chunked,
        VersionState::Embedded => proto::State::Embedded,
        VersionState::Visible => proto::State::Visible,
        VersionState::Superseded => proto::State::Superseded,
        VersionState::Dead => proto::State::Dead,
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

pub(super) fn byte_span_message(span: TextSpan) -> proto::ByteSpan {
    proto::ByteSpan { start_byte: span.start as u64, end_byte: span.end as u64 }
}
