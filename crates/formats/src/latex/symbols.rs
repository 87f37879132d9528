//! Characters that LaTeX writes as commands.

use unicode_normalization::char::compose;

use crate::unix_lines::one_line;

/// The text of a command without arguments.
pub(super) fn named(name: &str) -> Option<&'static str> {
    Some(match name {
        "ss" => "ß",
        "o" => "ø",
        "O" => "Ø",
        "ae" => "æ",
        "AE" => "Æ",
        "oe" => "œ",
        "OE" => "Œ",
        "aa" => "å",
        "AA" => "Å",
        "l" => "ł",
        "L" => "Ł",
        "i" => "ı",
        "j" => "ȷ",
        "ldots" | "dots" | "textellipsis" => "…",
        "textendash" => "–",
        "textemdash" => "—",
        "textbackslash" => "\\",
        "textasciitilde" => "~",
        "textasciicircum" => "^",
        "textbar" => "|",
        "textless" => "<",
        "textgreater" => ">",
        "euro" | "texteuro" => "€",
        "pounds" | "textsterling" => "£",
        "copyright" | "textcopyright" => "©",
        "textregistered" => "®",
        "texttrademark" => "™",
        "textdegree" => "°",
        "S" => "§",
        "P" => "¶",
        "dag" => "†",
        "textquotedblleft" | "glqq" => "“",
        "textquotedblright" | "grqq" => "”",
        "LaTeX" => "LaTeX",
        "TeX" => "TeX",
        "newline" | "linebreak" => "\n",
        "quad" | "qquad" | "space" => " ",
        "par" | "bigskip" | "medskip" | "smallskip" => "\n\n",
        _ => return None,
    })
}

/// The accented letter at the start of a text, as in `\"a`, `\'{e}`, `\v{c}` or `\^\i`, and its length there.
pub(super) fn accented(text: &str) -> Option<(String, usize)> {
    let mut characters = text.strip_prefix('\\')?.chars();
    let accent = characters.next()?;
    let mark = match accent {
        '`' => '\u{300}',
        '\'' => '\u{301}',
        '^' => '\u{302}',
        '~' => '\u{303}',
        '=' => '\u{304}',
        'u' => '\u{306}',
        '.' => '\u{307}',
        '"' => '\u{308}',
        'r' => '\u{30a}',
        'H' => '\u{30b}',
        'v' => '\u{30c}',
        'd' => '\u{323}',
        'c' => '\u{327}',
        'k' => '\u{328}',
        _ => return None,
    };
    let rest = characters.as_str();
    let (inner, braces) = match rest.strip_prefix('{') {
        Some(inner) => (inner, 2),
        // An accent that is a letter needs braces, or it is the begin of a name.
        None if accent.is_ascii_alphabetic() => return None,
        None => (rest, 0),
    };
    let (letter, length) = match inner.strip_prefix('\\') {
        Some(dotless) => (dotless.chars().next().filter(|letter| matches!(letter, 'i' | 'j'))?, 2),
        None => {
            (inner.chars().next().filter(|letter| letter.is_alphabetic())?, inner.chars().next()?.len_utf8())
        }
    };
    if braces > 0 && !inner[length..].starts_with('}') {
        return None;
    }
    let shown = compose(letter, mark).map_or_else(|| format!("{letter}{mark}"), String::from);
    Some((shown, 2 + braces + length))
}

/// A short text without commands, for properties.
pub(super) fn plain_text(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{', '}', '~', '%']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((shown, length)) = accented(rest) {
            plain.push_str(&shown);
            rest = &rest[length..];
            continue;
        }
        let behind = &rest[1..];
        if rest.starts_with('\\') {
            let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
            if letters > 0 {
                plain.push_str(named(&behind[..letters]).unwrap_or(" "));
                rest = &behind[letters..];
            } else {
                let character = behind.chars().next();
                plain.extend(character.map(|shown| if shown == '\\' { ' ' } else { shown }));
                rest = &behind[character.map_or(0, char::len_utf8)..];
            }
        } else {
            if rest.starts_with('~') {
                plain.push(' ');
            }
            let comment = rest.starts_with('%');
            rest = if comment { behind.split_once('\n').map_or("", |(_, next)| next) } else { behind };
        }
    }
    plain.push_str(rest);
    one_line(&plain.replace("---", "—").replace("--", "–"))
}
