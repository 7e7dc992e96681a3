//! What somebody may have meant who mistyped a name.

/// `; did you mean X?` for the nearest of the known names, or nothing when none is near.
pub(crate) fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    /// Half of the letters may differ; beyond that a suggestion is noise.
    const SIMILARITY_MIN: f64 = 0.5;
    let near = known
        .map(|name| (strsim::normalized_damerau_levenshtein(given, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    near.map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"))
}
