//! The nearest known word to one that is not known, and lists of words in sentences.

/// Below this likeness (Jaro–Winkler, 0 to 1) a suggestion would be a guess.
const LIKENESS: f64 = 0.84;

/// The candidate most like `word`, if one is like enough that the word may be a slip of it.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (likeness(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Jaro–Winkler, which favours a common start; and any single slip (a letter more, less, wrong or swapped) in words of three
/// letters and more, which it undervalues at the start of a word.
fn likeness(word: &str, candidate: &str) -> f64 {
    let slips = strsim::damerau_levenshtein(word, candidate);
    let long = word.chars().count().max(candidate.chars().count()) >= 3;
    let bare = |text: &str| text.replace(['_', '-', '.'], "");
    if slips == 0 || bare(word) == bare(candidate) {
        return 1.0;
    }
    if slips == 1 && long {
        return 0.99;
    }
    strsim::jaro_winkler(word, candidate)
}

/// `a, b or c`
pub(super) fn list<S: AsRef<str>>(words: &[S], conjunction: &str) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} {conjunction} {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let keys = ["max_size", "max_age", "endpoint", "fallback", "http", "timeout"];
        for (slip, meant) in [
            ("max_sise", "max_size"),
            ("maxsize", "max_size"),
            ("endpont", "endpoint"),
            ("Endpoint", "endpoint"),
            ("fallbacks", "fallback"),
            ("htpp", "http"),
            ("imeout", "timeout"),
        ] {
            assert_eq!(nearest(slip, keys), Some(meant), "{slip}");
        }
        for word in ["processors", "x", "", "sending_queue"] {
            assert_eq!(nearest(word, keys), None, "{word}");
        }
    }

    #[test]
    fn lists_read_as_sentences_do() {
        assert_eq!(list(&["a", "b", "c"], "or"), "a, b or c");
        assert_eq!(list(&["a"], "or"), "a");
    }
}
