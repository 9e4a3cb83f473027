//! Sentences with numbers, as policies write them by the thousand: an answer may have one for each user. Without the
//! machinery of formatting, which in a component costs ten times as much as the text itself.

/// A text in the making.
pub(crate) struct Sentence(String);

impl Sentence {
    pub(crate) fn new() -> Self {
        Self(String::with_capacity(100))
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.push_str(text);
        self
    }

    /// All digits in a row.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.digits(number, u32::MAX);
        self
    }

    pub(crate) fn signed(self, number: i32) -> Self {
        let sign = if number < 0 { "-" } else { "" };
        self.text(sign).number(number.unsigned_abs().into())
    }

    /// With the digits in groups of three: `1,234`.
    pub(crate) fn grouped(mut self, number: u64) -> Self {
        self.digits(number, 3);
        self
    }

    /// As Rust writes it.
    pub(crate) fn fraction(self, number: f64) -> Self {
        self.text(&number.to_string())
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    fn digits(&mut self, mut rest: u64, group: u32) {
        // The longest number has 20 digits, and 6 commas between them.
        let mut digits = [0; 26];
        let mut start = digits.len();
        let mut written = 0;
        loop {
            if written > 0 && written % group == 0 {
                start -= 1;
                digits[start] = b',';
            }
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            written += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        // They are digits and commas.
        self.0.push_str(str::from_utf8(&digits[start..]).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole_and_in_groups() {
        for (number, grouped) in [
            (0, "0"),
            (7, "7"),
            (999, "999"),
            (1_000, "1,000"),
            (20_301, "20,301"),
            (1_000_000, "1,000,000"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Sentence::new().grouped(number).into_string(), grouped);
            assert_eq!(Sentence::new().number(number).into_string(), number.to_string());
        }
    }

    #[test]
    fn a_sentence_is_its_parts() {
        let sentence = Sentence::new().text("weight ").fraction(0.25).text(", ").signed(-100).text(", ").grouped(1_234);
        assert_eq!(sentence.into_string(), "weight 0.25, -100, 1,234");
    }
}
