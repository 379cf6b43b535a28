//! Texts with `%{name}` in them: messages of alerts and topics.

/// The first `%{name}` of which the name is not known, or that does not end.
pub fn unknown_placeholder<'t>(template: &'t str, known: &[&str]) -> Option<&'t str> {
    let mut rest = template;
    while let Some(start) = rest.find("%{") {
        let Some(length) = rest[start..].find('}') else {
            return Some(&rest[start..]);
        };
        let name = &rest[start + 2..start + length];
        if !known.contains(&name) {
            return Some(&rest[start..=start + length]);
        }
        rest = &rest[start + length + 1..];
    }
    None
}

/// The text with each `%{name}` replaced by what `value` gives for it.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("%{") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        filled.push_str(&rest[..start]);
        let name = &rest[start + 2..start + length];
        filled.push_str(&value(name).unwrap_or_default());
        rest = &rest[start + length + 1..];
    }
    filled.push_str(rest);
    filled
}
