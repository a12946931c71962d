//! How much filament a print uses: all of it, or up to a position in the file.

use super::{GcodeFacts, ToolFacts};

/// Filament of all tools. `None`: unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Filament {
    pub mm: Option<f64>,
    pub g: Option<f64>,
}

impl GcodeFacts {
    /// Returns the filament of the whole file. The slicer's lengths count; a tool without one has the length of its moves.
    /// The weight is known if the slicer has it for every tool that is used.
    pub fn total_filament(&self) -> Filament {
        let by_moves = |tool: u32| self.extruded_mm.get(usize::try_from(tool).ok()?).copied();
        let length = |tool: &ToolFacts| tool.filament_mm.or_else(|| by_moves(tool.tool));
        let lengths: Vec<f64> = self.tools.iter().filter_map(length).collect();
        let mm = if lengths.is_empty() { self.extruded_mm.as_slice() } else { lengths.as_slice() };
        let used = self.tools.iter().filter(|tool| length(tool).is_none_or(|mm| mm > 0.0));
        let weights: Vec<Option<f64>> = used.map(|tool| tool.filament_g).collect();
        let is_weighed = !weights.is_empty();
        Filament {
            mm: (!mm.is_empty()).then(|| mm.iter().sum()),
            g: weights.into_iter().sum::<Option<f64>>().filter(|_| is_weighed),
        }
    }

    /// Returns the filament up to a position in the file, in bytes, by the moves. The weight is a share of the whole.
    pub fn filament_at(&self, position: u64) -> Filament {
        let Some(whole) = self.extrusion.mm.last().copied().map(f64::from) else { return Filament::default() };
        let mm = self.extrusion.mm_at(position);
        let share = if whole > 0.0 { (mm / whole).clamp(0.0, 1.0) } else { 0.0 };
        Filament { mm: Some(mm), g: self.total_filament().g.map(|g| g * share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gcode::ExtrusionCurve;

    fn tool(tool: u32, filament_mm: Option<f64>, filament_g: Option<f64>) -> ToolFacts {
        ToolFacts { tool, filament_mm, filament_g, ..ToolFacts::default() }
    }

    fn total(tools: &[ToolFacts], extruded_mm: &[f64]) -> (Option<f64>, Option<f64>) {
        let facts = GcodeFacts { tools: tools.to_vec(), extruded_mm: extruded_mm.to_vec(), ..GcodeFacts::default() };
        let Filament { mm, g } = facts.total_filament();
        (mm, g)
    }

    #[test]
    fn the_total_has_every_tool_and_is_unknown_where_the_file_does_not_say() {
        assert_eq!(total(&[], &[]), (None, None));
        assert_eq!(total(&[], &[700.0, 50.0]), (Some(750.0), None));
        assert_eq!(total(&[tool(0, None, None)], &[]), (None, None));
        assert_eq!(total(&[tool(0, None, Some(4.0))], &[1_300.0]), (Some(1_300.0), Some(4.0)));
        let (first, second) = (tool(0, Some(1_000.0), Some(3.0)), tool(1, Some(500.0), Some(1.5)));
        assert_eq!(total(&[first.clone(), second], &[990.0, 510.0]), (Some(1_500.0), Some(4.5)));
        let unused = tool(1, Some(0.0), None);
        assert_eq!(total(&[first.clone(), unused], &[]), (Some(1_000.0), Some(3.0)));
        assert_eq!(total(&[first, tool(1, Some(500.0), None)], &[]), (Some(1_500.0), None));
    }

    #[test]
    fn a_part_of_the_file_has_the_filament_of_its_moves_and_a_share_of_the_weight() {
        let extrusion = ExtrusionCurve { stride_bytes: 100, mm: vec![0.0, 100.0, 400.0] };
        let tools = vec![tool(0, Some(410.0), Some(8.0))];
        let mut facts = GcodeFacts { tools, extrusion, ..GcodeFacts::default() };
        assert_eq!(facts.filament_at(150), Filament { mm: Some(50.0), g: Some(1.0) });
        assert_eq!(facts.filament_at(9_999), Filament { mm: Some(400.0), g: Some(8.0) });
        assert_eq!(facts.filament_at(0), Filament { mm: Some(0.0), g: Some(0.0) });
        let stored = ExtrusionCurve::from_bytes(&facts.extrusion.to_bytes());
        assert_eq!(stored.as_ref(), Some(&facts.extrusion), "the stored form is read back");
        assert_eq!(ExtrusionCurve::from_bytes(&[1, 2, 3]), None);
        facts.extrusion = ExtrusionCurve::default();
        assert_eq!(facts.filament_at(150), Filament::default());
    }
}
