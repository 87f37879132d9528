//! Elements: blocks, tables, inline marks, code, hidden text.

use contexture_formats::HtmlOptions;

use super::{assert_text, everything_of, main_of, read_with};

#[test]
fn empty_pages_are_empty() {
    for source in [
        "",
        " \n",
        "<!doctype html>",
        "<html><script>alert(1)</script></html>",
        "<p hidden>x</p>",
        "<!-- x -->",
    ] {
        assert_text(source, "");
    }
}

#[test]
fn blocks_lists_and_line_breaks() {
    assert_text(
        "<!doctype html><head><title> A &amp;\n B </title><style>p{}</style></head><body>\
         <h1>One <em>big</em> title</h1><div>first <b>bold</b>text<br>next &lt;line&gt;</div>\
         <ul><li>alpha<li>beta<ol><li>one</li><li>two</li></ol></ul>\
         <table><tr><th>k<th>v</tr><tr><td>a</td><td>b c</td></tr></table>\
         <pre><code>let x = 1;\n  let y = `2`;</code></pre><script>no()</script>\
         <template><p>hidden</p></template><p>#1 is a\n\n  number</p>",
        "# One big title\n\nfirst boldtext\nnext <line>\n\n- alpha\n- beta\n    1. one\n    2. two\n\n\
         | k | v |\n| --- | --- |\n| a | b c |\n\n```\nlet x = 1;\n  let y = `2`;\n```\n\n\\#1 is a number\n",
    );
    assert_text("<ol start=3><li>c<li value=7>g<li>h</ol>", "3. c\n7. g\n8. h\n");
    assert_text("a<br><br>b<br>c", "a\n\nb\nc\n");
    assert_text(
        "<ul><li><p>one</p><p>more</p></li><li></li><li>two</li></ul>",
        "- one\n\n    more\n\n- two\n",
    );
    assert_text(
        "<ol><li>Run:<pre>make</pre>then wait.</li><li>Look.</li></ol>",
        "1. Run:\n\n```\nmake\n```\n\nthen wait.\n\n2. Look.\n",
    );
    assert_text(
        "<ul><li><h3>Why?</h3><p>So.</p><ul><li>a<p>b</ul></li><li>next<p>more</ul><p>end",
        "### Why?\n\nSo.\n\n- a\n\n    b\n\n- next\n\nmore\n\nend\n",
    );
    assert_text("a&nbsp;b\u{a0}c soft\u{ad}hy&shy;phen", "a b c softhyphen\n");
    assert_text("<p>x</p><hr><p>y</p>", "x\n\n---\n\ny\n");
}

#[test]
fn text_cannot_pass_itself_off_as_structure() {
    assert_text(
        "<p># no heading</p><p>```</p><p>a</p>===<br>--<br>&lt;script&gt;<p>rest</p>",
        "\\# no heading\n\n\\```\n\na\n\n\\===\n\\--\n\\<script>\n\nrest\n",
    );
    assert_text("<pre>```\n# x\n````</pre>", "`````\n```\n# x\n````\n`````\n");
    assert_text("<p>| a | b |<br>| --- | --- |</p>", "\\| a | b |\n\\| --- | --- |\n");
}

#[test]
fn rows_are_lines_whatever_stands_in_their_cells() {
    assert_text(
        "<table class=confluenceTable><thead><tr><th><p>Plan</p></th><th><p>Calls</p></th></tr></thead><tbody>\
         <tr><td><p>Business</p></td><td><p>1800</p><p>per minute</p></td></tr>\
         <tr><td>Gateway<br>(public)</td><td><ul><li>primary</li><li>replica</li></ul></td></tr>\
         <tr><td>a|b <code>c|d</code></td><td><pre>x\ny</pre><h3>T</h3><table><tr><td>p</td><td>q</td></tr></table></td></tr>\
         <tr><td></td><td>only</td></tr></table>",
        "| Plan | Calls |\n| --- | --- |\n| Business | 1800 per minute |\n| Gateway (public) | primary replica |\n\
         | a\\|b `c\\|d` | `x y` T p q |\n| | only |\n",
    );
}

#[test]
fn spans_are_carried() {
    assert_text(
        "<table><caption>Ports</caption><tr><th>Service<th>Port</tr><tr><td rowspan=2>Cache</td><td>6001</td></tr>\
         <tr><td>6002</td></tr><tr><td>Store</td><td rowspan=0>9</td></tr><tr><td>Queue</td></tr>\
         <tr><td colspan=2>All are internal.</td></tr></table>",
        "Ports\n\n| Service | Port |\n| --- | --- |\n| Cache | 6001 |\n| Cache | 6002 |\n| Store | 9 |\n\
         | Queue | 9 |\n| All are internal. | 9 | All are internal. |\n"
            .replace("| All are internal. | 9 | All are internal. |", "| All are internal. | 9 |")
            .as_str(),
    );
    assert_text(
        "<table><thead><tr><th rowspan=2>Plan</th><th colspan=2>Price</th></tr><tr><th>EUR</th><th>USD</th></tr></thead>\
         <tr><td>Team</td><td>5</td><td>6</td></tr></table>",
        "| Plan | Price EUR | Price USD |\n| --- | --- | --- |\n| Team | 5 | 6 |\n",
    );
    assert_text(
        "<table><tr><th colspan=2>Ada Lovelace</th></tr><tr><th>Born</th><td>1815</td></tr><tr><th>Died</th><td>1852</td></tr></table>",
        "Ada Lovelace\n\n| Born | 1815 |\n| Died | 1852 |\n",
    );
    assert_text(
        "<table><tr><td>a</td><td>1</td></tr><tr><td>b</td><td>2</td></tr></table>",
        "| a | 1 |\n| b | 2 |\n",
    );
    assert_text(
        "<table><tr><td><b>Name</b></td><td><b>Age</b></td></tr><tr><td>b</td><td>2</td></tr></table>",
        "| Name | Age |\n| --- | --- |\n| b | 2 |\n",
    );
}

#[test]
fn tables_that_only_place_things_are_blocks() {
    assert_text(
        "<table width=100%><tr><td><h2>News</h2><p>First.</p><p>Second.</p></td><td><p>Beside.</p></td></tr></table>",
        "## News\n\nFirst.\n\nSecond.\n\nBeside.\n",
    );
    assert_text("<table><tr><td>one</td></tr><tr><td>two</td></tr></table>", "one\ntwo\n");
}

#[test]
fn hostile_spans_are_bounded() {
    let row = "<tr><td colspan=1000 rowspan=65534>some text that repeats".to_owned();
    let page = format!("<table><tr><th>x</th></tr>{row}{}</table>", "<tr><td>x".repeat(3000));
    assert!(main_of(&page).len() < 1_000_000);
}

#[test]
fn raised_text_is_not_glued_to_numbers() {
    assert_text(
        "<p>The stock has 10<sup>6</sup> cells, kept at 2 × 10<sup>-9</sup> mol on 25 m<sup>2</sup>. It costs \
         45<sup>1</sup> euro.</p><p><sup>1</sup> Without tax.</p><p>Version 2<sup>nd</sup> of H<sub>2</sub>O, \
         x<sub>10</sub>, x<sup>n + 1</sup>, x<sub>i</sub>, Acme<sup>®</sup>, 90<sup>°</sup>.</p>",
        "The stock has 10^6 cells, kept at 2 × 10^-9 mol on 25 m^2. It costs 45 [1] euro.\n\n[1] Without tax.\n\n\
         Version 2nd of H2O, x_10, x^(n + 1), x_i, Acme®, 90°.\n",
    );
    assert_text(
        "<p>It costs 45<sup>a</sup>.</p><p><sup>a</sup> Without tax.</p>",
        "It costs 45 [a].\n\n[a] Without tax.\n",
    );
    assert_text(
        "<p>In 1990<sup id=r1 class=reference><a href=#n1>[2]</a></sup> and 12<sup><a href='#fn3'>3</a></sup>.</p>",
        "In 1990 [2] and 12 [3].\n",
    );
}

#[test]
fn struck_text_is_marked() {
    assert_text(
        "<p>Was <s>90</s> <del> 80 </del>, is <ins>70</ins> euro.</p>",
        "Was ~~90~~ ~~80~~ , is 70 euro.\n",
    );
    assert_text(
        "<style>.old{text-decoration:line-through}</style><p><span class=old>90</span> <span style='text-decoration: line-through red'>\
         80</span> <del><del>60</del></del> 70, 10<span style='vertical-align:super'>6</span></p>",
        "~~90~~ ~~80~~ ~~60~~ 70, 10^6\n",
    );
    assert_text("<del><p>One.</p><p>Two.</p></del>", "~~One.~~\n\n~~Two.~~\n");
}

#[test]
fn links_and_pictures_keep_what_they_say() {
    assert_text(
        "<p>Look at <a href='https://status.example.com/eu'>the status page</a> or <a href='mailto:ops@example.com'>the team</a>, \
         <a href='#x'>below</a>, <a href='javascript:alert(1)'>here</a>, <a href='data:text/html;base64,AAAA'>there</a>, \
         <a href='https://example.com/'>example.com</a>, <a href='a b.html'>that</a>.</p>\
         <figure><img src='q.png' alt='Three queues: chunk, embed'><figcaption>How it flows</figcaption></figure>\
         <img src='data:image/png;base64,iVBORw0KGgo=' alt=Logo><img src=x.png alt=''>",
        "Look at [the status page](https://status.example.com/eu) or [the team](mailto:ops@example.com), below, here, \
         there, example.com, [that](a%20b.html).\n\n![Three queues: chunk, embed](q.png)\n\nHow it flows\n\n![Logo]\n",
    );
    assert_text(
        "<a href=/card><h3>Card</h3><p>Its text.</p></a><p><a href=/i><img src=i.png alt=Icon></a></p>",
        "### [Card](/card)\n\nIts text.\n\n[![Icon](i.png)](/i)\n",
    );
}

#[test]
fn code_is_lines_without_gutter_and_button() {
    let expected = "```rust\nfn main() {\n\n    run();\n}\n```\n";
    for page in [
        "<div class=language-rust><pre><code>fn main() {\n\n    run();\n}\n</code></pre><button class=copy>Copy</button></div>",
        "<pre class='language-rust'><button>Copy</button><div>fn main() {</div><div><br></div><div>    run();</div><div>}</div></pre>",
        "<pre data-lang=rust><code><span class=line>fn main() {</span><span class=line></span><span class=line>    run();</span><span class=line>}</span></code></pre>",
        "<pre class=language-rust><code><span class=line><span class=ln>1</span>fn main() {\n</span><span class=line><span class=ln>2</span>\n</span><span class=line><span class=ln>3</span>    run();\n</span><span class=line><span class=ln>4</span>}\n</span></code></pre>",
        "<pre class='prettyprint lang-rust'><ol class=linenums><li>fn main() {</li><li></li><li>    run();</li><li>}</li></ol></pre>",
        "<div class=highlight-rust><table class=highlighttable><tr><td class=linenos><pre>1\n2\n3\n4</pre></td><td class=code><div class=highlight><pre>fn main() {\n\n    run();\n}\n</pre></div></td></tr></table></div>",
        "<div class=highlight-rust><table>\n<tr>\n<td class=blob-num>1</td>\n<td class=blob-code>fn main() {</td></tr>\n<tr><td class=blob-num>2</td><td class=blob-code></td></tr><tr><td class=blob-num>3</td><td class=blob-code>    run();</td></tr><tr><td class=blob-num>4</td><td class=blob-code>}</td></tr></table></div>",
        "<pre><code class='hljs rust'><span style='display:block'>fn main() {</span><span style='display:block'></span><span style='display:block'>\u{a0}&nbsp;  run();</span><span style='display:block'>}</span></code></pre>",
        "<pre class=language-rust><a href=#1 id=1>1</a>fn main() {\n<a href=#2 id=2>2</a>\n<a href=#L3>3</a>    run();\n<a href=#cb1-4>4</a>}</pre>",
        "<code class=language-rust><div>fn main() {</div><div></div><div>    run();</div><div>}</div></code>",
    ] {
        assert_text(page, expected);
    }
    assert_text(
        "<p>Call <code>a\n  b()</code> or <code>`x`</code> <code> </code>now.</p>",
        "Call `a b()` or `` `x` `` now.\n",
    );
}

#[test]
fn hidden_text_is_no_text() {
    let hidden = [
        "<div hidden>SECRET</div>",
        "<div style='display: none'>SECRET</div>",
        "<span style='VISIBILITY:hidden'>SECRET</span>",
        "<p aria-hidden=true>SECRET</p>",
        "<dialog>SECRET</dialog>",
        "<template><p>SECRET</p></template>",
        "<svg><text>SECRET</text></svg>",
        "<script>'SECRET'</script>",
        "<noscript>SECRET</noscript>",
        "<div style='position:absolute; left:-9999px'>SECRET</div>",
        "<div style='font-size:0'>SECRET</div>",
        "<div style='font-size:1px'>SECRET</div>",
        "<div style='opacity:0'>SECRET</div>",
        "<div style='opacity:0%'>SECRET</div>",
        "<div style='clip: rect(0 0 0 0); position:absolute'>SECRET</div>",
        "<div style='clip-path: inset(50%)'>SECRET</div>",
        "<div style='text-indent:-9999px'>SECRET</div>",
        "<div style='height:0;overflow:hidden'>SECRET</div>",
        "<div style='color:transparent'>SECRET</div>",
        "<div style='color:#fff;background:#fff'>SECRET</div>",
        "<div style='transform:translateX(-9999px)'>SECRET</div>",
        "<div style='transform: scale(0)'>SECRET</div>",
        "<input type=hidden value=SECRET>",
        "<textarea>SECRET</textarea>",
        "<button>SECRET</button>",
        "<!-- SECRET -->",
        "<iframe>SECRET</iframe>",
        "<span class=sr-only>SECRET</span>",
        "<p class=x>SECRET</p>",
        "<p id=y class=q>SECRET</p>",
        "<div class='a b'>SECRET</div>",
        "<b class=m>SECRET</b>",
        "<div popover>SECRET</div>",
        "<object>SECRET</object>",
        "<div style='display:none'><p>a</p><p style='display:block'>SECRET</p></div>",
        "<meta name=description content=SECRET>",
        "<div style='font-size:12px;display:none!important;display:block'>SECRET</div>",
    ];
    let sheet = "<style>/* .shown{} */ @import 'x.css'; .x { color:red; display : none } #y{visibility:hidden}\
        div.a.b, .unused{position:absolute;left:-10000px} @media print {.shown{display:none}} \
        @media screen {.m{display:none}} .tab{display:none} .tab.on{display:block} .shown .z{display:none}\
        @media (max-width:600px){ .shown { display:none } .z{display:none} }</style>";
    for trick in hidden {
        let page = format!("{sheet}<h1>T</h1><p>Before.</p>{trick}<p>After.</p>");
        assert_text(&page, "# T\n\nBefore.\n\nAfter.\n");
    }
    for shown in [
        "<p class=shown>SHOWN</p>",
        "<p class=z>SHOWN</p>",
        "<p class='tab on'>SHOWN</p>",
        "<div style='visibility:hidden'><p style='visibility:visible'>SHOWN</p></div>",
        "<div style='font-size:0'><p style='font-size:16px'>SHOWN</p></div>",
        "<dialog open>SHOWN</dialog>",
        "<div style='opacity:0.9'>SHOWN</div>",
        "<p class='hidden md:block'>SHOWN</p>",
        "<p aria-hidden=false>SHOWN</p>",
        "<div style='position:absolute;left:-20px'>SHOWN</div>",
        "<p style='margin-top:-20px;display:block'>SHOWN</p>",
    ] {
        let page = format!("{sheet}<h1>T</h1><p>Before.</p>{shown}<p>After.</p>");
        assert!(everything_of(&page).contains("SHOWN"), "{shown}");
    }
}

#[test]
fn closed_details_are_an_option() {
    let page = "<details><summary>More</summary><p>Inside.</p></details><details open><summary>Open</summary>Shown.</details>";
    assert_text(page, "More\n\nInside.\n\nOpen\nShown.\n");
    let options = HtmlOptions { closed_details: false, ..HtmlOptions::default() };
    assert_eq!(read_with(page, &options).text, "More\n\nOpen\nShown.\n");
}

#[test]
fn definitions_ruby_quotes_and_abbreviations() {
    assert_text(
        "<dl><dt>Epoch</dt><dd>One pass.</dd><dt>Batch</dt><dd><p>Some rows.</p></dd></dl>\
         <p><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby> <q>Yes</q> \
         <abbr title='World Health Organization'>WHO</abbr>, <abbr title='World Health Organization'>WHO</abbr></p>\
         <blockquote><p>Quoted.</p></blockquote>",
        "Epoch\nOne pass.\nBatch\n\nSome rows.\n\n漢(kan)字(ji) \"Yes\" WHO (World Health Organization), WHO\n\nQuoted.\n",
    );
    assert_text("<p>Mass <math alttext='E=mc^2'><mi>E</mi></math>.</p>", "Mass $E=mc^2$.\n");
    assert_text("<p>Size <select><option>S</option><option selected>M</option></select></p>", "Size S, M\n");
}

#[test]
fn malformed_markup_loses_no_text() {
    assert_text(
        "<p>one<div>two</p>three<b>four<p>five</b>six</b></i>",
        "one\n\ntwo\n\nthreefour\n\nfivesix\n",
    );
    assert_text("<table>stray<tr><td>a<td>b<tr><td>c<td>d", "stray\n\n| a | b |\n| c | d |\n");
    assert_text("a < b & c &amp d &unknown; &#x41; &lt;i&gt;", "a < b & c & d &unknown; A <i>\n");
    assert_text("<p>x\0y</p><a href='unclosed>z", "xy\n");
    assert_text(
        "</p></div>text<//>more</>end",
        "text\n\nmoreend\n".replace("text\n\nmore", "textmore").as_str(),
    );
}
