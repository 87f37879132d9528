//! Whole pages: main content, properties, places in the source, depth, damage.

use contexture_formats::{HtmlContent, HtmlOptions, PropertyValue, parse_html};
use proptest::prelude::*;

use super::{DOCUMENTATION, WIKI, everything_of, links_of_chapters, main_of, read_with, text_of};

#[test]
fn documentation_pages_are_their_main_content() {
    let parsed = read_with(DOCUMENTATION, &HtmlOptions::default());
    assert_eq!(parsed.text, include_str!("../pages/documentation.md"));
    assert_eq!(parsed.properties.title.as_deref(), Some("Rate limits · Example Docs"));
    let other = |name: &str| text_of(&parsed.properties.other[name]);
    assert_eq!(other("language"), "en");
    assert_eq!(other("description"), "How many calls a plan has.");
    assert_eq!(other("author"), "Ada Example");
    assert_eq!(other("date"), "2026-03-01T10:00:00Z");
    assert_eq!(
        parsed.properties.other["tags"],
        PropertyValue::Texts(vec!["limits".to_owned(), "plans".to_owned()])
    );
    let all = everything_of(DOCUMENTATION);
    for chrome in ["Getting started", "We use cookies", "On this page", "Edit this page"] {
        assert!(all.contains(chrome) && !parsed.text.contains(chrome), "{chrome}");
    }
}

#[test]
fn wiki_articles_keep_infobox_and_notes() {
    assert_eq!(main_of(WIKI), include_str!("../pages/wiki.md"));
}

#[test]
fn the_heading_of_a_page_is_kept_wherever_it_stands() {
    assert_eq!(
        main_of(
            "<header><a href=/>Logo</a><h1>Guide</h1><nav><a href=/a>A</a></nav></header><main><p>Text of it.</p></main>"
        ),
        "# Guide\n\nText of it.\n"
    );
    assert_eq!(
        main_of("<header><nav><a href=/a>A</a></nav><h1>Guide</h1></header><div><p>Text of it.</p></div>"),
        "# Guide\n\nText of it.\n"
    );
    assert_eq!(
        main_of(
            "<article><header><h1>Post</h1><p>By Ada</p></header><p>Text.</p><footer>Filed under: x</footer></article>"
        ),
        "# Post\n\nBy Ada\n\nText.\n\nFiled under: x\n"
    );
}

#[test]
fn small_contents_beside_large_menus_are_found() {
    let links = links_of_chapters();
    let text = "<h1>Regions</h1><p>There are two.</p>";
    let footer = "© Example. We use cookies. Accept all. Our products: seats, roles, backups and invoices.";
    for page in [
        format!(
            "<header>Docs</header><nav><ul>{links}</ul></nav><main>{text}</main><footer>{footer}</footer>"
        ),
        format!("<header>Docs</header><nav><ul>{links}</ul></nav><div>{text}</div><footer>{footer}</footer>"),
        format!(
            "<div role=navigation>{links}</div><div role=main>{text}</div><div role=contentinfo>{footer}</div>"
        ),
        format!(
            "<div class=sidebar><ul>{links}</ul></div><div id=content>{text}</div><div id=footer>{footer}</div>"
        ),
        format!(
            "<ul class=main-menu>{links}</ul><div class=page>{text}</div><div class=site-footer>{footer}</div>"
        ),
    ] {
        assert_eq!(main_of(&page), "# Regions\n\nThere are two.\n", "{page}");
    }
}

#[test]
fn pages_that_are_all_chrome_are_kept() {
    let page = "<nav><h2>Opening hours</h2><p>We open at nine and close at five, except on Sundays, when we stay closed \
                all day long and answer no calls.</p></nav><div>© 2026</div>";
    assert!(main_of(page).contains("close at five"));
    let page = "<header><div>All the text of this page stands in its header, since the end tag is missing.<p>And more.</p>";
    assert!(main_of(page).contains("And more."));
    let links = links_of_chapters();
    assert!(main_of(&format!("<ul>{links}</ul>")).contains("[Chapter 7](/7)"));
}

#[test]
fn spans_lead_back_to_the_source() {
    let source =
        "<!doctype html>\r\n<h1>Title</h1>\r\n<p>one &amp; two\r\nthree</p>\r\n<td>caf&eacute; ünd</td>";
    let parsed = read_with(source, &HtmlOptions::default());
    let source_of = |wanted: &str| {
        let at = parsed.text.find(wanted).expect(wanted);
        &source[parsed.map.source_span(at..at + wanted.len())]
    };
    assert_eq!(parsed.text, "# Title\n\none & two three\n\ncafé ünd\n");
    assert_eq!(source_of("Title"), "Title");
    assert_eq!(source_of("&"), "&amp;");
    assert_eq!(source_of("two three"), "two\r\nthree");
    assert_eq!(source_of("é"), "&eacute;");
    assert_eq!(source_of("ünd"), "ünd");
}

#[test]
fn pages_nested_a_hundred_thousand_deep_are_read() {
    for element in [
        "div",
        "ul",
        "li",
        "table",
        "blockquote",
        "b",
        "a",
        "h1",
        "pre",
        "td",
        "font color=1",
        "span hidden=",
        "sup",
        "code",
        "p",
        "button",
        "svg",
    ] {
        let name = element.split(' ').next().unwrap_or(element);
        let open = format!("<{element}>").repeat(100_000);
        let close = format!("</{name}>").repeat(100_000);
        let shown = everything_of(&format!("{open}deep{close}<p>after</p>"));
        let unclosed = everything_of(&format!("{open}deep"));
        let drawn = !matches!(name, "span" | "button" | "svg");
        assert_eq!(shown.contains("deep"), drawn, "{element}");
        assert_eq!(unclosed.contains("deep"), drawn, "{element}");
    }
    // Formatting elements that every paragraph opens again.
    let many: Vec<String> =
        (0..400).map(|index| format!("<p><b id=x{index}><i class=c{index}></p>")).collect();
    let many = many.concat();
    assert!(everything_of(&format!("{many}{}deep", "<p>x</p>".repeat(20_000))).contains("deep"));
}

#[test]
fn text_below_the_depth_of_browsers_is_hidden_as_above() {
    let deep = "<div>".repeat(2000);
    let page = format!(
        "<style>.x{{display:none}}</style>{deep}<p>shown</p><p hidden>SECRET</p><b class=x>SECRET</b><script>SECRET</script><p>end</p>"
    );
    let text = everything_of(&page);
    assert!(text.contains("shown") && text.contains("end") && !text.contains("SECRET"), "{text}");
}

const TAGS: &[&str] = &[
    "p",
    "div",
    "b",
    "i",
    "a href=x",
    "a href=#y",
    "table",
    "tr",
    "td",
    "td rowspan=2",
    "th colspan=3",
    "ul",
    "ol",
    "li",
    "pre",
    "code",
    "h1",
    "h3",
    "sup",
    "sub",
    "del",
    "span",
    "section",
    "article",
    "main",
    "nav",
    "header",
    "footer",
    "aside",
    "blockquote",
    "dl",
    "dt",
    "dd",
    "ruby",
    "rt",
    "q",
    "br",
    "hr",
    "img alt=pic src=s.png",
    "select",
    "option",
    "button",
    "form",
    "caption",
    "thead",
    "tbody",
    "figure",
    "details",
    "summary",
    "abbr title=long",
    "svg",
    "math",
    "template",
    "font size=1",
    "label",
    "body",
    "html",
    "span class=line",
];

fn tag_soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(TAGS).prop_map(|tag| format!("<{tag}>")),
        3 => prop::sample::select(TAGS).prop_map(|tag| format!("</{}>", tag.split(' ').next().unwrap_or(tag))),
        4 => prop::sample::select(vec![
            "word", " ", "\n", "\r\n", "\r", "\t", "two words", "&amp;", "&lt;p&gt;", "&nbsp;", "\u{a0}", "\u{ad}", "&#0;", "\0", "é",
            "漢字", "|", "# h", "- x", "```", "`", "12", "&", "<", "&notit;", "&#x1F600;", "]", "~~", "\u{feff}", "<!-- c -->", "<!",
            "<style>.line{color:red}</style>", "<script>x<y</script>", "<![CDATA[x]]>", "</", "=", "---", "&ampx", "&#65", "\u{301}",
        ]).prop_map(str::to_owned),
        2 => "[a-z<>&;/ ]{0,6}",
        1 => Just("<p hidden>MARKER</p>".to_owned()),
        1 => Just("<span style='display:none'>MARKER</span>".to_owned()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_tag_soup_is_read(soup in tag_soup()) {
        for content in [HtmlContent::Main, HtmlContent::Everything] {
            let parsed = parse_html(&soup, &HtmlOptions { content, ..HtmlOptions::default() });
            prop_assert!(parsed.map.is_map_of(&parsed.text, &soup), "{:?}", parsed);
            prop_assert!(!parsed.text.contains(['\0', '\r']), "{:?}", parsed.text);
        }
    }

    #[test]
    fn broken_pages_are_read(which in 0_usize..2, from in 0_usize..10_000, len in 0_usize..40, insert in tag_soup()) {
        let page = [DOCUMENTATION, WIKI][which];
        let from = page.floor_char_boundary(from % page.len());
        let to = page.ceil_char_boundary((from + len).min(page.len()));
        let broken = format!("{}{insert}{}", &page[..from], &page[to..]);
        let parsed = parse_html(&broken, &HtmlOptions::default());
        prop_assert!(parsed.map.is_map_of(&parsed.text, &broken));
        prop_assert!(!parsed.text.contains(['\0', '\r']));
    }

    #[test]
    fn visible_paragraphs_stay_and_hidden_ones_go(
        blocks in prop::collection::vec(("[a-z]{4,12}", 0_usize..8, prop::bool::ANY), 1..20),
        wrap in prop::sample::select(vec!["div", "section", "article", "main", "nav", "footer", "blockquote", "li", "td", "td><div"]),
    ) {
        let mut page = String::new();
        for (index, (word, trick, hidden)) in blocks.iter().enumerate() {
            let trick = ["hidden", "style=display:none", "aria-hidden=true", "style='left:-9999px;position:fixed'",
                "style='font-size:0'", "class=gone", "style=opacity:0", "style='visibility:hidden'"][*trick];
            let end = wrap.split('>').next_back().unwrap_or(wrap).trim_start_matches('<');
            if *hidden {
                page += &["<", wrap, "><p ", trick, ">", word, &format!("h{index}x</p></{end}>")].concat();
            } else {
                page += &["<", wrap, "><p>", word, &format!("v{index}x</p></{end}>")].concat();
            }
        }
        let page = format!("<style>.gone{{display:none}}</style>{page}");
        let everything = parse_html(&page, &HtmlOptions { content: HtmlContent::Everything, ..HtmlOptions::default() }).text;
        let main = parse_html(&page, &HtmlOptions::default()).text;
        for (index, (word, _, hidden)) in blocks.iter().enumerate() {
            let letter = if *hidden { 'h' } else { 'v' };
            let text = format!("{word}{letter}{index}x");
            prop_assert_eq!(everything.contains(&text), !hidden, "{} {}", page, everything);
            prop_assert!(!hidden || !main.contains(&text));
        }
    }
}
