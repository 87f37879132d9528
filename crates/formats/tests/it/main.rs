//! Every parser on documents as people write them, and the laws that all of them keep: the map leads back to the
//! source, marks ascend on boundaries of characters, and nothing panics.

mod asciidoc;
mod data_support;
mod delimited;
mod diff;
mod encoding;
mod file_format;
mod front_matter;
mod html;
mod json;
mod latex;
mod log;
mod mail;
mod markdown;
mod markup_support;
mod notebook;
mod org;
mod payloads;
mod restructured_text;
mod sql;
mod subtitles;
mod xml;
mod yaml;
