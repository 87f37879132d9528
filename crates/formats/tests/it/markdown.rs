//! Markdown and MDX.

use super::markup_support::{checked, mutations};
use contexture_formats::{TextStructure, parse_markdown};
use proptest::prelude::*;

fn cleaned(source: &str) -> String {
    let parsed = checked(parse_markdown, source);
    assert_eq!(parsed.structure, TextStructure::Markdown);
    parsed.text
}

const MDX: &str = "---\ntitle: Tabs\n---\nimport Tabs from '@theme/Tabs';\nimport {\n  A,\n} from \"./a\";\n\
    export const secret = {\n  key: 'hunter2',\n\n  other: [1],\n};\n\n{/* internal: path */}\n\
    <!-- TODO before launch -->\n\n## Use {#use}\n\n<Tabs groupId=\"os\" values={[{label: 'x'}]}>\n  <TabItem value=\"mac\">\n\n\
    Run `a <b> {#c}` now.{/* later */}\n\n    ```bash\n    brew install x  # {#y} <!-- z -->\n    ```\n\n  </TabItem>\n</Tabs>\n";

#[test]
fn mdx_is_left_with_its_text() {
    assert_eq!(
        cleaned(MDX),
        "## Use\n\nRun `a <b> {#c}` now.\n\n```bash\nbrew install x  # {#y} <!-- z -->\n```\n\n"
    );
}

#[test]
fn code_is_never_changed() {
    for source in [
        "````md\n```js\n<!-- x -->\nimport a from 'b'\n```\n{#id}\n````\n",
        "~~~\n:::note\n!!! note\n    x\n~~~\n",
        "Text:\n\n    <b>bold</b> {% if %}\n    !!! note\n\n    [[x]]\n\nEnd.\n",
        "- item\n\n  ```\n  <br> {{< x >}}\n  ```\n\n- `<br>` and ``a ` <b>``\n",
        "> ```html\n> <p>x</p>\n> ```\n",
        "1. One\n\n        <i>code</i>\n",
        "A `multi\nline <b>` span and \\<b> and \\[[x]].\n",
    ] {
        assert_eq!(cleaned(source), source);
    }
}

#[test]
fn what_is_no_markup_stays() {
    for source in [
        "Use Vec<String> or `x` with <path> and a < b > c, <https://a.example/x> <me@a.example>.\n",
        "import the module from the shop. export default values here.\n",
        "Setext\n======\n\nText[^1] and [a][b].\n\n[^1]: Note.\n[b]: https://b.example\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "[[1]](https://a.example) if [[ -f x ]]; then\n",
        "<!-- never closed\n\n# Title\n",
        "Wow\n!!! really?\n",
        "A {brace} and { set: of } them, 100 {%.\n",
    ] {
        assert_eq!(cleaned(source), source);
    }
}

#[test]
fn attributes_of_headings_go() {
    assert_eq!(cleaned("## Before you start {#before-start}\r\n\r\nX\r\n"), "## Before you start\n\nX\n");
    assert_eq!(
        cleaned("Title {.unnumbered}\n---\n\n# A { #b .c }\n# Set {a, b}\n"),
        "Title\n---\n\n# A\n# Set {a, b}\n"
    );
    assert_eq!(cleaned("# A\n{: .no_toc }\n\n[x](y){: .btn } and `c`{.rust}.\n"), "# A\n\n[x](y) and `c`.\n");
}

#[test]
fn admonitions_are_readable_blocks() {
    assert_eq!(
        cleaned(
            "!!! note \"Read this\"\n    First.\n\n    ```sh\n    ls\n    ```\n\n    ??? tip\n        Inner.\n\nAfter.\n"
        ),
        "**Note: Read this**\n\nFirst.\n\n```sh\nls\n```\n\n**Tip**\n\nInner.\n\nAfter.\n"
    );
    assert_eq!(
        cleaned("=== \"Python\"\n\n    ```py\n    x\n    ```\n\n=== \"C\"\n\n    Text.\n"),
        "**Python**\n\n```py\nx\n```\n\n**C**\n\nText.\n"
    );
    assert_eq!(
        cleaned(":::tip Save often\n\nText.\n\n:::\n\n:::warning[Hot]\nX\n:::\nY\n"),
        "**Tip: Save often**\n\nText.\n\n**Warning: Hot**\n\nX\n\nY\n"
    );
    assert_eq!(cleaned("::: code-group\nX\n:::\n"), "X\n\n");
    assert_eq!(
        cleaned("> [!NOTE]\n> Body.\n\n> [!warning]- Careful\n> Body.\n"),
        "> **Note**\n> Body.\n\n> **Warning: Careful**\n> Body.\n"
    );
    assert_eq!(
        cleaned("- item\n\n    !!! note\n        Text.\n\n- next\n"),
        "- item\n\n    **Note**\n\n    Text.\n\n- next\n"
    );
}

#[test]
fn html_is_left_with_its_text() {
    assert_eq!(
        cleaned(
            "<div align=\"center\">\n  <h2 id=x>The <b>title</b></h2>\n  <p>One<br>two &amp; <i>three</i></p>\n</div>\n\nNext.\n"
        ),
        "## The title\n\nOne\ntwo &amp; three\n\nNext.\n"
    );
    assert_eq!(
        cleaned("<details>\n<summary>More</summary>\n\nHidden text.\n\n</details>\n"),
        "**More**\n\nHidden text.\n\n"
    );
    assert_eq!(
        cleaned(
            "See <a href=\"https://a.example\">the page</a>, <a id=\"x\"></a>10<sup>6</sup>, <del>90</del>.\n"
        ),
        "See [the page](https://a.example), 10^6, ~~90~~.\n"
    );
    assert_eq!(
        cleaned("<img src=\"a.png\" alt=\"Three queues\"> <img src='data:image/png;base64,AA' alt='Dot'>\n"),
        "![Three queues](a.png) Dot\n"
    );
    assert_eq!(
        cleaned(
            "<table>\n<tr><th>Plan</th><th>Seats</th></tr>\n<tr><td>D7</td>\n<td>148</td></tr>\n</table>\n\nX\n"
        ),
        "| Plan | Seats |\n|---|---|\n| D7 | 148 |\n\nX\n"
    );
    assert_eq!(cleaned("<pre><code class=\"x\">a &lt; b\n\n  c</code></pre>\n"), "```\na < b\n\n  c\n```\n");
    assert_eq!(cleaned("<script>\nvar a = 1;\n\nlet b;\n</script>\n\nText.\n"), "Text.\n");
    assert_eq!(cleaned("| a<br>b | c |\n"), "| a b | c |\n");
}

#[test]
fn templates_and_wiki_links_go() {
    assert_eq!(
        cleaned(
            "{% include nav.html %}\nA {% if x %}b{% endif %}.\n{% raw %}{{ x }} <b>{% endraw %}\n{{< tabs >}}Inner{{< /tabs >}}\n"
        ),
        "A b.\n{{ x }} <b>\nInner\n"
    );
    assert_eq!(cleaned("{% highlight ruby %}\nputs <b>\n{% endhighlight %}\n"), "```ruby\nputs <b>\n```\n");
    assert_eq!(
        cleaned("See [[Page|the page]], [[Other]] and ![[pic.png]].\n"),
        "See the page, Other and pic.png.\n"
    );
    assert_eq!(
        cleaned("![Dot](data:image/png;base64,AAAA) ![B][b]\n\n[b]: data:image/png;base64,AAAA\n"),
        "Dot ![B][b]\n\n"
    );
}

#[test]
fn text_that_is_unchanged_is_copied() {
    let source = "# A {#a}\n\nSome text <b>here</b>.\n";
    let parsed = checked(parse_markdown, source);
    let at = parsed.text.find("here").expect("text");
    assert_eq!(&source[parsed.map.source_span(at..at + 4)], "here");
    assert!(parsed.map.runs() < 8);
}

#[test]
fn hostile_input_is_linear() {
    for piece in [
        "<a \"",
        "{",
        "[",
        "`",
        "```` `",
        "{%",
        "<!--",
        "[[",
        "<div>",
        "!!! note\n",
        "> ",
        "<pre>",
        "(",
        "{/*",
        "<td>",
        "    !!! n \"\"\n",
    ] {
        checked(parse_markdown, &piece.repeat(60_000 / piece.len()));
    }
    let nested: String = (0..200).flat_map(|depth| ["    ".repeat(depth), "!!! note\n".to_owned()]).collect();
    checked(parse_markdown, &nested);
}

proptest! {
    #[test]
    fn any_document_is_parsed(
        source in mutations(MDX, &["```", "~~~\n", "!!! note \"x\"\n    ", ":::tip\n", "<table><tr><td>", "</td>", "<h2>", "</h2>", "<br>", "{%", "%}", "{% raw %}", "{{<", ">}}", "[[", "]]", "](data:", "<!--", "-->", "<pre>", "</pre>", "> [!NOTE]\n", "<summary>", "<li>", "<a href=x>", "</a>"])
    ) {
        checked(parse_markdown, &source);
    }
}
