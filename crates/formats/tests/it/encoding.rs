//! Bytes of files in the encodings that people have.

use contexture_formats::{DecodedText, EncodingHint, decode_text, normalise_line_ends};
use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
use proptest::prelude::*;

const GERMAN: &str = "Straße;Preis\nHauptstraße;12,50 €\nGärtnerweg;7,90 €\n";
const FRENCH: &str = "<!doctype html><html><head><meta charset=\"windows-1252\"><title>Préavis</title></head>\
    <body><p>Le préavis est de deux mois – voir l’annexe.</p></body></html>";
const JAPANESE: &str = "社内規程\n\n有給休暇は入社日から六か月後に付与される。繰り越しは二年まで認める。\n";
const RUSSIAN: &str =
    "Ключ лежит под ковриком у двери. Код сейфа знает только бухгалтер, и в среду он в отпуске.\n";
const CHINESE: &str = "年假必须在三月底之前提交申请，逾期不予受理。请联系人事部门。\n";
const KOREAN: &str = "연차 휴가는 삼월 말까지 신청해야 합니다. 문의는 인사팀으로 해 주세요.\n";

fn encoded(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    let (bytes, used, bad) = encoding.encode(text);
    assert!(!bad && used == encoding, "{text} cannot be written in {}", encoding.name());
    bytes.into_owned()
}

fn decoded(bytes: &[u8]) -> DecodedText {
    decode_text(bytes, None, EncodingHint::Other).expect("decodes")
}

#[test]
fn legacy_text_without_a_declaration_is_detected() {
    for (text, encoding) in [
        (GERMAN, WINDOWS_1252),
        ("Der Schlüssel liegt unter der Matte.\n", WINDOWS_1252),
        ("The tenant’s deposit is “two months” – see annex B. It’s due on day one.", WINDOWS_1252),
        (RUSSIAN, WINDOWS_1251),
        (JAPANESE, SHIFT_JIS),
        (JAPANESE, EUC_JP),
        (JAPANESE, ISO_2022_JP),
        (CHINESE, GBK),
        (KOREAN, EUC_KR),
        ("請於三月底前提出年假申請，逾期恕不受理。詳情請洽人事部。\n", BIG5),
    ] {
        let found = decoded(&encoded(text, encoding));
        assert_eq!(found.text, text, "{} read as {}", encoding.name(), found.encoding);
        assert_eq!(found.replaced, 0);
        assert!(!found.source_is_utf8);
    }
}

#[test]
fn declarations_are_read_where_they_stand() {
    let page = encoded(FRENCH, WINDOWS_1252);
    assert_eq!(decode_text(&page, None, EncodingHint::Html).expect("decodes").text, FRENCH);
    let japanese = "<html><head><!-- <meta charset=utf-8> --><META content='text/html; charset = Shift_JIS' \
         http-equiv=Content-Type></head><body>規程</body></html>";
    let found = decode_text(&encoded(japanese, SHIFT_JIS), None, EncodingHint::Html).expect("decodes");
    assert_eq!((found.text.as_str(), found.encoding), (japanese, "Shift_JIS"));
    let xml = "<?xml version='1.0' encoding='GB2312'?><a>规定</a>";
    let found = decode_text(&encoded(xml, GBK), None, EncodingHint::Xml).expect("decodes");
    assert_eq!((found.text.as_str(), found.encoding), (xml, "GBK"));
    let cookie = "#!/usr/bin/python\n# -*- coding: cp1251 -*-\ns = 'цех'\n";
    let found = decode_text(&encoded(cookie, WINDOWS_1251), None, EncodingHint::Other).expect("decodes");
    assert_eq!((found.text.as_str(), found.encoding), (cookie, "windows-1251"));
    // The media type counts more than the file.
    let found =
        decode_text(&encoded("Ё", WINDOWS_1251), Some("windows-1251"), EncodingHint::Html).expect("decodes");
    assert_eq!(found.text, "Ё");
}

#[test]
fn valid_utf8_beats_a_declaration_of_something_else() {
    let page = FRENCH.as_bytes();
    let found = decode_text(page, Some("iso-8859-1"), EncodingHint::Html).expect("decodes");
    assert_eq!((found.text.as_str(), found.encoding), (FRENCH, "UTF-8"));
    assert!(found.source_is_utf8);
    // Two bytes in GBK that are a character of two bytes in UTF-8, too: the declaration is right.
    let found = decode_text(&[0xC4, 0xA3], Some("gbk"), EncodingHint::Other).expect("decodes");
    assert_eq!(found.text, "模");
    // And UTF-8 that declares itself UTF-16 could not have been read.
    let found = decode_text(b"<?xml version=\"1.0\" encoding=\"utf-16\"?><a/>", None, EncodingHint::Xml);
    assert_eq!(found.expect("decodes").encoding, "UTF-8");
}

#[test]
fn byte_order_marks_and_zero_bytes_decide() {
    let text = "Größe: 12 µm\r\n漢字 😀\r\n";
    let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let utf32 = |unit: fn(u32) -> [u8; 4]| text.chars().flat_map(|c| unit(c.into())).collect::<Vec<u8>>();
    for (mark, bytes, encoding) in [
        (&[0xFF, 0xFE][..], utf16(u16::to_le_bytes), "UTF-16LE"),
        (&[0xFE, 0xFF], utf16(u16::to_be_bytes), "UTF-16BE"),
        (&[], utf16(u16::to_le_bytes), "UTF-16LE"),
        (&[], utf16(u16::to_be_bytes), "UTF-16BE"),
        (&[0xFF, 0xFE, 0, 0], utf32(u32::to_le_bytes), "UTF-32LE"),
        (&[0, 0, 0xFE, 0xFF], utf32(u32::to_be_bytes), "UTF-32BE"),
        (&[0xEF, 0xBB, 0xBF], text.as_bytes().to_vec(), "UTF-8"),
    ] {
        // A wrong declaration does not matter beside a mark.
        let label = (!mark.is_empty()).then_some("windows-1252");
        let found = decode_text(&[mark, &bytes].concat(), label, EncodingHint::Other).expect("decodes");
        assert_eq!((found.text.as_str(), found.encoding), (text, encoding));
        assert_eq!(found.bom_bytes, mark.len());
        assert_eq!(found.source_is_utf8, encoding == "UTF-8");
    }
}

#[test]
fn one_bad_byte_in_a_log_is_replaced_and_noted() {
    let line = "2026-10-03T02:00:00Z INFO worker 7 took a job\n";
    let mut log = line.repeat(400).into_bytes();
    log.extend(b"2026-10-03T02:30:00Z ERROR E4711 cannot open caf\xE9.txt\n");
    log.extend(line.repeat(400).as_bytes());
    let found = decoded(&log);
    assert_eq!((found.encoding, found.replaced), ("UTF-8", 1));
    assert!(found.text.contains("E4711 cannot open caf\u{FFFD}.txt"));
    assert_eq!(found.note().expect("a note").matches("line 401").count(), 1);
}

#[test]
fn a_character_cut_off_at_the_end_is_replaced() {
    let found = decoded(b"The pump is in hall nine. Ende f\xC3");
    assert_eq!((found.text.as_str(), found.replaced), ("The pump is in hall nine. Ende f\u{FFFD}", 1));
    assert!(found.note().is_some_and(|note| note.contains("line 1")));
}

#[test]
fn utf8_with_a_damaged_character_stays_utf8() {
    let found = decoded(b"F\xC3\xBCr die K\xC3\xBCche: caf\xE9 au lait, zwei St\xC3\xBCck\n");
    assert_eq!((found.encoding, found.replaced), ("UTF-8", 1));
    assert!(found.text.starts_with("Für die Küche: caf\u{FFFD} au lait"));
}

#[test]
fn what_nobody_can_read_is_refused_with_a_way_out() {
    let noise: Vec<u8> =
        (0..4000_u32).map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes()[2] | 0x80).collect();
    let error = decode_text(&noise, None, EncodingHint::Other).expect_err("noise");
    assert!(error.detail.contains("iconv -f "), "{error}");
    let mut half = "Größe und Gewicht der Straße\n".repeat(3).into_bytes();
    half.extend(encoded(RUSSIAN, WINDOWS_1251));
    assert!(decode_text(&half, None, EncodingHint::Other).is_err());
    assert!(decode_text(&[0, 159, 146, 150], None, EncodingHint::Other).is_err(), "no writing has a NUL");
}

#[test]
fn a_useless_declaration_is_ignored() {
    for label in ["", "utf8mb4", "x-user-defined", "iso-2022-kr", "latin"] {
        let found = decode_text("Größe".as_bytes(), Some(label), EncodingHint::Other).expect("decodes");
        assert_eq!(found.text, "Größe");
    }
    // Shift_JIS declared for windows-1252.
    let bytes = encoded(GERMAN, WINDOWS_1252);
    let found = decode_text(&bytes, Some("shift_jis"), EncodingHint::Other).expect("decodes");
    assert_eq!(found.text, GERMAN);
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), label in "[a-z0-9-]{0,12}") {
        for hint in [EncodingHint::Html, EncodingHint::Xml, EncodingHint::Other] {
            if let Ok(found) = decode_text(&bytes, Some(&label), hint) {
                if found.source_is_utf8 {
                    prop_assert_eq!(found.text.as_bytes(), &bytes[found.bom_bytes..]);
                }
                prop_assert_eq!(found.replaced > 0, found.note().is_some());
            }
        }
    }

    #[test]
    fn markup_of_declarations_never_panics(head in "(<|meta|charset|=|\"|'| |/|>|content|http-equiv|<!--|-->|utf-8|<\\?xml|encoding|coding:|#|\n){0,30}") {
        for hint in [EncodingHint::Html, EncodingHint::Xml, EncodingHint::Other] {
            prop_assert_eq!(decode_text(head.as_bytes(), None, hint).expect("ASCII").text, head.clone());
        }
    }

    #[test]
    fn line_ends_are_normal_and_mapped(text in "(a|é|\r|\n|\r\n|\0){0,40}") {
        let (normal, map) = normalise_line_ends(text.clone());
        prop_assert!(map.is_map_of(&normal, &text));
        prop_assert!(!normal.contains(['\r', '\0']));
    }
}
