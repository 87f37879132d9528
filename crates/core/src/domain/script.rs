//! How well a vocabulary knows the script of a text: by the tokens that it makes of it.

/// Tenths of the expected tokens up to which a vocabulary knows a script. Words of a language that it was not made for
/// take up to twice the tokens, and are no letters.
const KNOWN_SCRIPT_RATIO_TENTHS: usize = 22;

/// What a vocabulary that knows the script needs, in thousandths of a token: for a letter of an alphabet (about four
/// make a token of English, Russian or Arabic in the vocabularies of models that were trained on them), for an
/// ideograph or syllable, and for anything else that is visible.
const LETTER_MILLITOKENS: usize = 230;
const SYLLABLE_MILLITOKENS: usize = 750;
const OTHER_MILLITOKENS: usize = 600;

/// The tokens that a vocabulary makes of a text whose script it knows, roughly.
pub fn expected_tokens(text: &str) -> usize {
    text.chars().map(expected_millitokens).sum::<usize>() / 1000
}

/// Whether a vocabulary that makes `tokens` of a text makes hardly more than a token of each of its letters.
pub fn is_spelled_out(text: &str, tokens: usize) -> bool {
    let expected = expected_tokens(text);
    expected > 0 && tokens.saturating_mul(10) >= expected * KNOWN_SCRIPT_RATIO_TENTHS
}

/// Whether most letters of a text are of other scripts than the Latin one.
pub fn is_mostly_of_other_scripts(text: &str) -> bool {
    let letters = text.chars().filter(|one| one.is_alphabetic());
    let (others, latin): (Vec<char>, Vec<char>) =
        letters.partition(|one| u32::from(*one) >= FIRST_OTHER_LETTER);
    others.len() > latin.len()
}

/// The first letter of Greek, behind those of Latin.
const FIRST_OTHER_LETTER: u32 = 0x370;

fn expected_millitokens(character: char) -> usize {
    match u32::from(character) {
        0..=0x7f if character.is_ascii_alphabetic() => LETTER_MILLITOKENS,
        0..=0x20 => 0,
        // Kana, ideographs, Hangul syllables, and wide forms of them.
        0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0x20000..=0x3ffff => {
            SYLLABLE_MILLITOKENS
        }
        _ if character.is_alphabetic() => LETTER_MILLITOKENS,
        _ if character.is_whitespace() => 0,
        _ => OTHER_MILLITOKENS,
    }
}

#[cfg(test)]
mod tests {
    use super::{expected_tokens, is_mostly_of_other_scripts, is_spelled_out};

    #[test]
    fn a_token_for_each_letter_is_spelled_out() {
        let russian = "Сотрудники могут взять двадцать восемь дней отпуска в год.";
        let letters = russian.chars().filter(|one| !one.is_whitespace()).count();
        assert!(is_spelled_out(russian, letters) && !is_spelled_out(russian, letters / 3));
        assert!((10..15).contains(&expected_tokens(russian)));
        let german = "Mitarbeiterinnen können achtundzwanzig Urlaubstage im Jahr nehmen.";
        assert!(!is_spelled_out(german, german.len() * 10 / 25), "twice the tokens of English");
        let chinese = "员工每年可以休二十八天假。";
        assert!(!is_spelled_out(chinese, chinese.chars().count()), "a token for each character is right");
        assert!(!is_spelled_out("", 1) && !is_spelled_out("a", 9));
    }

    #[test]
    fn scripts_are_told_by_most_letters() {
        assert!(is_mostly_of_other_scripts("Как работает API?") && is_mostly_of_other_scripts("中文"));
        assert!(!is_mostly_of_other_scripts("naïve Größe π") && !is_mostly_of_other_scripts("123"));
    }
}
