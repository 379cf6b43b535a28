//! Which known word someone may have meant.

/// The greatest number of slips that a suggestion forgives.
const MAX_SLIPS: usize = 2;

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= MAX_SLIPS && 2 * slips <= candidate.len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// The number of characters to insert, delete or replace to make `left` into `right` (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_word_is_suggested() {
        let known = ["listen", "max_connections", "url", "when", "name"];
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(nearest(word, known.into_iter()), expected, "{word:?}");
        };
        check("lisen", Some("listen"));
        check("max_conections", Some("max_connections"));
        check("max-connections", Some("max_connections"));
        check("Listen", Some("listen"));
        check("uri", Some("url"));
        check("wen", Some("when"));
        check("address", None);
        check("at", None);
        check("", None);
    }
}
