//! Whether a file fits a printer: model, nozzle and bed.

use super::{
    gcode::{Bounds, GcodeFacts},
    message::Message,
    printer_profile::PrinterProfile,
};

/// Difference in millimetres that counts as equal.
pub(super) const TOLERANCE_MM: f64 = 0.01;

/// How well a file fits a printer.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// Model and nozzle are known on both sides and match.
    Matches,
    /// Nothing that is known contradicts.
    Possible,
    /// A known fact contradicts.
    Contradicts(Message),
}

/// Compares a file with a printer. Unknown facts contradict nothing.
///
/// The models are compared first. The bed is compared only if the models do not match: a slicer's purge line may
/// lie outside the bed of its own printer.
pub fn fit(facts: &GcodeFacts, profile: &PrinterProfile) -> Fit {
    let models = facts.printer_model.as_deref().zip(profile.model.as_deref());
    let is_same_model = models.map(|(file, printer)| is_same_model(file, printer));
    if let (Some(false), Some((file, printer))) = (is_same_model, models) {
        return Fit::Contradicts(Message::new("fit-model").with("file", file).with("printer", printer));
    }
    let nozzles: Vec<f64> = used_nozzles(facts);
    let nozzle = profile.nozzle_mm.filter(|_| !nozzles.is_empty());
    if let Some(printer) = nozzle
        && !nozzles.iter().any(|file| (file - printer).abs() < TOLERANCE_MM)
    {
        return Fit::Contradicts(Message::new("fit-nozzle").with("file", nozzles[0]).with("printer", printer));
    }
    let bounds = facts.bounds_after_first_layer_mm.as_ref().or(facts.bounds_mm.as_ref());
    if is_same_model.is_none()
        && let (Some(bounds), Some(bed)) = (bounds, profile.bed_mm)
        && !fits_bed(bounds, bed)
    {
        let size = |axis: usize| format!("{:.0}", bounds.max[axis] - bounds.min[axis]);
        let file = format!("{} × {} × {:.0}", size(0), size(1), bounds.max[2]);
        let printer = format!("{:.0} × {:.0} × {:.0}", bed[0], bed[1], bed[2]);
        return Fit::Contradicts(Message::new("fit-bed").with("file", file).with("printer", printer));
    }
    if is_same_model == Some(true) && nozzle.is_some() { Fit::Matches } else { Fit::Possible }
}

/// Returns the nozzles of the tools that the file uses. If its tools are unknown, returns all its nozzles.
fn used_nozzles(facts: &GcodeFacts) -> Vec<f64> {
    let used = |index: usize| {
        let tool = facts.tools.iter().find(|tool| usize::try_from(tool.tool) == Ok(index));
        tool.is_none_or(|tool| tool.filament_mm.is_none_or(|mm| mm > 0.0))
    };
    facts.nozzle_mm.iter().enumerate().filter(|(index, _)| used(*index)).map(|(_, nozzle)| *nozzle).collect()
}

/// Returns whether two names mean one model. The words of one name are words of the other: "MK4" is "Original Prusa
/// MK4", and "MK4S" is not.
pub fn is_same_model(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric() && c != '+').filter(|part| !part.is_empty());
        parts.map(str::to_lowercase).collect()
    };
    let (a, b) = (words(a), words(b));
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    a.concat() == b.concat() || (!short.is_empty() && short.iter().all(|word| long.contains(word)))
}

/// Returns whether the extruded part is no larger than the bed. Its position is not compared: the origin of a bed may
/// be a corner or the centre.
pub(super) fn fits_bed(bounds: &Bounds, bed: [f64; 3]) -> bool {
    (0..2).all(|axis| bounds.max[axis] - bounds.min[axis] <= bed[axis] + TOLERANCE_MM)
        && bounds.max[2] <= bed[2] + TOLERANCE_MM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(model: Option<&str>, nozzle: &[f64], width: f64) -> GcodeFacts {
        GcodeFacts {
            printer_model: model.map(str::to_owned),
            nozzle_mm: nozzle.to_vec(),
            bounds_mm: Some(Bounds { min: [0.0; 3], max: [width, 10.0, 5.0] }),
            ..GcodeFacts::default()
        }
    }

    fn printer(model: Option<&str>, nozzle_mm: Option<f64>) -> PrinterProfile {
        let bed_mm = Some([250.0, 210.0, 220.0]);
        PrinterProfile { model: model.map(str::to_owned), nozzle_mm, bed_mm, ..PrinterProfile::default() }
    }

    fn contradicts(fit: &Fit) -> bool {
        matches!(fit, Fit::Contradicts(_))
    }

    #[test]
    fn models_are_compared_by_their_words() {
        for (file, on_printer, same) in [
            ("MK4", "Original Prusa MK4", true),
            ("Original Prusa MK4", "mk4", true),
            ("MK4", "MK4S", false),
            ("MK4S", "MK4", false),
            ("Ender-3 V2", "ender 3 v2", true),
            ("Bambu Lab X1 Carbon", "MK4", false),
            ("i3 MK3", "i3 MK3+", false),
        ] {
            let fit = fit(&facts(Some(file), &[0.4], 10.0), &printer(Some(on_printer), Some(0.4)));
            assert_eq!(!contradicts(&fit), same, "{file} on {on_printer}: {fit:?}");
        }
    }

    #[test]
    fn unknown_facts_contradict_nothing() {
        assert_eq!(fit(&GcodeFacts::default(), &printer(Some("MK4"), Some(0.4))), Fit::Possible);
        assert_eq!(fit(&facts(Some("MK4"), &[0.4], 10.0), &PrinterProfile::default()), Fit::Possible);
        assert_eq!(fit(&facts(Some("MK4"), &[0.4], 10.0), &printer(Some("MK4"), Some(0.4))), Fit::Matches);
    }

    #[test]
    fn another_nozzle_and_a_small_bed_contradict() {
        assert!(contradicts(&fit(&facts(Some("MK4"), &[0.6], 10.0), &printer(Some("MK4"), Some(0.4)))));
        assert!(contradicts(&fit(&facts(None, &[0.4], 300.0), &printer(Some("MK4"), Some(0.4)))));
        // The slicer knows its own printer: a purge line outside the bed is legal.
        assert_eq!(fit(&facts(Some("MK4"), &[0.4], 300.0), &printer(Some("MK4"), Some(0.4))), Fit::Matches);
    }

    #[test]
    fn a_purge_line_outside_the_bed_does_not_count() {
        let part = Bounds { min: [10.0; 3], max: [100.0; 3] };
        let purged = GcodeFacts { bounds_after_first_layer_mm: Some(part), ..facts(None, &[0.4], 300.0) };
        assert_eq!(fit(&purged, &printer(Some("MK4"), Some(0.4))), Fit::Possible);
    }
}
