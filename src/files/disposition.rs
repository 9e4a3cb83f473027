//! The Content-Disposition of a part, read as browsers, curl, Python's and JavaScript's clients write it.
//!
//! multer's own reading looks for `name=` anywhere in the text, so that `filename="a; name=user_id"` becomes another
//! field; it does not know `filename*`, upper-case parameters, Latin-1 or a name that ends in an escaped backslash.
//!
//! In quoted strings `\"` and `\\` are escapes and any other backslash is itself. `%22`, `%0D` and `%0A` are what
//! browsers, curl and httpx write for a quote, CR and LF, and are decoded; nothing else after a `%` is, since they leave
//! a `%` as it is. `filename*` (RFC 8187) wins over `filename`. Bytes that are not UTF-8 are read as Latin-1.

/// What a part says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disposition {
    pub name: Option<String>,
    /// A part with a file name is a file, whatever its `name`.
    pub file_name: Option<String>,
}

/// Why a Content-Disposition cannot be read; the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispositionError {
    #[error("a quoted value has no closing quote")]
    Unterminated,
    #[error("there is text behind a quoted value")]
    Trailing,
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    #[error("`{0}` is not in the form UTF-8''name of RFC 8187")]
    Extended(&'static str),
}

impl Disposition {
    /// Reads the value of a Content-Disposition header.
    ///
    /// # Errors
    /// [`DispositionError`] where more than one reading is possible.
    pub fn parse(header: &[u8]) -> Result<Self, DispositionError> {
        let mut rest = &header[header.iter().position(|byte| *byte == b';').unwrap_or(header.len())..];
        let mut plain = Self::default();
        let mut extended = Self::default();
        while let [b';', after @ ..] = rest {
            let parameter = Parameter::read(after)?;
            rest = parameter.rest;
            match parameter.key.as_slice() {
                b"name" => set(&mut plain.name, "name", browser_text(&parameter.value))?,
                b"filename" => set(&mut plain.file_name, "filename", browser_text(&parameter.value))?,
                b"name*" => set(&mut extended.name, "name*", extended_text(&parameter.value, "name*")?)?,
                b"filename*" => {
                    set(&mut extended.file_name, "filename*", extended_text(&parameter.value, "filename*")?)?;
                }
                _ => {}
            }
        }
        Ok(Self { name: extended.name.or(plain.name), file_name: extended.file_name.or(plain.file_name) })
    }
}

fn set(slot: &mut Option<String>, key: &'static str, value: String) -> Result<(), DispositionError> {
    if slot.replace(value).is_some() {
        return Err(DispositionError::Twice(key));
    }
    Ok(())
}

struct Parameter<'a> {
    /// In lower case.
    key: Vec<u8>,
    value: Vec<u8>,
    /// From the next `;` on, or empty.
    rest: &'a [u8],
}

impl<'a> Parameter<'a> {
    fn read(text: &'a [u8]) -> Result<Self, DispositionError> {
        let end = text.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(text.len());
        let key = text[..end].trim_ascii().to_ascii_lowercase();
        let [b'=', value @ ..] = &text[end..] else {
            return Ok(Self { key: Vec::new(), value: Vec::new(), rest: &text[end..] });
        };
        if let [b'"', quoted @ ..] = value.trim_ascii_start() {
            let (value, rest) = quoted_string(quoted)?;
            return Ok(Self { key, value, rest });
        }
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        Ok(Self { key, value: value[..end].trim_ascii().to_vec(), rest: &value[end..] })
    }
}

/// The value up to the closing quote, and what follows it.
fn quoted_string(text: &[u8]) -> Result<(Vec<u8>, &[u8]), DispositionError> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                value.push(*escaped);
                rest = after;
            }
            [b'"', after @ ..] => {
                let after = after.trim_ascii_start();
                return match after.first() {
                    None | Some(b';') => Ok((value, after)),
                    Some(_) => Err(DispositionError::Trailing),
                };
            }
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return Err(DispositionError::Unterminated),
        }
    }
}

fn browser_text(value: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D' | b'd', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A' | b'a', after @ ..] => (b'\n', after),
            _ => (*byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).unwrap_or_else(|error| latin1(error.as_bytes()))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// `charset'language'value` with `%XX` for bytes, of RFC 8187.
fn extended_text(value: &[u8], key: &'static str) -> Result<String, DispositionError> {
    let wrong = || DispositionError::Extended(key);
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (Some(charset), Some(_language), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let bytes = percent_decoded(text).ok_or_else(wrong)?;
    if charset.eq_ignore_ascii_case(b"utf-8") {
        return String::from_utf8(bytes).map_err(|_| wrong());
    }
    if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        return Ok(latin1(&bytes));
    }
    Err(wrong())
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        bytes.push(digit(*high)? << 4 | digit(*low)?);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "disposition_tests.rs"]
mod tests;
