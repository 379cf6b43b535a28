//! `matches`, as the interpreter has it, with each pattern compiled once: it asks for hundreds of times as long as it takes to
//! compare.

use std::cell::RefCell;
use std::collections::HashMap;

use cel::common::types::{CelBool, CelString};
use cel::{Env, ExecutionError, add_member_overload, add_overload};
use regex::Regex;

/// So many patterns of a thread are remembered, then all are forgotten: more come only of patterns that readings bring.
const MOST: usize = 256;

thread_local! {
    static KNOWN: RefCell<HashMap<Box<str>, Regex>> = RefCell::default();
}

/// Adds the function in both its forms.
pub(super) fn add_to(environment: &mut Env) {
    let is_new = "nobody else registers `matches`";
    add_overload!(environment, fn matches: (CelString, CelString) -> Result<CelBool>, id = "matches")
        .expect(is_new);
    add_member_overload!(environment, fn matches: (CelString, CelString) -> Result<CelBool>)
        .expect(is_new);
}

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    KNOWN.with_borrow_mut(|known| {
        if let Some(regex) = known.get(pattern.inner()) {
            return Ok(CelBool::from(regex.is_match(text.inner())));
        }
        let regex = Regex::new(pattern.inner()).map_err(|error| ExecutionError::FunctionError {
            function: "matches".to_owned(),
            message: error.to_string(),
        })?;
        let is_match = regex.is_match(text.inner());
        if MOST <= known.len() {
            known.clear();
        }
        known.insert(pattern.inner().into(), regex);
        Ok(CelBool::from(is_match))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_says_the_same_again() {
        let text = CelString::from("hall/a17");
        for number in 0..3 * MOST {
            let pattern = CelString::from(format!("a{number}$"));
            for _ in 0..2 {
                let found = matches(&text, &pattern).unwrap();
                assert_eq!(*found.inner(), number == 17, "{number}");
            }
            assert!(KNOWN.with_borrow(HashMap::len) <= MOST);
        }
        assert!(matches(&text, &CelString::from("(")).is_err());
    }

    #[test]
    fn patterns_know_more_letters_than_those_of_ascii() {
        for (text, pattern) in [
            ("Ölkessel", r"^\w+$"),
            ("ÖL", "(?i)^öl$"),
            ("ä", r"^\p{L}$"),
        ] {
            let (text, pattern) = (CelString::from(text), CelString::from(pattern));
            assert!(*matches(&text, &pattern).unwrap().inner());
        }
    }
}
