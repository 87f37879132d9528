//! What the tests of the analyzer share, and searches in an index, as the snapshot makes them.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{Index, TantivyDocument, Term, doc};

use super::analyzer::{ANALYZER_NAME, build_analyzer, register_analyzer};
use super::question_words::analyze_question;
use contexture_core::ports::lexical::AnalyzerSettings;

/// Texts in many scripts, with marks, ignorable characters, apostrophes, hyphens and line ends.
pub(super) const ANY_SCRIPTS: &str = concat!(
    r"([ -~]|[a-zA-Z]{1,3}|[0-9]{3}|[',.\-_]|-\n ?|\n|[\u{a0}-\u{24f}]|[\u{300}-\u{345}\u{3099}\u{5b0}\u{64b}]",
    r"|[\u{370}-\u{52f}]|[\u{590}-\u{6ff}]|[\u{900}-\u{d7f}]|[\u{e00}-\u{eff}]{1,3}|[\u{1000}-\u{11ff}]",
    r"|[\u{1780}-\u{17ff}]|[\u{1e00}-\u{1fff}]|[\u{2000}-\u{206f}’]|[\u{2070}-\u{24ff}]|[\u{3000}-\u{33ff}]",
    r"|[\u{4e00}-\u{4eff}]|[\u{ac00}-\u{acff}]|[\u{f900}-\u{fdff}]|[\u{fe00}-\u{ffef}]|\PC){0,24}",
);

/// All languages that have a stemmer.
pub(super) const LANGUAGES: [&str; 18] = [
    "arabic",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hungarian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
];

pub(super) fn analyzer(language: &str, stem: bool, stop_words: bool) -> TextAnalyzer {
    build_analyzer(&AnalyzerSettings { language: language.to_owned(), stem, stop_words }).unwrap()
}

pub(super) fn terms_with_positions(analyzer: &mut TextAnalyzer, text: &str) -> Vec<(usize, String)> {
    let mut terms = Vec::new();
    analyzer.token_stream(text).process(&mut |token| terms.push((token.position, token.text.clone())));
    terms
}

/// The name of the text that a question finds first, by words and pairs of words.
fn find_first(texts: &[(&str, &str)], question: &str) -> Option<String> {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: false };
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(ANALYZER_NAME)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut schema = Schema::builder();
    let name = schema.add_text_field("name", STRING | STORED);
    let body = schema.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    let index = Index::create_in_ram(schema.build());
    register_analyzer(&index, &analysis).unwrap();
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, 15_000_000).unwrap();
    for (title, text) in texts {
        writer.add_document(doc!(name => *title, body => *text)).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "an index in memory")]
    writer.commit().unwrap();
    let searcher = index.reader().unwrap().searcher();
    let words = analyze_question(&mut index.tokenizers().get(ANALYZER_NAME).unwrap(), question);
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for term in words.distinct_terms(512) {
        let term = Term::from_field_text(body, &term);
        clauses.push((Occur::Should, Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))));
    }
    for [left, right] in words.distinct_pairs(64) {
        let pair = [left, right].map(|word| Term::from_field_text(body, word));
        clauses
            .push((Occur::Should, Box::new(BoostQuery::new(Box::new(PhraseQuery::new(pair.to_vec())), 0.2))));
    }
    let best = TopDocs::with_limit(2).order_by_score();
    let hits = searcher.search(&BooleanQuery::new(clauses), &best).unwrap();
    // Two texts with one score: neither is first.
    if let [(first, _), (second, _)] = hits[..]
        && (first - second).abs() < 1e-3
    {
        return None;
    }
    let (_, address) = hits.first()?;
    let found: TantivyDocument = searcher.doc(*address).unwrap();
    found.get_first(name).and_then(|value| value.as_str()).map(str::to_owned)
}

fn assert_finds(texts: &[(&str, &str)], questions: &[(&str, &str)]) {
    for (question, expected) in questions {
        assert_eq!(find_first(texts, question).as_deref(), Some(*expected), "{question}");
    }
}

#[test]
fn words_without_spaces_are_found() {
    assert_finds(
        &[
            ("it", "หากลืมรหัสผ่านให้ติดต่อฝ่ายไอทีที่ชั้นสี่"),
            ("km", "បុគ្គលិកអាចឈប់សម្រាកបានដប់ប្រាំថ្ងៃក្នុងមួយឆ្នាំ"),
            ("pay", "เงินเดือนโอนเข้าบัญชีธนาคารทุกวันที่ยี่สิบห้าของเดือน"),
            ("lao", "ພະນັກງານລາພັກໄດ້ສິບຫ້າວັນຕໍ່ປີ"),
            ("parking", "บริษัทจัดที่จอดรถไว้ชั้นใต้ดินสำหรับพนักงานที่ลงทะเบียนแล้วเท่านั้น"),
            ("travel", "ค่าเดินทางเบิกได้ภายในสามสิบวันพร้อมใบเสร็จรับเงิน"),
            ("food", "โรงอาหารเปิดตั้งแต่เจ็ดโมงเช้าถึงบ่ายสองโมงทุกวันทำการ"),
            ("safety", "เมื่อได้ยินสัญญาณเตือนภัยให้ใช้บันไดหนีไฟและรวมตัวที่ลานหน้าอาคาร"),
            ("leave", "พนักงานมีสิทธิลาพักร้อนปีละสิบสองวันโดยได้รับค่าจ้างตามปกติ และต้องแจ้งล่วงหน้าสามวัน"),
        ],
        &[
            ("ลาพักร้อน", "leave"),
            ("ลืมรหัสผ่าน", "it"),
            ("ธนาคาร", "pay"),
            ("บันไดหนีไฟ", "safety"),
            ("ใบเสร็จรับเงิน", "travel"),
            ("สัญญาณเตือนภัย", "safety"),
            ("ລາພັກ", "lao"),
            ("ឈប់សម្រាក", "km"),
        ],
    );
}

#[test]
fn identifiers_are_found_by_their_parts() {
    let hash = "3f9a".repeat(32);
    let release = format!("sha512 of the archive: {hash}\n\ncommit 9f8e7d6c5b4a39281706f5e4d3c2b1a098765432");
    assert_finds(
        &[
            ("release", &release),
            ("syrup", "Children take 5 ml of syrup, 500 ml a month."),
            ("err", "The gateway answers `ERR_CONN-1042` when the upstream is away."),
            ("mail", "Mail goes to the user by the relay, an email a minute. Get the password there."),
            ("settings", "Set `maxRetryCount` to 5 and `HTTPServerTimeoutMs` to 200."),
            (
                "client",
                "Call `getUserByEmail` before `resetPasswordToken`; it throws `UserNotFoundException`.",
            ),
            ("dose", "Adults take 500mg twice a day; the pump gives 64GB of logs and 12kV."),
        ],
        &[
            ("reset password token", "client"),
            ("user not found exception", "client"),
            ("max retry count", "settings"),
            ("http server timeout", "settings"),
            (&hash, "release"),
            ("9f8e7d6", "release"),
            ("9f8e7d6c5b", "release"),
            ("500 mg", "dose"),
            ("12 kV", "dose"),
            ("ERR_CONN-1042", "err"),
        ],
    );
}

#[test]
fn names_in_capitals_are_found() {
    assert_finds(
        &[
            ("wash", "Washing machines are in the basement. Washing takes an hour, say the neighbours."),
            ("it", "The IT desk is on floor four."),
            ("us", "The US office is in Austin."),
            ("who", "The WHO recommends washing hands for twenty seconds."),
            ("desk", "A desk is replaced after ten years. The desk, the desk lamp and the desk chair."),
            ("eu", "The office has rooms. Every office has a door. An office is a room."),
        ],
        &[
            ("What does WHO say about washing?", "who"),
            ("Where is the IT desk?", "it"),
            ("Where is the US office?", "us"),
        ],
    );
}

#[test]
fn decomposed_texts_are_found() {
    use unicode_normalization::UnicodeNormalization;
    let texts: Vec<(&str, String)> = [
        ("ko", "회사 휴가 규정은 연간 스무 일입니다."),
        ("vi", "Nhân viên được nghỉ mười hai ngày. Nghỉ phép"),
        ("en", "Lunch is served in the kitchen of the office in Basel."),
        ("jp", "サーバーのバックアップは毎晩行う。"),
        ("fr", "Le résumé du déjeuner à Zürich est prêt."),
        ("ko2", "구내 식당은 열두 시에 엽니다. 회사 근처입니다."),
    ]
    .map(|(name, text)| (name, text.nfd().collect()))
    .into();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let questions =
        [("résumé déjeuner Zürich", "fr"), ("휴가 규정", "ko"), ("バックアップ", "jp"), ("nghỉ phép", "vi")];
    assert_finds(&texts, &questions);
}
