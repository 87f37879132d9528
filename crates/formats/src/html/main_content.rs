//! Which part of a page its reader came for.
//!
//! Two steps. *Chrome* is marked: navigation, the header and footer of the page, asides, cookie banners, by the
//! names of elements, roles and classes, and link lists where nothing has such a name. Then a *root* is chosen:
//! `<main>`, the only `<article>`, a well-known id or class, or else the body. Names are not trusted blindly:
//! a class alone hides nothing that holds the main content, a heading of the page or most of the text, and a
//! root must hold a fair share of what is not chrome. If chrome holds nearly all that is said on the page, the
//! names lie, and everything is kept. An `<h1>` outside of the root comes first.

use super::chrome::{mark_chrome, mark_link_lists};
use super::dom::{HTML_DOCUMENT_NODE, HtmlDom, HtmlNodeContent};

/// Least share of the text outside of chrome that a root has, in percent.
const ROOT_SHARE_MIN: usize = 25;
/// The same for roots known only by their class or id.
const NAMED_ROOT_SHARE_MIN: usize = 50;
/// Least share of all that is said, in percent, that must be left without chrome.
const KEPT_SHARE_MIN: usize = 20;
/// Of the text of footers only a part counts as said: most is the same on all pages.
const FOOTER_DIVISOR: usize = 8;
/// Links that make a list of links.
pub(super) const LINK_LIST_MIN: usize = 5;

/// How far up an article is looked for around another.
const ANCESTORS_MAX: usize = 256;

/// The parts of a page to be written, in this order.
pub(super) struct HtmlMainContent {
    pub(super) roots: Vec<usize>,
    /// Whether chrome was left out.
    pub(super) left_out: bool,
}

/// What is below a node and can be seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HtmlTextWeight {
    /// Bytes of text, without white space.
    pub(super) text: usize,
    /// Of them, in links.
    pub(super) link_text: usize,
    pub(super) links: usize,
    pub(super) headings: usize,
    /// Whether an `<h1>` is inside.
    pub(super) page_heading: bool,
    /// Whether `<main>` or `<article>` is inside.
    pub(super) landmark: bool,
    /// Whether navigation or a form is inside.
    pub(super) controls: bool,
}

impl HtmlTextWeight {
    fn add(&mut self, other: Self) {
        self.text += other.text;
        self.link_text += other.link_text;
        self.links += other.links;
        self.headings += other.headings;
        self.page_heading |= other.page_heading;
        self.landmark |= other.landmark;
        self.controls |= other.controls;
    }

    pub(super) fn link_percent(self) -> usize {
        self.link_text * 100 / self.text.max(1)
    }

    /// Text outside of links.
    pub(super) fn said(self) -> usize {
        self.text - self.link_text
    }
}

/// Chooses the main content and marks what is left out in `skipped`.
pub(super) fn choose_main_content(dom: &HtmlDom, source: &str, skipped: &mut [bool]) -> HtmlMainContent {
    let order = visible_nodes(dom, skipped);
    let text_bytes: Vec<usize> = order
        .iter()
        .map(|&node| match dom.content(node) {
            HtmlNodeContent::Text(piece) => visible_bytes(piece.text(source)),
            _ => 0,
        })
        .collect();
    let all = weigh(dom, &order, &text_bytes, skipped);
    let hidden = skipped.to_vec();
    mark_chrome(dom, &order, &all, skipped);
    let mut kept = weigh(dom, &order, &text_bytes, skipped);
    let mut root = choose_root(dom, &order, skipped, &kept);
    if root.is_none() {
        mark_link_lists(dom, &order, &kept, skipped);
        kept = weigh(dom, &order, &text_bytes, skipped);
        root = Some(HTML_DOCUMENT_NODE);
    }
    let root = root.unwrap_or(HTML_DOCUMENT_NODE);
    let said_in_chrome = chrome_said(dom, &all, &hidden, skipped);
    let left = kept[root].text;
    if left == 0 || left * 100 < (left + said_in_chrome) * KEPT_SHARE_MIN {
        skipped.copy_from_slice(&hidden);
        return HtmlMainContent { roots: vec![HTML_DOCUMENT_NODE], left_out: false };
    }
    let mut roots = vec![root];
    if !kept[root].page_heading
        && let Some(heading) = page_heading(dom, &hidden)
    {
        // Nothing inside of the heading is chrome, wherever it stands.
        for node in dom.subtree(heading) {
            skipped[node] = hidden[node];
        }
        if dom.ancestors(heading).all(|above| above != root) || is_below_skipped(dom, heading, skipped) {
            roots.insert(0, heading);
        }
    }
    HtmlMainContent { roots, left_out: all[HTML_DOCUMENT_NODE].text > left }
}

fn is_below_skipped(dom: &HtmlDom, node: usize, skipped: &[bool]) -> bool {
    dom.ancestors(node).any(|above| skipped[above])
}

/// Bytes of a text without white space.
fn visible_bytes(text: &str) -> usize {
    // Counted in bytes, as many at a time as one of them can count, the processor counts many at once.
    let count = |part: &[u8]| part.iter().map(|&byte| u8::from(byte > b' ')).sum::<u8>();
    text.as_bytes().chunks(128).map(|part| usize::from(count(part))).sum()
}

/// The visible nodes, parents first.
fn visible_nodes(dom: &HtmlDom, skipped: &[bool]) -> Vec<usize> {
    let mut order = Vec::with_capacity(dom.len());
    let mut next = Some(HTML_DOCUMENT_NODE);
    while let Some(node) = next {
        if !skipped[node] {
            order.push(node);
        }
        next = dom.following(node, HTML_DOCUMENT_NODE, !skipped[node]);
    }
    order
}

/// The weight of every node, of the text in `text_bytes`.
fn weigh(dom: &HtmlDom, order: &[usize], text_bytes: &[usize], skipped: &[bool]) -> Vec<HtmlTextWeight> {
    let mut weights = vec![HtmlTextWeight::default(); dom.len()];
    for (&node, &bytes) in order.iter().zip(text_bytes).rev() {
        if skipped[node] {
            continue;
        }
        let mut own = weights[node];
        own.text += bytes;
        if dom.element(node).is_some() {
            match dom.name(node) {
                "span" | "p" | "li" | "td" | "tr" | "code" | "em" | "strong" | "b" | "i" | "" => {}
                "a" if dom.attribute(node, "href").is_some() => {
                    own.link_text = own.text;
                    own.links = 1;
                }
                "h1" => {
                    own.headings += 1;
                    own.page_heading = own.text > 0;
                }
                "h2" | "h3" | "h4" | "h5" | "h6" => own.headings += 1,
                "main" | "article" => own.landmark |= own.text > 0,
                "nav" | "form" | "select" | "input" | "button" => own.controls = true,
                "ul" | "ol" => own.controls |= own.links >= LINK_LIST_MIN,
                // What is typed or pressed is never text.
                "textarea" => own = HtmlTextWeight { controls: true, ..HtmlTextWeight::default() },
                _ if dom.attribute(node, "role") == Some("main") => own.landmark |= own.text > 0,
                _ => {}
            }
        }
        weights[node] = own;
        if let Some(parent) = dom.parent(node) {
            weights[parent].add(own);
        }
    }
    weights
}

fn choose_root(dom: &HtmlDom, order: &[usize], skipped: &[bool], kept: &[HtmlTextWeight]) -> Option<usize> {
    const NAMES: &[&str] = &[
        "main",
        "content",
        "main-content",
        "maincontent",
        "main_content",
        "page-content",
        "mw-content-text",
        "bodycontent",
        "article-body",
        "article-content",
        "article",
        "entry-content",
        "post-content",
        "post-body",
        "markdown-body",
        "documentation",
        "doc-content",
        "docs-content",
        "story-body",
        "theme-doc-markdown",
    ];
    let page = kept[HTML_DOCUMENT_NODE].text;
    let mut mains = Vec::new();
    let mut articles = Vec::new();
    let mut named = Vec::new();
    for &node in order.iter().filter(|&&node| !skipped[node] && dom.element(node).is_some()) {
        if !dom.has_attributes(node) && !matches!(dom.name(node), "main" | "article") {
            continue;
        }
        let role = dom.attribute(node, "role").unwrap_or_default();
        if dom.name(node) == "main" || role == "main" {
            mains.push(node);
        } else if dom.name(node) == "article" || role == "article" {
            if dom.ancestors(node).take(ANCESTORS_MAX).all(|above| dom.name(above) != "article") {
                articles.push(node);
            }
        } else if matches!(dom.name(node), "div" | "section" | "td") {
            let id = dom.attribute(node, "id").into_iter();
            if id.chain(dom.classes(node)).any(|name| NAMES.contains(&name.to_ascii_lowercase().as_str())) {
                named.push(node);
            }
        }
    }
    if articles.len() > 1 {
        // A list of articles: what holds them all is the content, and that is the body or a named element.
        articles.clear();
    }
    let fair = |nodes: &[usize], share_min: usize| {
        let best = nodes.iter().copied().max_by_key(|&node| (kept[node].text, std::cmp::Reverse(node)))?;
        (kept[best].text > 0 && kept[best].text * 100 >= page * share_min).then_some(best)
    };
    fair(&mains, ROOT_SHARE_MIN)
        .or_else(|| fair(&articles, ROOT_SHARE_MIN))
        .or_else(|| fair(&named, NAMED_ROOT_SHARE_MIN))
}

/// How much is said in what is left out as chrome.
fn chrome_said(dom: &HtmlDom, all: &[HtmlTextWeight], hidden: &[bool], skipped: &[bool]) -> usize {
    let mut said = 0;
    let mut next = Some(HTML_DOCUMENT_NODE);
    while let Some(node) = next {
        let left_out = skipped[node] && !hidden[node];
        if left_out {
            let is_footer = dom.name(node) == "footer"
                || dom.attribute(node, "role") == Some("contentinfo")
                || dom.classes(node).any(|class| {
                    let class = class.to_ascii_lowercase();
                    class.contains("footer") || class.contains("cookie") || class.contains("consent")
                });
            said += all[node].said() / if is_footer { FOOTER_DIVISOR } else { 1 };
        }
        next = dom.following(node, HTML_DOCUMENT_NODE, !skipped[node]);
    }
    said
}

/// The first visible heading of the page.
fn page_heading(dom: &HtmlDom, hidden: &[bool]) -> Option<usize> {
    visible_nodes(dom, hidden).into_iter().find(|&node| {
        dom.name(node) == "h1"
            && !names_site(dom, node)
            && dom.subtree(node).any(|below| match dom.content(below) {
                HtmlNodeContent::Text(piece) => piece.decoded.is_some() || !piece.source.is_empty(),
                _ => false,
            })
    })
}

/// Whether a heading is the name of the site, as on all of its pages.
fn names_site(dom: &HtmlDom, heading: usize) -> bool {
    const NAMES: &[&str] =
        &["logo", "brand", "site-title", "site-name", "sitename", "menu-title", "navbar-title"];
    std::iter::once(heading).chain(dom.ancestors(heading).take(1)).any(|node| {
        let id = dom.attribute(node, "id").into_iter();
        id.chain(dom.classes(node)).any(|name| {
            let name = name.to_ascii_lowercase();
            NAMES.iter().any(|&known| name == known || name.ends_with(&format!("-{known}")))
        })
    })
}
