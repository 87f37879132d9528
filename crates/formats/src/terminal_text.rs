//! Text that was written for a terminal, without what is not text.

/// The length of the escape sequence or control character at the start of a text, as ECMA-48 has them; 0 if
/// there is none. Tabs and line ends are text.
pub(crate) fn control_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(1)) {
        (Some(0x1b), Some(b'[')) => {
            let parameters = bytes[2..].iter().take_while(|byte| matches!(byte, 0x20..=0x3f)).count();
            2 + parameters
                + usize::from(bytes.get(2 + parameters).is_some_and(|byte| matches!(byte, 0x40..=0x7e)))
        }
        (Some(0x1b), Some(b']')) => {
            let end = bytes[2..].iter().position(|&byte| matches!(byte, 0x07 | 0x1b | b'\n'));
            match end.map(|end| (2 + end, bytes[2 + end])) {
                Some((end, 0x07)) => end + 1,
                Some((end, 0x1b)) => end + 1 + usize::from(bytes.get(end + 1) == Some(&b'\\')),
                Some((end, _)) => end,
                None => bytes.len(),
            }
        }
        (Some(0x1b), Some(0x20..=0x2f)) => {
            2 + usize::from(bytes.get(2).is_some_and(|byte| (0x30..=0x7e).contains(byte)))
        }
        (Some(0x1b), Some(0x30..=0x7e)) => 2,
        (Some(b'\t' | b'\n') | None, _) => 0,
        (Some(byte), _) => usize::from(byte.is_ascii_control()),
    }
}

/// Whether a byte begins what [`control_bytes`] measures.
pub(crate) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n')
}

/// What a terminal would show: no escape sequences, and of a line that was overwritten its last state.
pub(crate) fn shown_on_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.replace("\r\n", "\n").split_inclusive('\n') {
        let last = line.trim_end_matches('\r').rfind('\r').map_or(0, |at| at + 1);
        let mut rest = &line[last..];
        while let Some(at) = rest.bytes().position(is_control) {
            shown.push_str(&rest[..at]);
            rest = &rest[at + control_bytes(&rest[at..]).max(1)..];
        }
        shown.push_str(rest);
    }
    shown
}
