//! How far a text is nothing but words with single spaces between them, looked at many bytes at once.

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 32;

/// How many bytes at the start of a text surely belong to a word or are a space between two; perhaps not all that do.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without branches a block is compared as a whole: three times as fast"
)]
pub(super) fn plain_bytes(bytes: &[u8], in_cell: bool) -> usize {
    // Outside of a table's cell a bar is as good as any byte.
    let bar = if in_cell { b'|' } else { b'\n' };
    // Control characters, and what no-break spaces, the soft hyphen and the byte order mark begin with.
    let special = |byte: u8| (byte < b' ') | (byte == 0xC2) | (byte == 0xE2) | (byte == 0xEF) | (byte == bar);
    let mut plain = 0;
    while let Some(block) = bytes[plain..].first_chunk::<{ BLOCK_BYTES + 1 }>() {
        let mut any = special(block[BLOCK_BYTES]);
        for at in 0..BLOCK_BYTES {
            any |= special(block[at]) | ((block[at] == b' ') & (block[at + 1] == b' '));
        }
        if any {
            break;
        }
        plain += BLOCK_BYTES;
    }
    // What follows the last byte is not known here.
    while let Some(&[byte, next]) = bytes[plain..].first_chunk() {
        if special(byte) || (byte == b' ' && (next == b' ' || special(next))) {
            break;
        }
        plain += 1;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain_bytes;

    #[test]
    fn words_with_single_spaces_are_plain_up_to_what_may_be_none() {
        for start in 0..70 {
            let before = "word ".repeat(20)[..start].to_owned() + "x";
            for end in ["\n", "\t", "  ", " \n", "\u{A0}", " \u{AD}", "\u{202F}", " \u{FEFF}"] {
                let text = format!("{before}{end}more words behind");
                assert_eq!(plain_bytes(text.as_bytes(), false), before.len(), "{text:?}");
            }
            let text = format!("{before}|more");
            assert_eq!(plain_bytes(text.as_bytes(), true), before.len());
            assert_eq!(plain_bytes(text.as_bytes(), false), text.len() - 1, "the last byte is left over");
        }
        assert_eq!(plain_bytes(b"", false), 0);
    }
}
