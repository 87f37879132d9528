//! What of a page stands around its content: navigation, header and footer of the page, asides, banners.
//!
//! Told by the names of elements, roles, classes and ids, and by how much of an element's text is links. A class
//! or id alone never hides a heading of the page, `<main>`, `<article>`, or most of the text.

use super::dom::{HTML_DOCUMENT_NODE, HtmlDom};
use super::main_content::{HtmlTextWeight, LINK_LIST_MIN};

/// Where a node stands.
#[derive(Debug, Clone, Copy, Default)]
struct HtmlPlace {
    in_main: bool,
    in_article: bool,
    /// Inside of `section`, `blockquote`, `figure`: what has a header and footer of its own.
    in_section: bool,
}

/// Marks what names say is chrome.
pub(super) fn mark_chrome(dom: &HtmlDom, order: &[usize], weights: &[HtmlTextWeight], skipped: &mut [bool]) {
    let mut places = vec![HtmlPlace::default(); dom.len()];
    let page = weights[HTML_DOCUMENT_NODE];
    for &node in order {
        let above = dom.parent(node);
        if above.is_some_and(|above| skipped[above]) {
            skipped[node] = true;
            continue;
        }
        let mut place = above.map_or_else(HtmlPlace::default, |above| places[above]);
        if dom.element(node).is_some() {
            skipped[node] = is_chrome(dom, node, weights[node], page, place);
            match dom.name(node) {
                "main" => place.in_main = true,
                "article" => place.in_article = true,
                "section" | "blockquote" | "figure" | "td" | "details" => place.in_section = true,
                _ if !dom.has_attributes(node) => {}
                _ if dom.attribute(node, "role") == Some("main") => place.in_main = true,
                _ if dom.attribute(node, "role") == Some("article") => place.in_article = true,
                _ => {}
            }
        }
        places[node] = place;
    }
}

fn is_chrome(
    dom: &HtmlDom,
    node: usize,
    weight: HtmlTextWeight,
    page: HtmlTextWeight,
    place: HtmlPlace,
) -> bool {
    let name = dom.name(node);
    if matches!(name, "html" | "body" | "main" | "h1" | "pre" | "code" | "")
        || weight.landmark && name != "nav"
    {
        return false;
    }
    let inside = place.in_main || place.in_article;
    // A title with what belongs to it, not a bar with a logo, menus and buttons.
    let is_title_block = weight.page_heading && !weight.controls && weight.link_percent() <= 30;
    match name {
        "nav" => return true,
        "header" if !inside && !place.in_section => return !is_title_block,
        "footer" if !place.in_article && !place.in_section => return true,
        "footer" if weight.links >= 2 && weight.link_percent() >= 60 => return true,
        "aside" => return !(inside && is_note(dom, node)),
        "a" => {
            let to_here = dom.attribute(node, "href").is_some_and(|href| href.starts_with('#'));
            return to_here && dom.classes(node).any(|class| class.to_ascii_lowercase().contains("skip"))
                || has_chrome_class(dom, node, weight, page, inside);
        }
        _ => {}
    }
    if !dom.has_attributes(node) {
        return false;
    }
    match dom.attribute(node, "role").unwrap_or_default() {
        "navigation" | "search" | "menu" | "menubar" | "toolbar" | "tablist" | "dialog" | "alertdialog" => {
            true
        }
        "banner" if !inside => !is_title_block,
        "contentinfo" => !place.in_article,
        "complementary" => !(inside && is_note(dom, node)),
        _ => has_chrome_class(dom, node, weight, page, inside),
    }
}

/// Whether an aside is a part of the text that it stands beside.
fn is_note(dom: &HtmlDom, node: usize) -> bool {
    const NOTES: &[&str] = &[
        "note",
        "tip",
        "warning",
        "admonition",
        "callout",
        "important",
        "caution",
        "info",
        "hint",
        "example",
        "footnote",
        "footnotes",
        "notecard",
        "danger",
        "alert",
        "pullquote",
        "definition",
        "infobox",
    ];
    let role = dom.attribute(node, "role").unwrap_or_default();
    matches!(role, "note" | "doc-tip" | "doc-footnote" | "doc-example" | "doc-pullquote")
        || dom.classes(node).any(|class| {
            class.split(['-', '_']).any(|part| NOTES.contains(&part.to_ascii_lowercase().as_str()))
        })
}

/// Whether class or id name chrome, and the element looks like it.
fn has_chrome_class(
    dom: &HtmlDom,
    node: usize,
    weight: HtmlTextWeight,
    page: HtmlTextWeight,
    inside: bool,
) -> bool {
    let id = dom.attribute(node, "id").unwrap_or_default();
    let mostly_links = weight.links >= 1 && weight.link_percent() >= 50;
    let only_links = weight.links >= LINK_LIST_MIN && weight.link_percent() >= 80;
    let most_of_page = weight.text * 2 > page.text && !only_links;
    if weight.page_heading {
        return false;
    }
    dom.classes(node).take(16).chain((!id.is_empty()).then_some(id)).any(|name| {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "mw-editsection"
            | "mw-jump-link"
            | "printfooter"
            | "catlinks"
            | "navbox"
            | "mw-navigation"
            | "headerlink"
            | "hash-link"
            | "permalink"
            | "anchor-link"
            | "anchorjs-link"
            | "heading-anchor"
            | "edit-this-page"
            | "skip-link"
            | "skiplink"
            | "skip-to-content"
            | "skip-nav"
            | "sr-skip"
            | "copybtn"
            | "copy-btn"
            | "btn-copy"
            | "copy-button"
            | "copy-code-button"
            | "clipboard-copy"
            | "wp-block-latest-posts"
            | "sharedaddy"
            | "onetrust-consent-sdk" => return true,
            _ => {}
        }
        let parts: Vec<&str> = name.split(['-', '_']).filter(|part| !part.is_empty()).collect();
        let has = |wanted: &[&str]| parts.iter().any(|part| wanted.contains(part));
        if has(&["cookie", "cookies", "consent", "gdpr", "cookiebanner", "cookieconsent", "cookiebar"]) {
            return weight.text < 4000 && weight.text < page.text && !inside;
        }
        if most_of_page {
            return false;
        }
        if has(&["breadcrumb", "breadcrumbs", "crumbs", "pagination", "pager", "paginator"]) {
            return weight.links >= 1 || weight.text < 200;
        }
        if has(&["sidebar", "sidenav", "sidebars", "leftnav", "rightnav"]) {
            return !is_note(dom, node) && weight.link_percent() >= if inside { 50 } else { 0 };
        }
        if has(&[
            "nav",
            "navbar",
            "navigation",
            "navi",
            "menu",
            "menus",
            "megamenu",
            "topnav",
            "subnav",
            "tabs",
            "widget",
            "widgets",
        ]) {
            return mostly_links;
        }
        if matches!(
            name.as_str(),
            "left"
                | "right"
                | "leftcol"
                | "rightcol"
                | "left-column"
                | "right-column"
                | "column-left"
                | "column-right"
                | "leftside"
                | "rightside"
                | "rail"
                | "left-rail"
                | "right-rail"
        ) {
            return mostly_links;
        }
        if has(&["toc", "tableofcontents"]) || name.contains("table-of-contents") {
            return mostly_links;
        }
        if name.starts_with("footer")
            || matches!(
                name.as_str(),
                "site-footer"
                    | "page-footer"
                    | "global-footer"
                    | "main-footer"
                    | "app-footer"
                    | "sitefooter"
                    | "site-header"
                    | "page-header"
                    | "global-header"
                    | "main-header"
                    | "siteheader"
                    | "header"
                    | "masthead"
                    | "topbar"
                    | "top-bar"
            )
        {
            return !inside && height_below_body(dom, node) <= 4;
        }
        if has(&["newsletter", "subscribe", "share", "sharing", "social", "promo"]) {
            return weight.text < 600 && (weight.controls || mostly_links);
        }
        if has(&["advert", "advertisement", "ads", "adsbygoogle"]) {
            return weight.text < 600;
        }
        if has(&["copy", "clipboard"]) {
            return weight.text <= 16;
        }
        has(&["related", "recommended"]) && mostly_links
    })
}

/// Marks lists of links where no element says what it is, if there is text beside them.
pub(super) fn mark_link_lists(dom: &HtmlDom, order: &[usize], kept: &[HtmlTextWeight], skipped: &mut [bool]) {
    let page = kept[HTML_DOCUMENT_NODE];
    if page.said() < 200 || page.said() < page.link_text / 4 {
        return;
    }
    for &node in order {
        if dom.parent(node).is_some_and(|above| skipped[above]) {
            skipped[node] = true;
            continue;
        }
        let weight = kept[node];
        let block = matches!(dom.name(node), "div" | "ul" | "ol" | "table" | "section" | "center");
        if block
            && weight.links >= LINK_LIST_MIN
            && weight.link_percent() >= 85
            && weight.headings == 0
            && weight.link_text / weight.links < 40
            // Lists inside of text, after a sentence that leads to them, are rarely at the top.
            && height_below_body(dom, node) <= 3
            && !dom.ancestors(node).take(8).any(|above| matches!(dom.name(above), "li" | "td" | "dd" | "blockquote"))
            && !follows_text(dom, node, kept)
        {
            skipped[node] = true;
        }
    }
}

/// Elements between an element and the body, at most eight.
fn height_below_body(dom: &HtmlDom, node: usize) -> usize {
    dom.ancestors(node).take(8).take_while(|&above| dom.name(above) != "body").count()
}

/// Whether a list belongs to the paragraph or heading before it.
fn follows_text(dom: &HtmlDom, node: usize, kept: &[HtmlTextWeight]) -> bool {
    let siblings = std::iter::successors(dom.previous_sibling(node), |&at| dom.previous_sibling(at));
    let before = siblings.take(4).find(|&sibling| kept[sibling].text > 0);
    before.is_some_and(|before| matches!(dom.name(before), "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"))
}
