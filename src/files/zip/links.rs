//! Which symbolic links may be kept.

/// Whether a link `depth` directories below the top stays inside, wherever other kept links lead: some `..` at the
/// start, no more than `depth`, and none behind a name, since that name may be a link to a higher place.
pub(super) fn stays_inside(target: &str, depth: usize) -> bool {
    if target.is_empty() || target.starts_with('/') {
        return false;
    }
    let mut up = 0;
    let mut named = false;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if named => return false,
            ".." => up += 1,
            _ => named = true,
        }
    }
    up <= depth
}
