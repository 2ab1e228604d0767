//! `query=`: whether the first column of the first row counts as yes. Pure.

/// What a value's type means for the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// `f` is false.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "MySQL has no boolean"))]
    Boolean,
    /// In decimal, with any sign, fraction, exponent or currency.
    Number,
    /// Bytes of a number.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "only MySQL's BIT has them"))]
    Bits,
    Text,
    /// A text that is padded with blanks.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only PostgreSQL sends the blanks"))]
    Padded,
    /// Any value but NULL is yes.
    Other,
}

/// Why the value does not count as yes; `None` if it does. `text` is its text form, unless it is NULL.
pub(super) fn why_not(sort: Sort, text: Option<&[u8]>) -> Option<&'static str> {
    let Some(text) = text else { return Some("is NULL") };
    let digit = |wanted: fn(&u8) -> bool| text.iter().any(wanted);
    match sort {
        Sort::Boolean if text == b"f" => Some("is false"),
        // -0, 0.00 and $0.00 are zero; NaN and Infinity have no digits.
        Sort::Number if digit(|b| *b == b'0') && !digit(|b| matches!(b, b'1'..=b'9')) => Some("is zero"),
        Sort::Bits if text.iter().all(|byte| *byte == 0) => Some("is zero"),
        Sort::Text if text.is_empty() => Some("is empty"),
        Sort::Padded if text.iter().all(|byte| *byte == b' ') => Some("is empty"),
        _ => None,
    }
}
