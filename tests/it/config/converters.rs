//! `[[converters]]`: what is taken, and what is refused with the name of its entry.

use std::time::Duration;

use contexture::config::{
    ConversionMethod, ConversionOutput, ConversionTime, ConversionVia, CredentialSource,
};

use super::{CANARY, load_file};

const COMMAND: &str = "[[converters]]\nname = \"ocr\"\nmedia_types = [\"image/*\", \"Application/PDF\"]\n\
                       command = [\"tesseract\", \"stdin\", \"stdout\"]\n";
const SERVER: &str =
    "[[converters]]\nname = \"tika\"\nextensions = [\"Pages\"]\nurl = \"http://127.0.0.1:9998/tika\"\n";

#[test]
fn commands_and_servers_have_their_defaults() {
    let config = load_file(&format!("{COMMAND}{SERVER}"), &[]).unwrap();
    let [ocr, tika] = config.converters.as_slice() else { panic!("{:?}", config.converters) };
    assert_eq!(
        (ocr.media_types.join(" "), ocr.when),
        ("image/* application/pdf".to_owned(), ConversionTime::Unreadable)
    );
    assert_eq!((ocr.output, ocr.call_max), (ConversionOutput::Text, Duration::from_mins(2)));
    assert_eq!((ocr.output_bytes_max, ocr.calls_max), (16 << 20, 2));
    assert!(matches!(&ocr.via, ConversionVia::Command { program, arguments, .. }
        if program == "tesseract" && arguments.len() == 2));
    assert_eq!(tika.extensions, ["pages"]);
    assert!(matches!(&tika.via, ConversionVia::Http { method: ConversionMethod::Put, .. }));
    assert!(load_file("", &[]).unwrap().converters.is_empty());
}

#[test]
fn forms_are_posted_and_secrets_are_never_shown() {
    let docling = format!(
        "{}form_file = \"files\"\njson_pointer = \"/document/md_content\"\noutput = \"markdown\"\n\
         when = \"always\"\napi_key_env = \"OCR_KEY\"\nheaders = {{ \"X-Key\" = \"{CANARY}\" }}\n\
         form = {{ to_formats = \"md\" }}\n",
        SERVER.replace("/tika\"", &format!("/tika?key={CANARY}\""))
    );
    let config = load_file(&docling, &[("OCR_KEY", CANARY)]).unwrap();
    let ConversionVia::Http { method, credential, form_file, .. } = &config.converters[0].via else {
        panic!()
    };
    assert_eq!((*method, form_file.as_deref()), (ConversionMethod::Post, Some("files")));
    assert!(matches!(credential, CredentialSource::Key(_)));
    let shown = config.masked_toml();
    assert!(!shown.contains(CANARY) && !format!("{config:?}").contains(CANARY), "{shown}");
    let again = shown.replace("api_key_env = \"OCR_KEY\"", "");
    assert!(load_file(&again, &[]).is_ok(), "{again}");
}

#[test]
fn converters_that_cannot_work_are_refused() {
    let with = |line: &str| format!("{COMMAND}{line}\n");
    let server = |line: &str| format!("{SERVER}{line}\n");
    for (text, field, why) in [
        (with("naem = 1"), "converters", "not a configuration key"),
        (COMMAND.replace("\"ocr\"", "\"o c r\""), "converters[0]", "needs a name"),
        (format!("{COMMAND}{COMMAND}"), "converters[1] (ocr)", "name of another entry"),
        (with("url = \"http://127.0.0.1:1/\""), "converters[0] (ocr)", "a command and a url"),
        (
            COMMAND.replace("[\"tesseract\", \"stdin\", \"stdout\"]", "[]"),
            "converters[0] (ocr)",
            "a command or a url",
        ),
        (COMMAND.replace("\"tesseract\"", "\"\""), "converters[0] (ocr)", "command[0]"),
        (
            COMMAND.replace("[\"image/*\", \"Application/PDF\"]", "[]"),
            "converters[0] (ocr)",
            "needs media_types",
        ),
        (COMMAND.replace("image/*", "image"), "converters[0] (ocr)", "media_types[0]"),
        (COMMAND.replace("image/*", "*/*"), "converters[0] (ocr)", "media_types[0]"),
        (COMMAND.replace("Application/PDF", "text/x; a=b"), "converters[0] (ocr)", "media_types[1]"),
        (with("extensions = [\".pages\"]"), "converters[0] (ocr)", "extensions[0]"),
        (with("when = \"sometimes\""), "converters", "must be one of"),
        (with("output = \"pdf\""), "converters", "must be one of"),
        (with("call_ms_max = 9"), "converters[0] (ocr)", "call_ms_max = 9"),
        (with("output_bytes_max = 1"), "converters[0] (ocr)", "output_bytes_max"),
        (with("memory_bytes_max = 1"), "converters[0] (ocr)", "memory_bytes_max"),
        (with("calls_max = 0"), "converters[0] (ocr)", "calls_max"),
        (with("headers = { a = \"b\" }"), "converters[0] (ocr)", "which is for a url"),
        (server("environment = { A = \"b\" }"), "converters[0] (tika)", "which is for a command"),
        (server("form = { a = \"b\" }"), "converters[0] (tika)", "no form_file"),
        (server("json_pointer = \"text\""), "converters[0] (tika)", "json_pointer"),
        (server("api_key_env = \"NOT_SET\""), "converters[0] (tika)", "NOT_SET is not set"),
        (SERVER.replace("http://", "ftp://"), "converters[0] (tika)", "url must be"),
        (SERVER.replace("127.0.0.1", &format!("user:{CANARY}@h")), "converters[0] (tika)", "url must not"),
    ] {
        let refusal = load_file(&text, &[]).unwrap_err();
        assert!(refusal.field.starts_with(field), "{text}: {refusal:?}");
        assert!(refusal.message.contains(why) && !refusal.message.contains(CANARY), "{text}: {refusal:?}");
    }
}
