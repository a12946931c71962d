//! Which requests have an effect, so that a repetition needs an `Idempotency-Key`.

/// POST routes without an effect.
const WITHOUT_EFFECT: [&str; 1] = ["/api/v1/printers/test"];

/// Returns whether a POST to this path has an effect.
pub fn path_has_effect(path: &str) -> bool {
    !WITHOUT_EFFECT.contains(&path)
}
