//! What styles say about whether text is drawn: `style` attributes, and rules of the page's own `<style>`.
//!
//! Of a style sheet only rules with simple selectors count: a tag, classes and ids in one compound (`.note`,
//! `div.a.b`, `#c`), outside of conditions. Combinators, pseudo classes and attributes are not read, nor are
//! imported sheets. Among rules for one element the last of the most specific wins, as in a browser. At most
//! [`SHEET_BYTES_MAX`] bytes and [`RULES_MAX`] selectors are read.

use std::collections::HashMap;

use super::dom::HtmlDom;

/// Most bytes of all style sheets of a page.
const SHEET_BYTES_MAX: usize = 512 * 1024;
/// Most selectors that are kept.
const RULES_MAX: usize = 4096;
/// Most candidate rules that are tried for one element.
const CANDIDATES_MAX: usize = 64;
/// Longest `style` attribute that is read.
const STYLE_BYTES_MAX: usize = 4096;
/// What is moved farther than this, in pixels, is out of sight.
const OFF_SCREEN_PIXELS: f32 = 900.0;
/// Smaller text than this, in pixels, cannot be read.
const FONT_PIXELS_MIN: f32 = 2.0;
const OPACITY_MIN: f32 = 0.05;

/// What a style says; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HtmlStyleEffect {
    /// Whether `display` is `none`.
    pub(super) not_displayed: Option<bool>,
    /// Whether `visibility` is `hidden`; children may be visible all the same.
    pub(super) invisible: Option<bool>,
    /// Whether the font is too small to be read; children may have a larger one.
    pub(super) tiny: Option<bool>,
    /// Whether a trick puts the element out of sight: off-screen, clipped, transparent.
    pub(super) out_of_sight: bool,
    /// Whether `display` is one that makes a line or block of its own.
    pub(super) block: bool,
    /// Whether the text is struck through.
    pub(super) struck: bool,
    /// Whether the text is raised (`true`) or lowered.
    pub(super) raised: Option<bool>,
}

impl HtmlStyleEffect {
    fn says_something(self) -> bool {
        self != Self::default()
    }

    fn overridden_by(self, stronger: Self) -> Self {
        Self {
            not_displayed: stronger.not_displayed.or(self.not_displayed),
            invisible: stronger.invisible.or(self.invisible),
            tiny: stronger.tiny.or(self.tiny),
            out_of_sight: self.out_of_sight || stronger.out_of_sight,
            block: self.block || stronger.block,
            struck: self.struck || stronger.struck,
            raised: stronger.raised.or(self.raised),
        }
    }
}

/// Reads declarations: normal ones and those marked `!important`.
fn read_declarations(text: &str) -> (HtmlStyleEffect, HtmlStyleEffect) {
    let mut normal = Vec::new();
    let mut important = Vec::new();
    for declaration in text.split(';') {
        let Some((name, value)) = declaration.split_once(':') else { continue };
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim().to_ascii_lowercase();
        match value.split_once('!') {
            Some((value, mark)) if mark.trim() == "important" => {
                important.push((name, value.trim().to_owned()));
            }
            _ => normal.push((name, value)),
        }
    }
    (effect_of(&normal), effect_of(&important))
}

fn effect_of(declarations: &[(String, String)]) -> HtmlStyleEffect {
    let mut effect = HtmlStyleEffect::default();
    let get = |wanted: &str| {
        let found = declarations.iter().rev().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let mut moved = false;
    for (name, value) in declarations {
        let value = value.as_str();
        match name.as_str() {
            "display" => {
                effect.not_displayed = Some(value == "none");
                effect.block = matches!(value, "block" | "flex" | "grid" | "table" | "list-item");
            }
            "visibility" => effect.invisible = Some(matches!(value, "hidden" | "collapse")),
            "text-decoration" | "text-decoration-line" => effect.struck = value.contains("line-through"),
            "vertical-align" if value == "super" => effect.raised = Some(true),
            "vertical-align" if value == "sub" => effect.raised = Some(false),
            "content-visibility" if value == "hidden" => effect.out_of_sight = true,
            "font-size" => effect.tiny = pixels(value).map(|size| size < FONT_PIXELS_MIN).or(Some(false)),
            "opacity" => {
                let share = value.strip_suffix('%').map_or((value, 1.0), |rest| (rest, 100.0));
                let opacity = share.0.trim().parse::<f32>().map(|number| number / share.1);
                effect.out_of_sight |= opacity.is_ok_and(|opacity| opacity < OPACITY_MIN);
            }
            "text-indent" => effect.out_of_sight |= pixels(value).is_some_and(|by| by < -OFF_SCREEN_PIXELS),
            "left" | "top" | "right" | "bottom" | "margin-left" | "margin-top" | "inset" => {
                moved |= value.split_ascii_whitespace().any(|part| {
                    pixels(part)
                        .is_some_and(|by| by.abs() > OFF_SCREEN_PIXELS && (by < 0.0 || name != "margin-top"))
                });
            }
            "transform" => {
                let inner: String = value.chars().filter(|next| !next.is_whitespace()).collect();
                effect.out_of_sight |= inner.contains("scale(0)") || inner.contains("scale(0,0)");
                effect.out_of_sight |= inner
                    .split_once("translate")
                    .and_then(|(_, rest)| rest.split_once('('))
                    .is_some_and(|(_, rest)| {
                        let arguments = rest.split(')').next().unwrap_or_default();
                        arguments.split(',').any(|by| pixels(by).is_some_and(|by| by < -OFF_SCREEN_PIXELS))
                    });
            }
            "clip" => {
                let sizes = value.trim_start_matches("rect(").trim_end_matches(')');
                let mut sizes = sizes.split([',', ' ']).filter(|size| !size.is_empty()).peekable();
                effect.out_of_sight |= value.starts_with("rect(")
                    && sizes.peek().is_some()
                    && sizes.all(|size| pixels(size).is_some_and(|size| size.abs() <= 1.0));
            }
            "clip-path" => {
                let inner: String = value.chars().filter(|next| !next.is_whitespace()).collect();
                let hides = ["inset(50%", "inset(100%", "circle(0", "polygon(00,00"];
                effect.out_of_sight |= hides.iter().any(|hiding| inner.starts_with(hiding));
            }
            "color" | "-webkit-text-fill-color" => {
                let inner: String = value.chars().filter(|next| !next.is_whitespace()).collect();
                effect.out_of_sight |= inner == "transparent"
                    || (inner.starts_with("rgba(") && (inner.ends_with(",0)") || inner.ends_with(",0.0)")));
            }
            _ => {}
        }
    }
    let positioned = get("position").is_some_and(|value| matches!(value, "absolute" | "fixed" | "relative"));
    let margin = get("margin-left").or_else(|| get("margin-top")).and_then(pixels);
    effect.out_of_sight |= moved && (positioned || margin.is_some_and(|by| by < -OFF_SCREEN_PIXELS));
    let no_size = ["width", "height", "max-width", "max-height"]
        .iter()
        .any(|name| get(name).and_then(pixels).is_some_and(|size| size <= 1.0));
    effect.out_of_sight |= no_size && get("overflow").is_some_and(|value| matches!(value, "hidden" | "clip"));
    let background = get("background-color").or_else(|| get("background"));
    effect.out_of_sight |= get("color").is_some_and(|color| color != "inherit" && Some(color) == background);
    effect
}

/// A length in pixels; relative units are taken as those of common sizes.
fn pixels(value: &str) -> Option<f32> {
    let value = value.trim();
    let end = value.find(|next: char| next.is_ascii_alphabetic() || next == '%').unwrap_or(value.len());
    let number: f32 = value[..end].trim().parse().ok()?;
    match &value[end..] {
        "" | "px" => Some(number),
        "pt" => Some(number * 1.33),
        "em" | "rem" | "ch" | "ex" | "%" if number == 0.0 => Some(0.0),
        "em" | "rem" => Some(number * 16.0),
        "vw" | "vh" | "%" => Some(number * 10.0),
        "cm" => Some(number * 38.0),
        "in" => Some(number * 96.0),
        _ => None,
    }
}

#[derive(Debug)]
struct HtmlStyleRule {
    tag: Option<String>,
    classes: Vec<String>,
    id: Option<String>,
    specificity: (usize, usize, usize),
    normal: HtmlStyleEffect,
    important: HtmlStyleEffect,
}

/// The rules of a page.
#[derive(Debug, Default)]
pub(super) struct HtmlStyleSheet {
    rules: Vec<HtmlStyleRule>,
    /// Rules by their id, class or tag, the first that they have.
    by_key: HashMap<String, Vec<usize>>,
}

impl HtmlStyleSheet {
    /// Reads the style sheets of a page.
    pub(super) fn of_page(dom: &HtmlDom, source: &str) -> Self {
        let mut sheet = Self::default();
        let mut bytes_left = SHEET_BYTES_MAX;
        for node in 0..dom.len() {
            if dom.name(node) != "style" {
                continue;
            }
            let kind = dom.attribute(node, "type").unwrap_or_default();
            if !kind.is_empty() && kind != "text/css" {
                continue;
            }
            let mut text = String::new();
            for child in dom.children(node) {
                if let super::dom::HtmlNodeContent::Text(piece) = dom.content(child) {
                    text.push_str(piece.text(source));
                }
            }
            text.truncate(text.floor_char_boundary(bytes_left));
            bytes_left -= text.len();
            sheet.read(&without_comments(&text));
        }
        sheet
    }

    fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}', ';']) {
            let prelude = rest[..open].trim();
            let found = rest.as_bytes()[open];
            rest = &rest[open + 1..];
            if found != b'{' {
                // `@import …;`, or the end of a condition that was entered.
                continue;
            }
            if let Some(at_rule) = prelude.strip_prefix('@') {
                if !is_always_true(at_rule) {
                    rest = behind_block(rest);
                }
                continue;
            }
            let end = rest.find('}').unwrap_or(rest.len());
            let (normal, important) = read_declarations(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            if !normal.says_something() && !important.says_something() {
                continue;
            }
            for selector in prelude.split(',') {
                if self.rules.len() < RULES_MAX {
                    self.add(selector.trim(), normal, important);
                }
            }
        }
    }

    fn add(&mut self, selector: &str, normal: HtmlStyleEffect, important: HtmlStyleEffect) {
        let is_name = |part: &str| {
            !part.is_empty() && part.chars().all(|next| next.is_alphanumeric() || matches!(next, '-' | '_'))
        };
        let mut rule = HtmlStyleRule {
            tag: None,
            classes: Vec::new(),
            id: None,
            specificity: (0, 0, 0),
            normal,
            important,
        };
        let mut rest = selector;
        let tag_end = rest.find(['.', '#']).unwrap_or(rest.len());
        if tag_end > 0 {
            if !is_name(&rest[..tag_end]) {
                return;
            }
            rule.tag = Some(rest[..tag_end].to_ascii_lowercase());
            rule.specificity.2 = 1;
        }
        rest = &rest[tag_end..];
        while !rest.is_empty() {
            let end = rest[1..].find(['.', '#']).map_or(rest.len(), |end| end + 1);
            let name = &rest[1..end];
            if !is_name(name) {
                return;
            }
            if rest.starts_with('#') {
                rule.id = Some(name.to_owned());
                rule.specificity.0 += 1;
            } else {
                rule.classes.push(name.to_owned());
                rule.specificity.1 += 1;
            }
            rest = &rest[end..];
        }
        let key = match (&rule.id, rule.classes.first(), &rule.tag) {
            (Some(id), _, _) => format!("#{id}"),
            (None, Some(class), _) => format!(".{class}"),
            (None, None, Some(tag)) => tag.clone(),
            (None, None, None) => return,
        };
        self.by_key.entry(key).or_default().push(self.rules.len());
        self.rules.push(rule);
    }

    /// What styles say about an element.
    pub(super) fn effect(&self, dom: &HtmlDom, node: usize) -> HtmlStyleEffect {
        if self.rules.is_empty() && !dom.has_attributes(node) {
            return HtmlStyleEffect::default();
        }
        let style = dom.attribute(node, "style").unwrap_or_default();
        let (own, own_important) = if style.is_empty() {
            <(HtmlStyleEffect, HtmlStyleEffect)>::default()
        } else {
            read_declarations(&style[..style.floor_char_boundary(STYLE_BYTES_MAX)])
        };
        let mut matched: Vec<(usize, &HtmlStyleRule)> = Vec::new();
        if !self.rules.is_empty() {
            let id = dom.attribute(node, "id").unwrap_or_default();
            let classes: Vec<&str> = dom.classes(node).take(CANDIDATES_MAX).collect();
            let mut keys: Vec<String> = classes.iter().map(|class| format!(".{class}")).collect();
            keys.push(dom.name(node).to_owned());
            keys.push(format!("#{id}"));
            let candidates = keys.iter().filter_map(|key| self.by_key.get(key)).flatten();
            for &at in candidates.take(CANDIDATES_MAX) {
                let rule = &self.rules[at];
                if rule.tag.as_ref().is_none_or(|tag| tag == dom.name(node))
                    && rule.id.as_ref().is_none_or(|wanted| wanted == id)
                    && rule.classes.iter().all(|class| classes.contains(&class.as_str()))
                {
                    matched.push((at, rule));
                }
            }
            matched.sort_by_key(|(at, rule)| (rule.specificity, *at));
        }
        let from_sheet = matched
            .iter()
            .fold(HtmlStyleEffect::default(), |effect, (_, rule)| effect.overridden_by(rule.normal));
        let important = matched
            .iter()
            .fold(HtmlStyleEffect::default(), |effect, (_, rule)| effect.overridden_by(rule.important));
        from_sheet.overridden_by(own).overridden_by(important).overridden_by(own_important)
    }
}

/// Whether a block of an at-rule holds for every reader: no condition on the screen's size, not for print.
fn is_always_true(at_rule: &str) -> bool {
    let mut words = at_rule.split_ascii_whitespace();
    matches!(
        (words.next(), words.next(), words.next()),
        (Some("layer"), _, _) | (Some("media"), Some("screen" | "all"), None)
    )
}

/// What stands behind the end of the block whose start has been read.
fn behind_block(text: &str) -> &str {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = behind.split_once("*/").map_or("", |(_, behind)| behind);
    }
    kept.push_str(rest);
    // Some pages still put their sheet into an HTML comment.
    kept.replace("<!--", " ").replace("-->", " ")
}
