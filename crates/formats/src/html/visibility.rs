//! What of a page is not drawn, and so is no text: hidden text is a channel for instructions that no person sees.
//!
//! Hidden are elements that never show their content, the attribute `hidden`, closed dialogs, `aria-hidden`,
//! what styles hide (see `styles`), and classes that every framework knows for that. Colours of text on
//! colours of ancestors are not compared, and scripts are not run.

use super::HtmlOptions;
use super::dom::{HTML_DOCUMENT_NODE, HtmlDom, HtmlNodeContent};
use super::styles::HtmlStyleSheet;

/// What a parent hands down to its children.
#[derive(Debug, Clone, Copy, Default)]
struct HtmlInherited {
    invisible: bool,
    tiny: bool,
}

/// Which nodes are not drawn. Of an element this goes for all that is inside.
pub(super) fn hidden_nodes(dom: &HtmlDom, sheet: &HtmlStyleSheet, options: &HtmlOptions) -> Vec<bool> {
    let mut hidden = vec![false; dom.len()];
    let mut inherited = vec![HtmlInherited::default(); dom.len()];
    let mut next = Some(HTML_DOCUMENT_NODE);
    while let Some(node) = next {
        let above = dom.parent(node).map_or_else(HtmlInherited::default, |parent| inherited[parent]);
        inherited[node] = above;
        match dom.content(node) {
            HtmlNodeContent::Other => {}
            HtmlNodeContent::Text(_) => hidden[node] = above.invisible || above.tiny,
            HtmlNodeContent::Element(_) => {
                let effect = sheet.effect(dom, node);
                inherited[node] = HtmlInherited {
                    invisible: effect.invisible.unwrap_or(above.invisible),
                    tiny: effect.tiny.unwrap_or(above.tiny),
                };
                hidden[node] = effect.not_displayed == Some(true)
                    || effect.out_of_sight
                    || is_hidden_by_name(dom, node, options)
                    || is_hidden_by_class(dom, node)
                    || (dom.name(node) == "img" && inherited[node].invisible);
            }
        }
        next = dom.following(node, HTML_DOCUMENT_NODE, !hidden[node]);
    }
    hidden
}

fn is_hidden_by_name(dom: &HtmlDom, node: usize, options: &HtmlOptions) -> bool {
    let has = |name: &str| dom.attribute(node, name).is_some();
    let name = dom.name(node);
    match name {
        // Never drawn, or drawn as something else than their content.
        "head" | "title" | "script" | "style" | "template" | "noscript" | "iframe" | "noembed"
        | "noframes" | "frameset" | "object" | "canvas" | "video" | "audio" | "datalist" | "meter"
        | "progress" | "param" | "rp" | "area" | "portal" => return true,
        "" => {
            // Of what is not HTML only formulas are text.
            let foreign = dom.element(node).map_or("", |element| &element.name);
            if foreign == "svg" {
                return true;
            }
        }
        "dialog" if !has("open") => return true,
        _ => {}
    }
    if !dom.has_attributes(node) && options.closed_details {
        return false;
    }
    if has("hidden") || has("popover") {
        return true;
    }
    if dom.attribute(node, "aria-hidden").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        // The picture of a formula, whose text is beside it where only software sees it.
        return !dom.classes(node).any(|class| class.starts_with("mwe-math-fallback-image"));
    }
    !options.closed_details
        && name != "summary"
        && dom
            .parent(node)
            .is_some_and(|parent| dom.name(parent) == "details" && dom.attribute(parent, "open").is_none())
}

fn is_hidden_by_class(dom: &HtmlDom, node: usize) -> bool {
    dom.has_attributes(node)
        && dom.classes(node).any(|class| match class {
            "sr-only"
            | "visually-hidden"
            | "visuallyhidden"
            | "screen-reader-text"
            | "screen-reader-only"
            | "screenreader-only"
            | "a11y-hidden"
            | "element-invisible"
            | "sr-only-focusable"
            | "visually-hidden-focusable" => true,
            // Shown again on wide screens by a class beside it.
            "hidden" => !dom.classes(node).any(|other| {
                [
                    ":block",
                    ":flex",
                    ":grid",
                    ":inline",
                    ":inline-block",
                    ":inline-flex",
                    ":table",
                    ":table-cell",
                ]
                .iter()
                .any(|shown| other.ends_with(shown))
            }),
            "d-none" => !dom.classes(node).any(|other| other.starts_with("d-") && other != "d-none"),
            _ => false,
        })
}
