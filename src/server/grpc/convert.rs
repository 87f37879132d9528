//! Converts between messages and the domain. It only translates; constructors of the domain validate.

use super::metadata_convert::metadata_from_struct;
use super::proto;
use crate::server::status;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::document::{DocumentAcl, DocumentDescription, Submission};
use contexture_core::domain::ids::{CollectionId, DocumentId, Version};
use contexture_core::domain::principal::Principal;
use contexture_core::fault::{Refusal, RefusalKind};
use contexture_core::ports::ledger::{IntakeDecision, SubmissionReceipt};

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
        state: proto::State::Accepted.into(),
    })
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

pub(super) fn byte_span_message(span: TextSpan) -> proto::ByteSpan {
    proto::ByteSpan { start_byte: span.start as u64, end_byte: span.end as u64 }
}
