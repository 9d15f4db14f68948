//! Text from files, made fit for terminals, messages and pictures.

use std::fmt::{self, Display, Write};

/// `text` with every character escaped that a terminal would obey rather than show.
///
/// Escaped are control characters (line ends included), line and paragraph separators, and the characters that
/// turn the direction of writing, each as in a Rust string: `\n`, `\u{1b}`. All else is shown as it is. A name from
/// a file can so neither colour a terminal nor fake a line of output.
///
/// ```
/// use tch_losses::printable;
///
/// assert_eq!(printable("features.0.weight").to_string(), "features.0.weight");
/// assert_eq!(printable("\u{1b}[31mred\n").to_string(), r"\u{1b}[31mred\n");
/// ```
pub fn printable(text: &str) -> impl Display + '_ {
    Printable(text)
}

struct Printable<'a>(&'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.chars().try_for_each(|character| match is_obeyed(character) {
            true => write!(f, "{}", character.escape_default()),
            false => f.write_char(character),
        })
    }
}

fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn only_what_terminals_obey_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("conv1.weight \"é\" 'ß' \\ 日本", "conv1.weight \"é\" 'ß' \\ 日本"),
            ("a\r\n\tb\0\u{7f}\u{9b}", r"a\r\n\tb\u{0}\u{7f}\u{9b}"),
            ("\u{202e}txt.exe\u{2069}\u{2028}", r"\u{202e}txt.exe\u{2069}\u{2028}"),
        ] {
            assert_eq!(printable(text).to_string(), expected);
        }
    }
}
