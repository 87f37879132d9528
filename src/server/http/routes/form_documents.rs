//! Documents as the files of a form (`multipart/form-data`).

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::operations::messages::document::DocumentRequest;
use crate::server::http::json_text::{DOCUMENTS_MAX, parse_json};
use crate::server::http::request_body::read_body;
use contexture_core::fault::Refusal;

/// The fields that are about the file of the same number.
#[derive(Default)]
struct FormFields {
    ids: Vec<String>,
    titles: Vec<String>,
    versions: Vec<String>,
    metadata: Vec<String>,
    groups: Vec<String>,
}

/// Reads all documents of a form with at most [`DOCUMENTS_MAX`] parts.
pub(super) async fn read_form(request: Request, bytes_max: usize) -> Result<Vec<DocumentRequest>, Refusal> {
    let (head, body) = request.into_parts();
    // Read here, because the parser of forms has a limit and errors of its own.
    let body = read_body(body, bytes_max).await?;
    let mut request = Request::from_parts(head, Body::from(body));
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|rejection| invalid_form("", &rejection.body_text()))?;
    let (mut files, mut fields, mut parts) = (Vec::new(), FormFields::default(), 0);
    while let Some(part) = form.next_field().await.map_err(|error| unreadable_form(&error))? {
        if parts == DOCUMENTS_MAX {
            let message = format!("a form takes at most {DOCUMENTS_MAX} parts");
            return Err(Refusal::invalid("too_many_documents", "", message));
        }
        parts += 1;
        if part.file_name().is_some() {
            files.push(read_file(part).await?);
        } else {
            fields.read(part).await?;
        }
    }
    fields.apply(&mut files)?;
    Ok(files)
}

async fn read_file(part: Field<'_>) -> Result<DocumentRequest, Refusal> {
    let id = part.file_name().map(str::to_owned).filter(|name| !name.is_empty());
    // Clients name this type when they know none; the pipeline then finds one.
    let named = part.content_type().filter(|named| *named != "application/octet-stream");
    let media_type = named.map(str::to_owned);
    let body = part.bytes().await.map_err(|error| unreadable_form(&error))?;
    let (text, body_base64) = match String::from_utf8(body.into()) {
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    Ok(DocumentRequest { id, text, body_base64, media_type, ..DocumentRequest::default() })
}

impl FormFields {
    async fn read(&mut self, part: Field<'_>) -> Result<(), Refusal> {
        let name = part.name().unwrap_or_default().to_owned();
        let values = match name.as_str() {
            "id" => &mut self.ids,
            "title" => &mut self.titles,
            "version" => &mut self.versions,
            "metadata" => &mut self.metadata,
            "groups" => &mut self.groups,
            _ => {
                let message = format!(
                    "a form has files, and fields id, title, version, metadata and groups; not '{name}'"
                );
                return Err(Refusal::invalid("unknown_field", &name, message));
            }
        };
        values.push(part.text().await.map_err(|error| unreadable_form(&error))?);
        Ok(())
    }

    /// Gives each file what its fields say. An empty field says nothing.
    fn apply(self, files: &mut [DocumentRequest]) -> Result<(), Refusal> {
        let count = files.len();
        let Self { ids, titles, versions, metadata, groups } = self;
        let named = [
            ("id", &ids),
            ("title", &titles),
            ("version", &versions),
            ("metadata", &metadata),
            ("groups", &groups),
        ];
        for (name, values) in named {
            if values.len() > count {
                let message =
                    format!("{} fields {name} and {count} files; each is about one file", values.len());
                return Err(invalid_form(name, &message));
            }
        }
        for (file, id) in files.iter_mut().zip(ids).filter(|(_, id)| !id.is_empty()) {
            file.id = Some(id);
        }
        for (file, title) in files.iter_mut().zip(titles).filter(|(_, title)| !title.is_empty()) {
            file.title = Some(title);
        }
        for (file, version) in files.iter_mut().zip(versions).filter(|(_, version)| !version.is_empty()) {
            let number = version.parse().map_err(|_| {
                Refusal::invalid("invalid_field", "version", format!("version: '{version}' is not a number"))
            });
            file.version = Some(number?);
        }
        for (file, json) in files.iter_mut().zip(metadata).filter(|(_, json)| !json.is_empty()) {
            file.metadata = Some(parse_json(json.as_bytes()).map_err(|refusal| within("metadata", refusal))?);
        }
        for (file, json) in files.iter_mut().zip(groups).filter(|(_, json)| !json.is_empty()) {
            file.groups = Some(parse_json(json.as_bytes()).map_err(|refusal| within("groups", refusal))?);
        }
        Ok(())
    }
}

/// The refusal of a field's JSON, with the field named.
#[expect(clippy::needless_pass_by_value, reason = "takes the refusal over")]
fn within(field: &str, refusal: Refusal) -> Refusal {
    let path = if refusal.field.is_empty() { field.to_owned() } else { format!("{field}{}", refusal.field) };
    Refusal { field: path, message: format!("{field}: {}", refusal.message), ..refusal }
}

fn unreadable_form(error: &MultipartError) -> Refusal {
    invalid_form("", &error.body_text())
}

fn invalid_form(field: &str, why: &str) -> Refusal {
    Refusal::invalid("invalid_form", field, format!("the form cannot be read: {why}"))
}
