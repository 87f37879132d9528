//! Commands of LaTeX, of letters and of one other character, and mathematics in a line.

use super::symbols;
use super::{ARGUMENT_BYTES_MAX, LatexWriter};
use crate::unix_lines::one_line;

/// Commands that go with all their arguments.
const DROPPED: [&str; 44] = [
    "label",
    "input",
    "include",
    "bibliographystyle",
    "bibliography",
    "usepackage",
    "vspace",
    "hspace",
    "pagestyle",
    "thispagestyle",
    "setlength",
    "addtolength",
    "newcommand",
    "renewcommand",
    "providecommand",
    "index",
    "setcounter",
    "addtocounter",
    "hypersetup",
    "cline",
    "cmidrule",
    "rule",
    "graphicspath",
    "newtheorem",
    "theoremstyle",
    "geometry",
    "addbibresource",
    "documentclass",
    "newenvironment",
    "definecolor",
    "lstset",
    "captionsetup",
    "pagenumbering",
    "bibitem",
    "color",
    "includeonly",
    "PassOptionsToPackage",
    "RequirePackage",
    "DeclareMathOperator",
    "nocite",
    "markboth",
    "hyphenation",
    "addcontentsline",
    "selectlanguage",
];

impl LatexWriter<'_> {
    /// Copies mathematics with its marks, if it ends in its paragraph.
    pub(super) fn mathematics(&mut self, at: usize, mark: &str) -> usize {
        let from = at + mark.len();
        let limit = self.source.floor_char_boundary(self.end.min(from + ARGUMENT_BYTES_MAX)).max(from);
        let inner = &self.source[from..limit];
        let mut end = inner.find(mark);
        while let Some(escaped) = end.filter(|&end| inner[..end].ends_with('\\')) {
            end = inner[escaped + 1..].find(mark).map(|next| escaped + 1 + next);
        }
        if let Some(end) = end.filter(|&end| !inner[..end].contains("\n\n")) {
            let end = from + end + mark.len();
            self.out.copy(self.source, at..end);
            end
        } else {
            self.out.copy(self.source, at..from);
            from
        }
    }

    pub(super) fn command(&mut self, at: usize) -> usize {
        let source = self.source;
        let rest = &source[at + 1..self.end];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            return self.symbol(at, rest);
        }
        let name = &rest[..letters];
        let name_end = at + 1 + letters;
        let behind = name_end + usize::from(source[name_end..self.end].starts_with('*'));
        let optional = self.option(behind).map_or(behind, |option| option.end + 1);
        if let Some((shown, end)) = symbols::accented(&source[at..self.end]) {
            self.out.write(&shown, at..at + end);
            return at + end;
        }
        if let Some(shown) = symbols::named(name) {
            self.out.write(shown, at..name_end);
            // White space behind a name ends it, and so do empty braces.
            let braces = if source[name_end..].starts_with("{}") { 2 } else { self.blank_bytes(name_end) };
            return (name_end + braces).min(self.end);
        }
        let heading = match name {
            "part" | "chapter" => "#",
            "section" => "##",
            "subsection" => "###",
            "subsubsection" => "####",
            "paragraph" => "#####",
            "subparagraph" => "######",
            _ => "",
        };
        if !heading.is_empty() {
            self.begin_block(at);
            return self.open(optional, &format!("{heading} "), "\n\n", at);
        }
        match name {
            "begin" => self.environment(at, behind),
            "end" => self.environment_end(behind),
            "item" => self.item(at, behind),
            "title" | "author" | "date" => self.property(name, behind),
            "textbf" | "bfseries" if source[behind..].starts_with('{') => self.open(behind, "**", "**", at),
            "emph" | "textit" | "textsl" => self.open(behind, "*", "*", at),
            "texttt" | "code" | "lstinline" | "mintinline" if source[optional..].starts_with('{') => {
                self.open(optional, "`", "`", at)
            }
            "footnote" | "footnotetext" => self.open(optional, " (", ")", at),
            "caption" => {
                self.begin_block(at);
                self.open(optional, "", "\n\n", at)
            }
            "ref" | "eqref" | "autoref" | "cref" | "Cref" | "pageref" | "nameref" => {
                self.open(behind, "", "", at)
            }
            "cite" | "citep" | "citet" | "parencite" | "textcite" | "autocite" | "footcite" => {
                let brace = self.option(optional).map_or(optional, |option| option.end + 1);
                self.open(brace, "[", "]", at)
            }
            "url" | "path" | "nolinkurl" => match self.argument(behind) {
                Some(target) => {
                    self.out.copy(source, target.clone());
                    target.end + 1
                }
                None => behind,
            },
            "href" => match self.argument(optional) {
                Some(target) => {
                    let address = one_line(&source[target.clone()]).replace('\\', "");
                    self.open(target.end + 1, "[", format!("]({address})"), at)
                }
                None => optional,
            },
            "includegraphics" => match self.argument(optional) {
                Some(path) => {
                    self.out.write("![](", at..path.start);
                    self.out.copy(source, path.clone());
                    self.out.write(")", path.end..path.end + 1);
                    path.end + 1
                }
                None => optional,
            },
            "multicolumn" => self.multicolumn(at, behind),
            "verb" => self.verbatim_word(at, behind),
            "tabularnewline" => self.row_end(at, name_end),
            "def" => memchr::memchr(b'{', &source.as_bytes()[name_end..self.end])
                .and_then(|brace| self.argument(name_end + brace))
                .map_or(name_end, |body| body.end + 1),
            _ if DROPPED.contains(&name) => self.arguments_end(name_end),
            _ if source[name_end..].starts_with("{}") => name_end + 2,
            _ if optional > behind && source[optional..].starts_with('{') => optional,
            _ => behind + if source[behind..].starts_with(' ') { self.blank_bytes(behind) } else { 0 },
        }
    }

    /// A command of one character that is no letter.
    fn symbol(&mut self, at: usize, rest: &str) -> usize {
        let Some(character) = rest.chars().next() else { return at + 1 };
        let end = at + 1 + character.len_utf8();
        if let Some((shown, length)) = symbols::accented(&self.source[at..self.end]) {
            self.out.write(&shown, at..at + length);
            return at + length;
        }
        match character {
            '\\' => {
                let end = end + usize::from(self.source[end..self.end].starts_with('*'));
                let end = self.option(end).map_or(end, |option| option.end + 1);
                if self.table.is_some() {
                    return self.row_end(at, end);
                }
                self.out.write("\n", at..end);
                let next = end + self.blank_bytes(end);
                return next + usize::from(self.source[next..self.end].starts_with('\n'));
            }
            '(' | '[' => {
                let (close, mark) = if character == '(' { ("\\)", "$") } else { ("\\]", "$$") };
                let limit = self.source.floor_char_boundary(self.end.min(end + ARGUMENT_BYTES_MAX)).max(end);
                if let Some(length) = self.source[end..limit].find(close) {
                    self.out.write(mark, at..end);
                    self.out.copy(self.source, end..end + length);
                    self.out.write(mark, end + length..end + length + 2);
                    return end + length + 2;
                }
            }
            ' ' | ',' | ';' | ':' | '\n' => self.out.write(" ", at..end),
            '-' | '/' | '!' | '@' | ')' | ']' => {}
            _ => self.out.copy(self.source, end - character.len_utf8()..end),
        }
        end
    }

    fn verbatim_word(&mut self, at: usize, start: usize) -> usize {
        let line = self.source[start..self.end].split('\n').next().unwrap_or_default();
        let mut characters = line.chars();
        let inner = characters.next().and_then(|mark| Some((mark, characters.as_str().find(mark)?)));
        let Some((mark, length)) = inner else { return start };
        let inner = start + mark.len_utf8()..start + mark.len_utf8() + length;
        self.out.write("`", at..inner.start);
        self.out.copy(self.source, inner.clone());
        self.out.write("`", inner.end..inner.end + mark.len_utf8());
        inner.end + mark.len_utf8()
    }
}
