//! What somebody may have meant who mistyped a name.

/// `; did you mean X?` for the nearest of the known names, or nothing when none is near.
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The nearest of the known names, if one is near; of two as near as each other the first.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Half of the letters may differ; beyond that a suggestion is noise.
    const SIMILARITY_MIN: f64 = 0.5;
    /// Comparing two names takes the product of their lengths; longer ones are not compared.
    const LENGTH_MAX: usize = 64;
    /// So many names are looked at, since wrong ones can be as many as right ones.
    const KNOWN_MAX: usize = 1_000;
    if given.len() > LENGTH_MAX {
        return None;
    }
    let mut best = None;
    for name in known.into_iter().take(KNOWN_MAX).filter(|name| name.len() <= LENGTH_MAX) {
        let similarity = strsim::normalized_damerau_levenshtein(given, name);
        if similarity >= SIMILARITY_MIN && best.is_none_or(|(so_far, _)| similarity > so_far) {
            best = Some((similarity, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        let cases = [
            ("dep", Some("deps")),
            ("categroy", Some("category")),
            ("retrywait", Some("retryWait")),
            ("xyzzy", None),
            ("", None),
        ];
        for (given, meant) in cases {
            assert_eq!(nearest(given, ["category", "deps", "retryWait"]), meant, "{given}");
        }
        assert_eq!(nearest(&"a".repeat(1_000), ["aaa"]), None);
        assert_eq!(nearest("ab", ["aa", "bb"]), Some("aa"));
    }
}
