//! Priorities by which an order moves in the queue, which is sorted by priority and then by due date.

/// Highest priority of an order. The lowest is 0.
pub const MAX_PRIORITY: u32 = 100;

/// Returns a priority between those of two neighbours: the one in the middle. If no number is between them, it is that of the
/// neighbour above. `None`: there is no neighbour on that side.
pub fn priority_between(above: Option<u32>, below: Option<u32>) -> u32 {
    let lowest = below.map_or(0, |below| below + 1);
    let highest = above.map_or(MAX_PRIORITY, |above| above.saturating_sub(1));
    if lowest <= highest {
        return lowest + (highest - lowest) / 2;
    }
    above.unwrap_or(MAX_PRIORITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_in_the_middle_between_its_neighbours() {
        assert_eq!(priority_between(Some(80), Some(50)), 65);
        assert_eq!(priority_between(Some(52), Some(50)), 51);
        assert_eq!((priority_between(None, Some(50)), priority_between(Some(50), None)), (75, 24));
        assert_eq!(priority_between(None, None), 50);
    }

    #[test]
    fn every_priority_is_valid_and_between_its_neighbours() {
        let each = || (0..=MAX_PRIORITY).map(Some).chain([None]);
        for (above, below) in each().flat_map(|above| each().map(move |below| (above, below))) {
            if above.zip(below).is_some_and(|(above, below)| above < below) {
                continue;
            }
            let between = priority_between(above, below);
            let is_between = above.is_none_or(|above| between <= above) && below.is_none_or(|below| between >= below);
            assert!(between <= MAX_PRIORITY && is_between, "{above:?} {below:?}: {between}");
            let has_room = above.unwrap_or(MAX_PRIORITY + 1) > below.map_or(0, |below| below + 1);
            let is_neither = Some(between) != above && Some(between) != below;
            assert_eq!(is_neither, has_room, "{above:?} {below:?}: {between}");
        }
    }
}
