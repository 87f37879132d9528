#!/usr/bin/env bash
# html5gum 0.8.4, switching states by tag name on its own, reads what stands inside of <noframes> as markup.
#
# Content of <noframes> is raw text, as that of <noembed> and <iframe>: the HTML Standard's tree construction switches
# the tokenizer for it ("A start tag whose tag name is noframes"). html5gum does that switch by itself for those who
# build no tree (`naively_switch_states`), and it knows the other two. For this one it asks for `noframe`, which is
# no element. So text that no browser of today shows is handed out as tags and words of the page, and who takes text
# out of pages by skipping raw text elements takes it for content. Contexture builds the tree and does not ask.
#
# Needs cargo. Exits with 1 when the behaviour is another than described here.
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/src"
cd "$place"
cat > Cargo.toml <<'TOML'
[package]
name = "raw-text-elements"
version = "0.0.0"
edition = "2024"

[dependencies]
html5gum = "=0.8.4"

[workspace]
TOML
cat > src/main.rs <<'RUST'
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};

fn names_inside(element: &str) -> Vec<String> {
    let page = format!("<{element}><b>old</b></{element}>");
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut names = Vec::new();
    for token in Tokenizer::new_with_emitter(page.as_str(), emitter) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if name != element {
            names.push(name);
        }
    }
    names
}

fn main() {
    for element in ["iframe", "noembed", "noframes"] {
        println!("{element}: {:?}", names_inside(element));
    }
}
RUST
echo "html5gum 0.8.4"
echo "expected: no start tag inside of any of the three, whose content is raw text"
cargo run --quiet 2>build.log >seen || { cat build.log >&2; exit 1; }
cat seen
described='iframe: []
noembed: []
noframes: ["b"]'
if [ "$(cat seen)" != "$described" ]; then
    echo "this is not what is described"
    exit 1
fi
echo "as described: the content of <noframes> is read as markup"
